# Heads of tables: what stands in brackets before the columns, and the columns with their paths, constants and stems.

cdef enum:
    TABLE_RECORDS = 0  # [n]:
    TABLE_MEMBERS = 1  # {n}: the values of an object
    TABLE_GROUPS = 2  # [n][]: lists of records; [n].key[]: each of them alone in an object
    TABLE_MATRIX = 3  # [n][m]: lists of scalars
    TABLE_LIST = 4  # [n]= scalars

cdef int64_t read_count(const Decoder* d, Py_ssize_t* at) noexcept nogil:
    """A positive number at an offset, which moves behind it; 0 if there is none, or one beyond all bounds."""
    cdef int64_t count = 0
    if peek(d, at[0]) == c"0":
        return 0
    while c"0" <= peek(d, at[0]) <= c"9":
        if count > 1000000000000000LL:
            return 0
        count = count * 10 + (d.data[at[0]] - 48)
        at[0] += 1
    return count

cdef Py_ssize_t key_end(const Decoder* d, Py_ssize_t at) noexcept nogil:
    """The offset behind what may be a key before brackets."""
    cdef bint quoted = peek(d, at) == c'"'
    at += quoted
    while peek(d, at) != c"\n" and peek(d, at) != (c'"' if quoted else c"["):
        at += 1 + (quoted and peek(d, at) == c"\\")
    return at + quoted

cdef bint table_starts(const Decoder* d, Py_ssize_t at, TableHead* t) noexcept nogil:
    """Whether the head of a table starts at an offset; its kind, numbers and `start`, where the brackets end."""
    cdef uint8_t first = peek(d, at)
    at += 1
    t.count = read_count(d, &at)
    if t.count < 2 or (first != c"[" and first != c"{"):
        return False
    if first == c"{":
        t.kind = TABLE_MEMBERS
        t.start = at + 9
        return starts(d, at, b"}: (key)\t")
    if starts(d, at, b"]: "):
        t.kind = TABLE_RECORDS
        t.start = at + 3
        return True
    if starts(d, at, b"]="):
        t.kind = TABLE_LIST
        t.start = at + 2
        return True
    if starts(d, at, b"][]: "):
        t.kind = TABLE_GROUPS
        t.start = at + 5
        t.group_key = 0
        return True
    if starts(d, at, b"]."):
        t.kind = TABLE_GROUPS
        t.group_key = at + 2
        at = key_end(d, at + 2)
        t.start = at + 4
        return starts(d, at, b"[]: ")
    if not starts(d, at, b"]["):
        return False
    at += 2
    t.kind = TABLE_MATRIX
    t.cells = read_count(d, &at)
    t.start = at + 2
    return t.cells >= 1 and starts(d, at, b"]:")

cdef inline TableHead* next_table(Decoder* d) noexcept nogil:
    """The table that is read next where the decoder stands."""
    return d.tables + 2 * d.strings

cdef inline HeadColumn* column_at(const TableHead* t, int32_t index) noexcept nogil:
    return <HeadColumn*>t.columns.data + index

cdef inline Span* path_key(const TableHead* t, const HeadColumn* column, int32_t level) noexcept nogil:
    """The key of a column's path at a level."""
    return <Span*>t.keys.data + column.first_key + level

cdef inline bint equal_names(const TableHead* t, Span a, const TableHead* u, Span b) noexcept nogil:
    """Whether two spans in the names of tables hold the same bytes."""
    return a.end - a.start == b.end - b.start and memcmp(t.names.data + a.start, u.names.data + b.start, a.end - a.start) == 0

cdef inline void put_name(const TableHead* t, Span span, Buffer* out) noexcept nogil:
    """Append what a span in the names of a table holds."""
    if buffer_reserve(out, span.end - span.start):  # first: the names may be what is written
        buffer_put(out, t.names.data + span.start, span.end - span.start)

cdef bint read_path(Decoder* d, TableHead* t, HeadColumn* column) noexcept nogil:
    """a.b[0].c: a path, into keys and names of a table, to which `d.out` points."""
    cdef Span key
    column.first_key = <int32_t>(t.keys.size // <Py_ssize_t>sizeof(Span))
    column.depth = 0
    while True:
        key.start = t.names.size
        if not read_key(d):
            return False
        key.end = t.names.size
        buffer_put(&t.keys, <const uint8_t*>&key, sizeof(Span))
        column.depth += 1
        if starts(d, d.at, b"[0]"):
            d.at += 3
            key.start = key.end
            buffer_put(&t.keys, <const uint8_t*>&key, sizeof(Span))
            column.depth += 1
        if t.keys.failed or t.names.failed or not enter_container(d, t.around + column.depth - 1):
            return False
        if peek(d, d.at) != c".":
            return True
        d.at += 1

cdef bint read_stem(Decoder* d, TableHead* t, Py_ssize_t end, Span* start_part, Span* end_part) noexcept nogil:
    """prefix*suffix, up to an offset: as the JSON that stands before and behind a row's text."""
    cdef const uint8_t* text = d.data + d.at
    cdef const uint8_t* star = <const uint8_t*>memchr(text, c"*", end - d.at)
    cdef Py_ssize_t size = end - d.at, before
    cdef bint escape = False
    if star == NULL or size == 1 or memchr(star + 1, c"*", text + size - star - 1) != NULL:
        return refuse(d, b"not a stem with one * in it", d.at)
    before = star - text
    if bare_line_end(d, d.at, &escape) != end or memchr(text, c"=", size) != NULL or text[0] == c'"':
        return refuse(d, b"a stem with a character that it must not hold", d.at)
    start_part.start = t.names.size
    quote_string(text, before, False, &t.names)
    end_part.start = t.names.size
    quote_string(star + 1, size - before - 1, False, &t.names)
    if t.names.failed:
        return False
    start_part.end = end_part.start - 1  # without the closing quote
    end_part.start += 1  # without the opening one
    end_part.end = t.names.size
    d.at = end
    return True

cdef bint read_column_value(Decoder* d, TableHead* t, int32_t first) noexcept nogil:
    """What stands behind the = of a column: a stem, or the constant of the columns from `first` on."""
    cdef HeadColumn* column = column_at(t, t.width - 1)
    cdef const uint8_t* tab = <const uint8_t*>memchr(d.data + d.at, c"\t", t.line_end - d.at)
    cdef Py_ssize_t end = t.line_end if tab == NULL else tab - d.data
    cdef Span value
    cdef int32_t index
    if peek(d, d.at) != c'"' and memchr(d.data + d.at, c"*", end - d.at) != NULL:
        if first < t.width - 1:
            return refuse(d, b"a constant that must be quoted, or a stem that columns cannot share", d.at)
        column.kind = READ_STEM
        return read_stem(d, t, end, &column.value, &column.value_end)
    if peek(d, d.at) == c"(":
        if t.kind == TABLE_MEMBERS and first == t.width - 1 and end - d.at == 5 and starts(d, d.at, b"(key)"):
            column.kind = READ_KEY
            d.at = end
            return True
        return refuse(d, b"a constant that must be quoted", d.at)
    value.start = t.names.size
    if not read_inline(d, t.around + column_at(t, first).deepest):
        return False
    value.end = t.names.size
    if first < t.width - 1 and not shareable(t.names.data, value.start, value.end):
        return refuse(d, b"a value that columns cannot share", d.at)
    for index in range(first, t.width):
        column = column_at(t, index)
        column.kind = READ_CONSTANT
        column.value = value
    return True

cdef bint read_parts(Decoder* d, TableHead* t, HeadColumn* column) noexcept nogil:
    """[k, l]: the keys of the records in a column's cells, each with the JSON that stands before its value."""
    cdef Span part
    column.kind = READ_TUPLES
    column.first_part = <int32_t>(t.keys.size // <Py_ssize_t>sizeof(Span))
    column.value.start = t.names.size
    while True:
        d.at += 1
        part.start = t.names.size
        buffer_byte(&t.names, c"," if column.parts else c"{")
        if not read_key(d):
            return False
        buffer_byte(&t.names, c":")
        part.end = t.names.size
        buffer_put(&t.keys, <const uint8_t*>&part, sizeof(Span))
        if t.keys.failed or t.names.failed:
            return False
        column.parts += 1
        if not starts(d, d.at, b", "):
            break
        d.at += 1
    column.value.end = t.names.size
    if peek(d, d.at) != c"]":
        return refuse(d, b"neither a comma nor ] behind a key of records", d.at)
    d.at += 1
    return enter_container(d, t.around + column.depth + 1)

cdef bint read_column(Decoder* d, TableHead* t) noexcept nogil:
    """One column of a table's head, or several that share a constant or a cell; their names go where `d.out` points."""
    cdef int32_t first = t.width, deepest = 0
    cdef HeadColumn* column
    while True:
        if t.width == EXPAND_COLUMNS:
            return refuse(d, b"too many columns", d.at)
        if not buffer_reserve(&t.columns, (t.width + 1) * sizeof(HeadColumn)):
            return False
        column = column_at(t, t.width)
        memset(column, 0, sizeof(HeadColumn))
        if not read_path(d, t, column):
            return False
        t.width += 1
        deepest = max(deepest, column.depth)
        if not starts(d, d.at, b", "):
            break
        d.at += 2
    column_at(t, first).deepest = deepest
    if peek(d, d.at) == c"=":
        d.at += 1
        return read_column_value(d, t, first)
    for first in range(first + 1, t.width):
        column.kind = column_at(t, first).kind = READ_SAME
    if column.kind == READ_SAME:
        return not t.names.failed
    if peek(d, d.at) == c"[":
        return read_parts(d, t, column)
    if peek(d, d.at) == c"(":
        d.at += 1
        column.kind = READ_SAID
        column.value.start = t.names.size
        if not read_key(d):
            return False
        buffer_byte(&t.names, c":")
        column.value.end = t.names.size
        if peek(d, d.at) != c")":
            return refuse(d, b"no ) behind the key of what is said once", d.at)
        d.at += 1
    return not t.names.failed

cdef bint place_column(Decoder* d, TableHead* t, int32_t index) noexcept nogil:
    """Set what a column shares with the one before it. Parts of one parent must stand together, behind it, and none twice."""
    cdef HeadColumn* column = column_at(t, index)
    cdef HeadColumn* other
    cdef Span key, like
    column.shared = 0
    if index == 0:
        return True
    other = column - 1
    while column.shared < column.depth and column.shared < other.depth:
        key = path_key(t, column, column.shared)[0]
        like = path_key(t, other, column.shared)[0]
        if not equal_names(t, key, t, like):
            if key.start == key.end or like.start == like.end:
                return refuse(d, b"parts of an object and of a list under one key", d.at)
            break
        column.shared += 1
    if column.shared == other.depth:
        # Other values may stand before what is said once, lists of records and parts.
        if other.kind != READ_CELL and other.kind != READ_SAME and other.kind != READ_STEM:
            return refuse(d, b"a column twice, or one that has parts in its cells, or a constant with parts", d.at)
        if column.shared == column.depth and column.kind != READ_SAID and column.kind != READ_TUPLES:
            return refuse(d, b"a column twice", d.at)
    elif column.shared == column.depth:
        return refuse(d, b"a column behind its parts", d.at)
    while other > column_at(t, 0) and other.shared >= column.shared:
        other -= 1
        if column.shared < column.depth and column.shared < other.depth and equal_names(
            t, path_key(t, column, column.shared)[0], t, path_key(t, other, column.shared)[0]
        ):
            return refuse(d, b"a column twice, or parts of one parent apart", d.at)
    return True

cdef void put_step(
    const TableHead* t, const HeadColumn* column, int32_t shared, const HeadColumn* previous, Buffer* out
) noexcept nogil:
    """Write what stands between the values of two columns of a record; `previous` is NULL before the first."""
    cdef int32_t level
    cdef Span key, closers
    if previous == NULL:
        buffer_byte(out, c"{")
    else:
        closers = previous.closers
        closers.end = closers.start + previous.depth - shared - 1
        put_name(t, closers, out)
        buffer_byte(out, c",")
    for level in range(shared, column.depth):
        key = path_key(t, column, level)[0]
        if key.start == key.end:
            buffer_byte(out, c"[")
            continue
        if level > shared:
            buffer_byte(out, c"{")
        put_name(t, key, out)
        buffer_byte(out, c":")

cdef bint prepare_column(Decoder* d, TableHead* t, int32_t index) noexcept nogil:
    """Check the place of a column, and write what stands before and behind its values."""
    cdef HeadColumn* column = column_at(t, index)
    cdef int32_t level
    cdef Span key
    if not place_column(d, t, index):
        return False
    column.closers.start = t.names.size
    for level in range(column.depth - 1, -1, -1):
        key = path_key(t, column, level)[0]
        buffer_byte(&t.names, c"]" if key.start == key.end else c"}")
    column.closers.end = column.step.start = t.names.size
    put_step(t, column, column.shared, column - 1 if index else NULL, &t.names)
    if column.kind == READ_CONSTANT:
        if not spend(d, column.value.end - column.value.start):
            return False
        put_name(t, column.value, &t.names)
    column.step.end = t.names.size
    t.fixed += column.step.end - column.step.start
    return not t.names.failed

cdef bint read_columns(Decoder* d, TableHead* t) noexcept nogil:
    """The columns of a table's head, up to the end of the line; where its rows and records stand has been set."""
    cdef Buffer* out = d.out
    cdef int32_t index
    cdef bint rows = t.kind == TABLE_MEMBERS
    t.names.size = t.keys.size = t.columns.size = 0
    t.width = 0
    t.fixed = 0
    t.said = False
    t.line_end = line_end(d, d.at)
    d.out = &t.names
    while True:
        if not read_column(d, t):
            return False
        if peek(d, d.at) != c"\t":
            break
        d.at += 1
    for index in range(t.width):
        rows |= column_at(t, index).kind != READ_CONSTANT
        t.said |= column_at(t, index).kind == READ_SAID
        if column_at(t, index).kind == READ_STEM and not d.notes & NOTED_STEMS:
            return refuse(d, b"a stem that the head does not speak of", d.at)
        if not prepare_column(d, t, index):
            return False
    if not rows:
        return refuse(d, b"a table without a column that its rows fill", d.at)
    if t.said and not d.notes & NOTED_SAID:
        return refuse(d, b"objects said once that the head does not speak of", d.at)
    if not end_line(d):
        return False
    d.out = out
    return True
