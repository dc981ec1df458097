# Tables of a crush text: the rows with their cells, and lines that stand for rows left out.

cdef bint skip_mark(Decoder* d, int32_t indent, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Behind a value below the row, a line that repeats the mark (the span) of the text that follows: skip it."""
    cdef Py_ssize_t at = d.below + indent + 1, size = end - start, blank
    if not d.parted:
        return True
    for blank in range(d.below, at):
        if peek(d, blank) != c" ":
            return refuse(d, b"no line with the mark of the next text below a row", start)
    if d.size - at < size or memcmp(d.data + at, d.data + start, size) != 0 or peek(d, at + size) != c"\n":
        return refuse(d, b"no line with the mark of the next text below a row", start)
    d.below = at + size + 1
    return True

cdef bint read_styled_cell(Decoder* d, int32_t indent, int32_t around) noexcept nogil:
    """(style) in a cell: the string that spells the value below the row, which stands deeper than the row by one blank."""
    cdef Py_ssize_t start = d.out.size, at, mark = d.at
    cdef int32_t base = d.base
    cdef int style = open_string(d)
    cdef bint done
    at = d.at
    if style < 0 or not skip_mark(d, indent, mark, at):
        return False
    enter_line(d, d.below if d.below else line_end(d, at) + 1)
    if d.indent <= indent:
        return refuse(d, b"nothing below a row that announces it", at)
    if peek(d, d.at + indent + 1) == c"[" or peek(d, d.at + indent + 1) == c"{":
        d.at += indent + 1
        d.base = base + around - indent - 2
        done = read_table(d, indent + 2)
    else:
        d.base = base + around - indent - 1
        done = read_block(d, indent + 1)
    d.below = d.at
    d.parted = True
    d.at = at
    d.base = base
    return done and close_string(d, start, style)

cdef inline bint read_cell(Decoder* d, int32_t indent, int32_t around) noexcept nogil:
    """The value in a cell that is not empty."""
    cdef uint8_t first = peek(d, d.at)
    if first == c'"' and mark_size(d, d.at):
        return skip_mark(d, indent, d.at, d.at + mark_size(d, d.at)) and read_fence(d, around)
    if first == c"(":
        return read_styled_cell(d, indent, around)
    return read_inline(d, around)

cdef bint read_scalar_cell(Decoder* d, TableHead* t) noexcept nogil:
    """A cell in a list of scalars."""
    cdef uint8_t first = peek(d, d.at)
    if first == c"[" or first == c"{" or first == c"\t" or first == c"\n":
        return refuse(d, b"not a scalar in a list of scalars", d.at)
    return read_cell(d, t.indent, t.around)

cdef bint read_stemmed(Decoder* d, const TableHead* t, Span stem, Span stem_end) noexcept nogil:
    """A text cell, with the stem around it."""
    # The quote that opens the text is overwritten by the last byte of the stem, the one that closes it by the stem's end.
    cdef Buffer* out = d.out
    cdef Py_ssize_t quote
    if not spend(d, stem.end - stem.start + stem_end.end - stem_end.start):
        return False
    buffer_put(out, t.names.data + stem.start, stem.end - stem.start - 1)
    quote = out.size
    if not read_text_cell(d) or out.failed:
        return False
    out.data[quote] = t.names.data[stem.end - 1]
    out.size -= 1
    buffer_put(out, t.names.data + stem_end.start, stem_end.end - stem_end.start)
    return True

cdef bint read_value_of(Decoder* d, TableHead* t, const HeadColumn* column) noexcept nogil:
    """What a cell holds that is not an ordinary one."""
    if column.kind == READ_STEM:
        return read_stemmed(d, t, column.value, column.value_end)
    if column.kind == READ_SAID:
        return read_said_cell(d, t, column)
    return read_tuples(d, t, column)

cdef bint read_record(Decoder* d, TableHead* t, bint started) noexcept nogil:
    """One record, and the texts below its row; `started`: there is a cell before its own."""
    # `shared` is the number of keys that the last column with a value and this one have in common: the containers of that many
    # keys stay open, the others are closed. All of the last path shared: it is the parent of this one, and has a value itself.
    cdef int32_t index, shared = 0
    cdef Py_ssize_t value = 0, value_end = 0  # of the last cell, in what is written; the same if it was empty
    cdef HeadColumn* columns = column_at(t, 0)
    cdef HeadColumn* column
    cdef HeadColumn* previous = NULL
    for index in range(t.width):
        column = columns + index
        if column.shared < shared:
            shared = column.shared
        if column.kind == READ_SAME and value == value_end:
            continue
        if column.kind != READ_CONSTANT and column.kind != READ_SAME and column.kind != READ_KEY:
            value = value_end
            if started:
                if peek(d, d.at) != c"\t":
                    return refuse(d, b"too few cells, or a character that must be escaped", d.at)
                d.at += 1
            started = True
            if peek(d, d.at) == c"\t" or peek(d, d.at) == c"\n":
                if not d.notes & NOTED_GAPS:
                    return refuse(d, b"an empty cell that the head does not speak of", d.at)
                continue
        if previous != NULL and shared == previous.depth:
            return refuse(d, b"a value where parts of it stand as well", d.at)
        if index == 0 or previous == column - 1:
            buffer_put(d.out, t.names.data + column.step.start, column.step.end - column.step.start)
        else:
            put_step(t, column, shared, previous, d.out)
            if column.kind == READ_CONSTANT:
                put_name(t, column.value, d.out)
        if column.kind == READ_CELL:
            value = d.out.size
            if not read_cell(d, t.indent, t.around + column.deepest):
                return False
            value_end = d.out.size
        elif column.kind == READ_SAME:
            if not spend(d, value_end - value):
                return False
            buffer_again(d.out, value, value_end)
        elif column.kind == READ_KEY:
            if not spend(d, t.key.end - t.key.start):
                return False
            buffer_again(d.out, t.key.start, t.key.end)
        elif column.kind != READ_CONSTANT and not read_value_of(d, t, column):
            return False
        previous = column
        shared = column.depth
    if previous == NULL:
        return refuse(d, b"a record without keys", d.at)
    put_name(t, previous.closers, d.out)
    return True

cdef bint read_matrix_row(Decoder* d, TableHead* t) noexcept nogil:
    """The scalars of a row, and those that stand in every row."""
    cdef int64_t cell
    cdef bint started = False
    if t.fixed and not spend(d, t.fixed):
        return False
    for cell in range(t.cells):
        buffer_byte(d.out, c"," if cell else c"[")
        if t.width and column_at(t, <int32_t>cell).kind == READ_CONSTANT:
            put_name(t, column_at(t, <int32_t>cell).value, d.out)
            continue
        if started and peek(d, d.at) != c"\t":
            return refuse(d, b"too few cells, or a character that must be escaped", d.at)
        d.at += started
        started = True
        if not read_scalar_cell(d, t):
            return False
    buffer_byte(d.out, c"]")
    return True

cdef bint read_row(Decoder* d, TableHead* t) noexcept nogil:
    """What a row stands for, with the texts below it."""
    if t.kind == TABLE_LIST:
        return read_stemmed(d, t, t.stem, t.stem_end) if t.stem.end else read_scalar_cell(d, t)
    if t.kind == TABLE_MATRIX:
        return read_matrix_row(d, t)
    if not spend(d, t.fixed):
        return False
    if t.kind == TABLE_MEMBERS:
        t.key.start = d.out.size
        if not read_text_cell(d):
            return False
        t.key.end = d.out.size
        buffer_byte(d.out, c":")
        return read_record(d, t, True)
    return read_record(d, t, False)

cdef int64_t read_omission(Decoder* d) noexcept nogil:
    """The number of rows that <<ccr:REF-PART N rows left out: SUMMARY>> stands for; 0 if it is malformed."""
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
    if count == 0 or not starts(d, at, b" rows left out"):
        return 0
    at += 14
    if starts(d, at, b": "):
        at = summary_end(d, at + 2)
    if at < 0 or not starts(d, at, b">>"):
        return 0
    d.at = at + 2
    buffer_put(&d.refs, <const uint8_t*>&ref, sizeof(Span))
    return count

cdef Py_ssize_t summary_end(const Decoder* d, Py_ssize_t start) noexcept nogil:
    """Offset of the > that ends the summary of what was left out; negative if there is no summary."""
    cdef Py_ssize_t at = start, step
    while at < d.size and d.data[at] >= 0x20 and d.data[at] != c">" and d.data[at] != 0x7F:
        step = 1 if d.data[at] < 0x80 else utf8_size(d.data, at, d.size)
        if step == 0:
            return -1
        at += step
    return at if at > start else -1

cdef bint read_rows(Decoder* d, TableHead* t, int64_t count) noexcept nogil:
    """So many rows of a table, or lines that stand for them."""
    cdef int64_t done = 0, left_out
    cdef bint comma = False
    cdef Py_ssize_t start
    while done < count:
        if d.indent < t.indent:
            return refuse(d, b"fewer rows than the head of the table says", d.at)
        d.at += t.indent
        if starts(d, d.at, b"<<ccr:"):
            if not d.notes & NOTED_OMISSIONS or t.lister != NULL:
                return refuse(d, b"rows left out that the head does not speak of, or of objects said once", d.at)
            left_out = read_omission(d)
            if left_out == 0 or left_out > count - done:
                return refuse(d, b"a malformed line for rows left out, or too many rows", d.at)
            done += left_out
        else:
            if comma:
                buffer_byte(d.out, c",")
            comma = True
            start = d.out.size
            if not read_row(d, t):
                return False
            if t.lister != NULL and not list_object(d, t, start):
                return False
            done += 1
        if not end_line(d):
            return False
    return True

cdef bint put_group_key(Decoder* d, TableHead* t) noexcept nogil:
    """The key of a list that is alone in an object."""
    cdef Py_ssize_t at = d.at, key = t.group_key
    d.at = key
    if not spend(d, t.start - key) or not read_key(d):
        return False
    key = d.at
    d.at = at
    return key + 4 == t.start or refuse(d, b"not a key before the brackets of lists", key)

cdef bint read_groups(Decoder* d, TableHead* t) noexcept nogil:
    """The lists of a list of lists of records, each a line with its number of rows, and the rows."""
    cdef int64_t group, count
    cdef Py_ssize_t at
    cdef bint keyed = t.group_key > 0
    for group in range(t.count):
        if d.indent < t.indent:
            return refuse(d, b"fewer lists than the head of the table says", d.at)
        at = d.at + t.indent + 1
        count = read_count(d, &at)
        if peek(d, d.at + t.indent) != c"[" or (count == 0 and not starts(d, at, b"0]")):
            return refuse(d, b"no line with the number of rows of a list", d.at)
        at += count == 0
        if peek(d, at) != c"]":
            return refuse(d, b"no line with the number of rows of a list", d.at)
        d.at = at + 1
        if not end_line(d):
            return False
        if group:
            buffer_byte(d.out, c",")
        if keyed:
            buffer_byte(d.out, c"{")
            if not put_group_key(d, t):
                return False
        buffer_text(d.out, b":[" if keyed else b"[")
        if not read_rows(d, t, count):
            return False
        buffer_text(d.out, b"]}" if keyed else b"]")
    return True

cdef bint read_fixed(Decoder* d, TableHead* t) noexcept nogil:
    """1=a, 2, 3, 4=b: one column of a matrix, or several with the value that stands in every row, by their numbers, to `d.out`."""
    cdef int32_t first = t.width
    cdef Py_ssize_t at
    while True:
        at = d.at
        if t.width == EXPAND_COLUMNS or t.width == t.cells or read_count(d, &at) != t.width + 1:
            return refuse(d, b"not the number of the next column", d.at)
        if not buffer_reserve(&t.columns, (t.width + 1) * sizeof(HeadColumn)):
            return False
        memset(column_at(t, t.width), 0, sizeof(HeadColumn))
        t.width += 1
        d.at = at
        if not starts(d, at, b", "):
            break
        d.at += 2
    if peek(d, d.at) != c"=":
        return t.width == first + 1 or refuse(d, b"no value behind columns that share it", d.at)
    d.at += 1
    if peek(d, d.at) == c"[" or peek(d, d.at) == c"{":
        return refuse(d, b"not a scalar in a list of scalars", d.at)
    if not read_column_value(d, t, first):
        return False
    if column_at(t, first).kind != READ_CONSTANT:
        return refuse(d, b"a constant that must be quoted", d.at)
    for first in range(first, t.width):
        t.fixed += column_at(t, first).value.end - column_at(t, first).value.start
    return True

cdef bint read_matrix_head(Decoder* d, TableHead* t) noexcept nogil:
    """The columns of a matrix, if the head has them."""
    cdef Buffer* out = d.out
    cdef int32_t index
    t.width = 0
    t.fixed = 0
    if peek(d, d.at) != c" ":
        return True
    t.names.size = t.keys.size = t.columns.size = 0
    t.line_end = line_end(d, d.at)
    d.out = &t.names
    while t.width < t.cells:
        if peek(d, d.at) != (c"\t" if t.width else c" "):
            return refuse(d, b"fewer columns than the head of the table says", d.at)
        d.at += 1
        if not read_fixed(d, t):
            return False
    d.out = out
    for index in range(t.width):
        if column_at(t, index).kind == READ_CELL:
            return not t.names.failed
    return refuse(d, b"a table without a column that its rows fill", d.at)

cdef bint read_list_head(Decoder* d, TableHead* t) noexcept nogil:
    """The rest of the head of a list or matrix: its stem, if it has one, or its columns."""
    t.stem.end = 0
    if t.kind == TABLE_MATRIX and not read_matrix_head(d, t):
        return False
    if t.kind == TABLE_LIST and peek(d, d.at) != c"\n":
        if not d.notes & NOTED_STEMS:
            return refuse(d, b"a stem that the head does not speak of", d.at)
        t.names.size = 0
        if not read_stem(d, t, line_end(d, d.at), &t.stem, &t.stem_end):
            return False
    return enter_container(d, t.around - 1) and end_line(d)

cdef bint read_table(Decoder* d, int32_t indent) noexcept nogil:
    """A table, from the bracket of its head on; its rows stand at `indent`."""
    cdef TableHead* t = next_table(d)
    cdef bint done
    if not table_starts(d, d.at, t):
        return refuse(d, b"not the head of a table", d.at)
    d.at = t.start
    t.indent = indent
    t.around = indent + (2 if t.kind == TABLE_GROUPS or t.kind == TABLE_MATRIX else 1) + (t.kind == TABLE_GROUPS and t.group_key > 0)
    t.lister = NULL
    t.said = False
    if not (read_list_head(d, t) if t.kind >= TABLE_MATRIX else read_columns(d, t)):
        return False
    if t.said and not read_said(d, t):
        return False
    buffer_byte(d.out, c"{" if t.kind == TABLE_MEMBERS else c"[")
    if not (read_groups(d, t) if t.kind == TABLE_GROUPS else read_rows(d, t, t.count)):
        return False
    buffer_byte(d.out, c"}" if t.kind == TABLE_MEMBERS else c"]")
    return True
