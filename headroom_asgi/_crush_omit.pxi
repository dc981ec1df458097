# Rows that are not kept give way to markers, and move into a part of their own.

cdef void leave_out(
    Crush* crush, const Doc* doc, Table* table, const Row* rows, Py_ssize_t start, int indent, int depth, Py_ssize_t head
) noexcept nogil:
    """Replace the rows that are not kept by markers, and move them into a part of their own.

    The text from `start` on is the rows, and what stands between groups of them. `head`: where the head of the table goes on behind
    its count; it ends where the rows start. `indent` and `depth` are those the rows were written with.
    """
    cdef Buffer* out = &crush.out
    cdef Py_ssize_t at = start, end = out.size, mark = crush.marks.size
    cdef int32_t row, first = 0
    cdef Summary summary
    cdef Part part
    part.start = crush.parts.size
    part.rows = 0
    part.gaps = table.gaps
    for row in range(table.rows):
        if not rows[row].kept:
            part.rows += 1
            part.gaps |= rows[row].gaps
    put_part_head(crush, table, part.rows, head, start, indent)
    summary_open(&summary, table)
    # What stays is written behind all rows, and then moves into their place.
    for row in range(table.rows):
        if rows[row].kept:
            buffer_again(out, at, start + rows[row].end)
            at = start + rows[row].end
            continue
        if row == 0 or rows[row - 1].kept or rows[row].opens:
            first = row
            buffer_again(out, at, start + rows[row].start)
        at = start + rows[row].end
        if rows[row].styled and indent:
            put_again(crush, doc, table, row, depth)
        elif indent:
            buffer_put(&crush.parts, out.data + start + rows[row].start + indent, rows[row].end - rows[row].start - indent)
        if row + 1 == table.rows or rows[row + 1].kept or rows[row + 1].opens:
            if not indent:
                buffer_put(&crush.parts, out.data + start + rows[first].start, rows[row].end - rows[first].start)
            put_indent(indent, out)
            put_marker(crush, row + 1 - first)
            put_summary(&summary, crush, first, row + 1)
            buffer_text(out, b">>\n")
    buffer_again(out, at, end)
    out.size -= end - start
    memmove(out.data + start, out.data + end, out.size - start)
    while mark < crush.marks.size:
        (<Py_ssize_t*>(crush.marks.data + mark))[0] -= end - start
        mark += sizeof(Py_ssize_t)
    part.end = crush.parts.size
    buffer_put(&crush.part_list, <uint8_t*>&part, sizeof(Part))

cdef void put_again(Crush* crush, const Doc* doc, Table* table, int32_t row, int depth) noexcept nogil:
    """Append a row to the parts at the left margin: what stands below it is indented as well, but not all of it."""
    cdef Buffer out = crush.out
    cdef bint omit = crush.omit
    crush.out = crush.parts
    crush.omit = False
    seek_row(table, row)
    put_row(crush, doc, table, row, 0, depth)
    crush.omit = omit
    crush.parts = crush.out
    crush.out = out

cdef void put_part_head(Crush* crush, const Table* table, int32_t rows, Py_ssize_t head, Py_ssize_t end, int indent) noexcept nogil:
    """Append the head of a part: the same as that of the table, said-once tables with it, at the left margin."""
    cdef const uint8_t* at = crush.out.data + head
    cdef const uint8_t* stop = crush.out.data + end
    cdef const uint8_t* line
    buffer_byte(&crush.parts, 0x5B if table.keys == NULL else 0x7B)
    put_int(rows, &crush.parts)
    if table.groups != NULL:
        at += 2  # the second pair of brackets
    while at < stop:
        line = <const uint8_t*>memchr(at, 0x0A, stop - at) + 1
        buffer_put(&crush.parts, at, line - at)
        at = line + indent

cdef void put_marker(Crush* crush, int32_t rows) noexcept nogil:
    """Begin the line of an omission; its ref is put in when the text is done."""
    buffer_text(&crush.out, b"<<ccr:")
    buffer_put(&crush.marks, <uint8_t*>&crush.out.size, sizeof(Py_ssize_t))
    buffer_byte(&crush.out, 0x2D)
    put_int(crush.part_list.size // <Py_ssize_t>sizeof(Part) + 1, &crush.out)
    buffer_byte(&crush.out, 0x20)
    put_int(rows, &crush.out)
    buffer_text(&crush.out, b" rows left out")
