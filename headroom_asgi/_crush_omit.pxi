# Rows that are not kept give way to markers, and go into a part of their own.
#
# What other files use:
#   int32_t leave_out(...)     write both apart, if that pays

cdef int32_t leave_out(
    Crush* crush, const Doc* doc, Table* table, Py_ssize_t start, Drawn* drawn, int indent, int depth, Py_ssize_t head
) noexcept nogil:
    """Choose rows, write them and markers from `start` on, the others to the parts; how many rows then stand there, all if it pays.

    Some rows stand there already, as is noted. `head`: where the head of the table goes on behind its count; it ends there.
    """
    cdef Row* rows = <Row*>arena_take(table.arena, table.rows * sizeof(Row))
    cdef ArenaMark mark = arena_mark(table.arena)
    cdef Py_ssize_t marks = crush.marks.size, kept, left
    cdef int32_t runs
    cdef bint gaps = crush.gaps
    cdef Part part
    part.rows = 0 if rows == NULL else choose_rows(table, rows, &crush.needles)
    if part.rows == 0:
        return drawn.rows
    part.start = crush.parts.size
    part.style = crush.style
    # The rows of groups have lines of their own between them, which depend on what stays.
    if table.groups != NULL:
        drawn.rows = 0
        drawn.ends.size = 0
    buffer_put(&drawn.text, crush.out.data + start, crush.out.size - start)
    crush.out.size = start
    kept = put_kept(crush, doc, table, rows, drawn, indent, depth, &runs)
    # Rows take much memory: what was learned of them is not needed any more when most are written.
    if table.width:
        table.columns.numbers = NULL
    arena_back(table.arena, mark)
    put_part_head(crush, table, part.rows, head, start, indent)
    gaps |= crush.gaps
    crush.gaps = False
    left = put_left(crush, doc, table, rows, drawn, indent, depth) + <Py_ssize_t>indent * part.rows
    part.end = crush.parts.size
    part.gaps = table.gaps or crush.gaps
    crush.gaps |= gaps
    if repays(left, runs, kept + left):
        buffer_put(&crush.part_list, <uint8_t*>&part, sizeof(Part))
        return table.rows
    crush.out.size = start
    crush.marks.size = marks
    crush.parts.size = part.start
    if drawn.rows:
        buffer_put(&crush.out, drawn.text.data, drawn.text.size)
    seek_row(table, drawn.rows)
    table.group = table.group_left = 0
    return drawn.rows

cdef Py_ssize_t put_kept(
    Crush* crush, const Doc* doc, Table* table, const Row* rows, const Drawn* drawn, int indent, int depth, int32_t* runs
) noexcept nogil:
    """Append rows that are kept, the lines of groups, and markers for the other rows; the bytes without those, and the runs."""
    cdef Py_ssize_t begin, markers = 0, start = crush.out.size
    cdef bint listed = is_listed(table), behind = True
    cdef int32_t row, first = 0
    cdef Summary summary
    summary_open(&summary, table)
    table.group = table.group_left = 0
    runs[0] = 0
    for row in range(table.rows):
        if rows[row].kept:
            if put_drawn(crush, drawn, row, 0):
                behind = True
                continue
            if behind and not listed:
                seek_row(table, row)
            put_next(crush, doc, table, row, indent, depth, listed)
            behind = False
            continue
        behind = True
        if table.groups != NULL:
            open_groups(crush, table, indent)
            table.group_left -= 1
        if begins_run(rows, row):
            first = row
            runs[0] += 1
        if ends_run(rows, row, table.rows):
            begin = crush.out.size
            put_marker(crush, &summary, first, row + 1, indent)
            markers += crush.out.size - begin
    return crush.out.size - start - markers

cdef Py_ssize_t put_left(
    Crush* crush, const Doc* doc, Table* table, const Row* rows, const Drawn* drawn, int indent, int depth
) noexcept nogil:
    """Append the rows that are left out to the parts, at the left margin; their bytes."""
    cdef Buffer out = crush.out
    cdef Py_ssize_t begin = crush.parts.size
    cdef bint omit = crush.omit, listed = is_listed(table), behind = True
    cdef int32_t row
    crush.out = crush.parts
    crush.omit = False
    for row in range(table.rows):
        if rows[row].kept or put_drawn(crush, drawn, row, indent):
            behind = True
        elif listed:
            put_listed(crush, doc, table.columns, row, 0, depth)
        else:
            if behind:
                seek_row(table, row)
            behind = False
            put_row(crush, doc, table, row, 0, depth)
    crush.omit = omit
    crush.parts = crush.out
    crush.out = out
    return crush.parts.size - begin

cdef void put_part_head(Crush* crush, const Table* table, int32_t rows, Py_ssize_t head, Py_ssize_t end, int indent) noexcept nogil:
    """Append the head of a part: the same as that of the table, said-once tables with it, at the left margin."""
    cdef const uint8_t* at = crush.out.data + head
    cdef const uint8_t* stop = crush.out.data + end
    cdef const uint8_t* line
    buffer_byte(&crush.parts, 0x5B if table.keys == NULL else 0x7B)
    put_int(rows, &crush.parts)
    if table.groups != NULL:
        at += table.group_head
    while at < stop:
        line = <const uint8_t*>memchr(at, 0x0A, stop - at) + 1
        buffer_put(&crush.parts, at, line - at)
        at = line + indent

cdef void put_marker(Crush* crush, Summary* summary, int32_t first, int32_t end, int indent) noexcept nogil:
    """Append the line that stands for a run of rows; its ref is put in when the text is done."""
    put_indent(indent, &crush.out)
    buffer_text(&crush.out, b"<<ccr:")
    buffer_put(&crush.marks, <uint8_t*>&crush.out.size, sizeof(Py_ssize_t))
    buffer_byte(&crush.out, 0x2D)
    put_int(crush.part_list.size // <Py_ssize_t>sizeof(Part) + 1, &crush.out)
    buffer_byte(&crush.out, 0x20)
    put_int(end - first, &crush.out)
    buffer_text(&crush.out, b" rows left out")
    put_summary(summary, crush, first, end)
    buffer_text(&crush.out, b">>\n")
