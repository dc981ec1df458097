# Rows that are not kept give way to markers, and move into a part of their own.

cdef void leave_out(
    Crush* crush, const Table* table, const Row* rows, Py_ssize_t start, int indent, Py_ssize_t head, Py_ssize_t head_size
) noexcept nogil:
    """Replace the rows that are not kept by markers, and move them into a part of their own."""
    cdef Buffer* out = &crush.out
    cdef Part part
    cdef Py_ssize_t begin
    cdef int32_t row, run = 0
    part.start = crush.parts.size
    part.rows = 0
    part.gaps = False
    for row in range(table.rows):
        part.rows += not rows[row].kept
        part.gaps |= rows[row].gaps and not rows[row].kept
    crush.rows.size = 0
    buffer_put(&crush.rows, out.data + start, out.size - start)
    buffer_byte(&crush.parts, 0x5B)
    put_int(part.rows, &crush.parts)
    buffer_text(&crush.parts, b"]: ")
    buffer_put(&crush.parts, out.data + head, head_size)
    if crush.rows.failed:
        return
    out.size = start
    for row in range(table.rows):
        begin = rows[row - 1].end if row else 0
        if rows[row].kept:
            buffer_put(out, crush.rows.data + begin, rows[row].end - begin)
            continue
        buffer_put(&crush.parts, crush.rows.data + begin + indent, rows[row].end - begin - indent)
        run += 1
        if row + 1 == table.rows or rows[row + 1].kept:
            put_indent(indent, out)
            put_marker(crush, run)
            run = 0
    part.end = crush.parts.size
    buffer_put(&crush.part_list, <uint8_t*>&part, sizeof(Part))

cdef void put_marker(Crush* crush, int32_t rows) noexcept nogil:
    """Append the line of an omission; its ref is put in when the text is done."""
    buffer_text(&crush.out, b"<<ccr:")
    buffer_put(&crush.marks, <uint8_t*>&crush.out.size, sizeof(Py_ssize_t))
    buffer_byte(&crush.out, 0x2D)
    put_int(crush.part_list.size // <Py_ssize_t>sizeof(Part) + 1, &crush.out)
    buffer_byte(&crush.out, 0x20)
    put_int(rows, &crush.out)
    buffer_text(&crush.out, b" rows left out>>\n")
