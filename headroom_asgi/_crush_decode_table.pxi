# Tables of a crush text: the head with its columns, the rows, and lines that stand for rows left out.

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

cdef int64_t table_count(const Decoder* d, Py_ssize_t* end) noexcept nogil:
    """The number of records of the table whose head starts here, and where its first column starts; 0 if none does."""
    cdef int64_t count
    end[0] = d.at + 1
    count = read_count(d, end)
    if count == 0 or not starts(d, end[0], b"]: "):
        return 0
    end[0] += 3
    return count

cdef inline Span* column_key(const Decoder* d, const HeadColumn* column, int32_t level) noexcept nogil:
    """The key of a column's path at a level."""
    return <Span*>d.keys.data + column.first_key + level

cdef bint read_column(Decoder* d, int32_t indent) noexcept nogil:
    """One column of a table's head; its names go where `d.out` points."""
    cdef HeadColumn* column = d.columns + d.width
    cdef Span key
    if d.width == EXPAND_COLUMNS:
        return refuse(d, b"too many columns", d.at)
    column.first_key = <int32_t>(d.keys.size // <Py_ssize_t>sizeof(Span))
    column.depth = 0
    while True:
        key.start = d.names.size
        if not read_key(d):
            return False
        key.end = d.names.size
        buffer_put(&d.keys, <const uint8_t*>&key, sizeof(Span))
        column.depth += 1
        if indent + column.depth >= EXPAND_DEPTH:
            return refuse(d, b"nested too deeply", d.at)
        if peek(d, d.at) != c".":
            break
        d.at += 1
    column.constant = peek(d, d.at) == c"="
    column.value.start = d.names.size
    if column.constant:
        d.at += 1
        if not read_inline(d, indent + 1 + column.depth):
            return False
    column.value.end = d.names.size
    d.width += 1
    return not d.keys.failed and not d.names.failed

cdef bint same_key(const Decoder* d, const HeadColumn* a, const HeadColumn* b, int32_t level) noexcept nogil:
    """Whether the paths of two columns have the same key at a level; False if one is shorter."""
    cdef const Span* x
    cdef const Span* y
    if a.depth <= level or b.depth <= level:
        return False
    x = column_key(d, a, level)
    y = column_key(d, b, level)
    return x.end - x.start == y.end - y.start and memcmp(
        d.names.data + x.start, d.names.data + y.start, x.end - x.start
    ) == 0

cdef bint place_column(Decoder* d, int32_t index) noexcept nogil:
    """Set what a column shares with the one before it. Parts of one parent must stand together, behind it, and none twice."""
    cdef HeadColumn* column = d.columns + index
    cdef HeadColumn* other
    column.shared = 0
    if index == 0:
        return True
    other = column - 1
    while same_key(d, column, other, column.shared):
        column.shared += 1
    if column.shared == column.depth or (column.shared == other.depth and other.constant):
        return refuse(d, b"a column twice, behind its parts, or a constant with parts", d.at)
    while other > d.columns and other.shared >= column.shared:
        other -= 1
        if same_key(d, column, other, column.shared):
            return refuse(d, b"a column twice, or parts of one parent apart", d.at)
    return True

cdef void put_step(Decoder* d, const HeadColumn* column, int32_t shared, const HeadColumn* previous) noexcept nogil:
    """Write what stands between the values of two columns of a record; `previous` is NULL before the first."""
    cdef int32_t level
    cdef const Span* key
    if previous == NULL:
        buffer_byte(d.out, c"{")
    else:
        for level in range(shared + 1, previous.depth):
            buffer_byte(d.out, c"}")
        buffer_byte(d.out, c",")
    for level in range(shared, column.depth):
        if level > shared:
            buffer_byte(d.out, c"{")
        key = column_key(d, column, level)
        if buffer_reserve(d.out, key.end - key.start):  # first: the names may be what is written
            buffer_put(d.out, d.names.data + key.start, key.end - key.start)
        buffer_byte(d.out, c":")

cdef bint read_columns(Decoder* d, int32_t indent) noexcept nogil:
    """The columns of a table's head, with a step for each."""
    cdef HeadColumn* column
    cdef int32_t index
    cdef bint rows = False
    d.names.size = d.keys.size = 0
    d.width = 0
    while True:
        if not read_column(d, indent):
            return False
        rows |= not d.columns[d.width - 1].constant
        if peek(d, d.at) != c"\t":
            break
        d.at += 1
    if not rows:
        return refuse(d, b"a table without a column that its rows fill", d.at)
    for index in range(d.width):
        column = d.columns + index
        if not place_column(d, index):
            return False
        column.step.start = d.names.size
        put_step(d, column, column.shared, column - 1 if index else NULL)
        if column.constant and buffer_reserve(&d.names, column.value.end - column.value.start):
            buffer_put(&d.names, d.names.data + column.value.start, column.value.end - column.value.start)
        column.step.end = d.names.size
    return not d.names.failed

cdef inline bint read_cell(Decoder* d, int32_t around) noexcept nogil:
    """The value in a cell that is not empty."""
    if mark_size(d, d.at):
        return read_fence(d)
    return read_inline(d, around)

cdef bint read_row(Decoder* d, int32_t indent) noexcept nogil:
    """One record, and the texts below its row."""
    # `shared` is the number of keys that the last column with a value and this one have in common: the objects of that many
    # keys stay open, the others are closed. All of the last path shared: it is the parent of this one, and has a value itself.
    cdef int32_t index, shared = 0, around = indent + 1
    cdef HeadColumn* column
    cdef HeadColumn* previous = NULL
    cdef bint first_cell = True
    for index in range(d.width):
        column = d.columns + index
        if column.shared < shared:
            shared = column.shared
        if not column.constant:
            if not first_cell:
                if peek(d, d.at) != c"\t":
                    return refuse(d, b"too few cells, or a character that must be escaped", d.at)
                d.at += 1
            first_cell = False
            if peek(d, d.at) == c"\t" or peek(d, d.at) == c"\n":
                if not d.empty_cells:
                    return refuse(d, b"an empty cell that the head does not speak of", d.at)
                continue
        if previous != NULL and shared == previous.depth:
            return refuse(d, b"a value where parts of it stand as well", d.at)
        if index == 0 or previous == column - 1:
            buffer_put(d.out, d.names.data + column.step.start, column.step.end - column.step.start)
        else:
            put_step(d, column, shared, previous)
            if column.constant:
                buffer_put(d.out, d.names.data + column.value.start, column.value.end - column.value.start)
        if not column.constant and not read_cell(d, around + column.depth):
            return False
        previous = column
        shared = column.depth
    if previous == NULL:
        return refuse(d, b"a record without keys", d.at)
    for index in range(previous.depth):
        buffer_byte(d.out, c"}")
    return True

cdef int64_t read_omission(Decoder* d) noexcept nogil:
    """The number of rows that <<ccr:REF-PART N rows left out>> stands for; 0 if it is malformed."""
    cdef Span ref
    cdef Py_ssize_t at
    cdef int64_t count
    cdef uint8_t byte
    ref.start = at = d.at + 6
    while True:
        byte = peek(d, at)
        if not (c"0" <= byte <= c"9" or c"a" <= byte | 0x20 <= c"z" or byte == c"_" or byte == c"." or byte == c"-"):
            break
        at += 1
    ref.end = at
    while at > ref.start and c"0" <= d.data[at - 1] <= c"9":
        at -= 1
    if at < ref.start + 2 or d.data[at - 1] != c"-" or at == ref.end or d.data[at] == c"0" or byte != c" ":
        return 0
    at = ref.end + 1
    count = read_count(d, &at)
    if count and starts(d, at, b" rows left out>>"):
        d.at = at + 16
        buffer_put(&d.refs, <const uint8_t*>&ref, sizeof(Span))
        return count
    return 0

cdef bint read_table(Decoder* d, int32_t indent) noexcept nogil:
    """A table, from the bracket of its head on; its rows stand at `indent`."""
    cdef Py_ssize_t start = 0
    cdef int64_t count = table_count(d, &start), done = 0, left_out
    cdef bint comma = False
    cdef Buffer* out = d.out
    if count < 2:
        return refuse(d, b"not the head of a table", d.at)
    d.at = start
    d.out = &d.names
    if not read_columns(d, indent) or not end_line(d):
        return False
    d.out = out
    buffer_byte(out, c"[")
    while done < count:
        if d.indent < indent:
            return refuse(d, b"fewer rows than the head of the table says", d.at)
        d.at += indent
        if starts(d, d.at, b"<<ccr:"):
            left_out = read_omission(d)
            if left_out == 0 or left_out > count - done:
                return refuse(d, b"a malformed line for rows left out, or too many rows", d.at)
            done += left_out
        else:
            if comma:
                buffer_byte(out, c",")
            comma = True
            if not read_row(d, indent):
                return False
            done += 1
        if not end_line(d):
            return False
    buffer_byte(out, c"]")
    return True
