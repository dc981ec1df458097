# The body of a text that is no JSON value: its runs and the JSON in it are re-laid, its lines stand in groups.
#
# What other files use:
#   bint put_body(Crush*, data, size, last)              to `out`; whether there was anything to do

cdef enum:
    # Blocks among groups have to save a thirtieth: a text with both is compared with others as it stands (_crush_filled.pxi).
    BOTH_SHARE = 30

cdef enum:
    LINES_FREE  # any run of theirs is re-laid
    LINES_ROWS  # only whole lines that repeat
    LINES_KEPT

cdef void put_lines_of(Crush* crush, const uint8_t* data, Py_ssize_t start, Py_ssize_t end, int kind, bint last) noexcept nogil:
    """Append lines of one kind."""
    if kind == LINES_KEPT:
        buffer_put(&crush.out, data + start, end - start)
    else:
        put_runs(crush, data, start, end, True, last, kind == LINES_FREE)

cdef void put_grouped(Crush* crush, const uint8_t* data, Py_ssize_t size, bint last) noexcept nogil:
    """Append a text with groups, with the runs re-laid of lines that are neither head nor row, and rows that repeat."""
    cdef const uint8_t* end = data + size
    cdef Line line = line_at(data, end)
    cdef Py_ssize_t kept = 0, start = 0
    cdef int kind, kind_kept = LINES_FREE, rows = LINES_ROWS
    while start <= size:
        kind = rows if is_indented(line) else LINES_KEPT if is_head(line, end) else LINES_FREE
        if kind == LINES_KEPT and not is_indented(line):
            # Of a record of several lines, the last one would be the line above.
            rows = LINES_KEPT if crush.groups & GROUPS_RECORDS and names_lines(line) else LINES_ROWS
        if kind != kind_kept:
            put_lines_of(crush, data, kept, start, kind_kept, True)
            kept = start
            kind_kept = kind
        start += line.size + 1
        line = line_at(data + start, end)
    put_lines_of(crush, data, kept, size, kind_kept, last)

cdef int64_t cost_since(const Crush* crush, Py_ssize_t start, const Mark* mark) noexcept nogil:
    """Tokens of what was written since, refs and all."""
    cdef int64_t refs = (crush.marks.size - mark.marks) // <Py_ssize_t>sizeof(Py_ssize_t)
    return 0 if crush.out.failed else refs * REF_TOKENS + estimate_tokens(crush.out.data + start, crush.out.size - start)

cdef bint put_better(
    Crush* crush, const uint8_t* data, Py_ssize_t size, const Buffer* grouped, Py_ssize_t start, const Mark* mark, bint last
) noexcept nogil:
    """Write again what was written since `start`, blocks: with groups, or groups only, if that is shorter; whether it has groups."""
    cdef int64_t blocks = cost_since(crush, start, mark), groups = estimate_tokens(grouped.data, grouped.size)
    mark_back(crush, mark)
    crush.out.size = start
    if put_blocks(crush, grouped.data, grouped.size, last):
        if BOTH_SHARE * cost_since(crush, start, mark) <= (BOTH_SHARE - 1) * min(blocks, groups):
            return True
        mark_back(crush, mark)
        crush.out.size = start
    if groups <= blocks:
        put_grouped(crush, grouped.data, grouped.size, last)
        return True
    put_blocks(crush, data, size, last)
    return False

cdef bint put_body(Crush* crush, const uint8_t* data, Py_ssize_t size, bint last) noexcept nogil:
    """Append a text re-laid and with groups; whether there was anything to do. `last`: whether its last line is a whole one."""
    cdef Mark mark = mark_here(crush)
    cdef Py_ssize_t start = crush.out.size
    cdef bint styled = crush.styled
    cdef Buffer grouped
    buffer_open(&grouped)
    crush.groups = write_groups(data, size, &grouped)
    if put_blocks(crush, data, size, last):
        if crush.groups and not put_better(crush, data, size, &grouped, start, &mark, last):
            crush.groups = 0
    elif crush.groups:
        put_grouped(crush, grouped.data, grouped.size, last)
    else:
        put_runs(crush, data, 0, size, True, last)
    crush.styled = styled
    crush.out.failed |= grouped.failed
    buffer_close(&grouped)
    return crush.groups != 0 or crush.raws
