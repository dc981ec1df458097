# Groups: neighboring lines of one pattern, said once on a line above them.
#
#     tests/test_cache.py::*        [2025-11-14T*] [INFO] *        NAME    READY   AGE
#      test_get PASSED               19:30:01.2Z⇥started           web-___ 1/1     *
#      test_set PASSED               19:30:04.9Z⇥connected          4xk2q⇥5d
#
# What other files use:
#   int write_groups(data, size, Buffer*)                      a text with its groups formed; the notes it needs, 0: none is worth it
#   int expand_groups(data, size, notes, limit, Buffer*)       back; EXPANDED, or what is wrong
#
# A line that starts with no blank and holds a *, above one that starts with a blank, is a head: it is no line itself. Each line
# below it, up to the first that starts with no blank, is a row: what it holds behind its blank, cut at tabs, stands in place of
# each *. So any text can be written: above lines of its own that would read as a group, a bare * is put.

cdef enum:
    GROUPS_STARTS = 1  # lines that begin alike
    GROUPS_HOLES = 2  # more than one hole, or text behind it
    GROUPS_WIDTHS = 4  # columns with a width
    GROUPS_RECORDS = 8  # records of several lines

cdef enum:
    EXPANDED = 0
    EXPANDED_TOO_LARGE = 1
    EXPANDED_NO_ROW = 2
    GROUPS_GAIN = 32 * TOKEN  # what a text must save; the note takes some 12 to 30
    FILL_LIMIT = 64
    # So often lines may look alike and have no template; each one that is found allows for some more. This bounds the time.
    FAILURE_LIMIT = 10000
    FAILURE_CREDIT = 16

cdef inline bint is_indented(Line line) noexcept nogil:
    return line.size > 0 and line.data[0] == 0x20

cdef inline bint is_times(Line line) noexcept nogil:
    """Whether it says that the line above stands several times; that ends no group."""
    return line.size > 5 and memcmp(line.data, b"\xe2\x9f\xa6\xc3\x97 ", 6) == 0

cdef inline bint is_head(Line line, const uint8_t* end) noexcept nogil:
    """Whether it holds a * above an indented line."""
    return (
        line.size > 0 and line.data[0] != 0x20 and memchr(line.data, 0x2A, line.size) != NULL and not ends_all(line, end)
        and is_indented(line_at(line.data + line.size + 1, end))
    )

cdef bint names_lines(Line head) noexcept nogil:
    """Whether a head stands for records of several lines, where the notes speak of such."""
    cdef Py_ssize_t at = find_byte(head.data, 0, head.size, 0x5C)
    while at + 1 < head.size and head.data[at + 1] != 0x6E:
        at = find_byte(head.data, at + 1, head.size, 0x5C)
    return at + 1 < head.size

cdef inline void put_line_rest(Line line, Py_ssize_t start, const uint8_t* end, Buffer* out) noexcept nogil:
    """Append a line from an offset on, with its line feed, if it has one."""
    buffer_put(out, line.data + start, line.size - start + (not ends_all(line, end)))

cdef Line write_group(Line first, Py_ssize_t size, const uint8_t* end, Buffer* out) noexcept nogil:
    """Append a group, whose lines begin as the first one does in so many bytes; its last line."""
    cdef Line line = first, next
    buffer_put(out, first.data, size)
    buffer_text(out, b"*\n")
    while True:
        buffer_byte(out, 0x20)
        put_line_rest(line, size, end, out)
        if ends_all(line, end):
            return line
        next = line_at(line.data + line.size + 1, end)
        # Below a bare * come all lines that would be read as its own.
        if not (may_belong(&next, first.data, size) if size else is_indented(next)):
            return line
        line = next

cdef bint repeats_cell(const Template* t, const Filled* cells, Filled* before, uint8_t* repeated) noexcept nogil:
    """Whether a cell worth a hole has been the same for some rows now, so that another template may be better."""
    cdef bint found = False
    cdef int i
    for i in range(t.holes):
        if cells[i].size >= GROUP_LEAST and equal_bytes(cells[i].data, cells[i].size, before[i].data, before[i].size):
            repeated[i] += 1
            found |= repeated[i] == LOOK_LEAST
        else:
            repeated[i] = 0
        before[i] = cells[i]
    return found

cdef Line write_rows(const Template* t, Line first, const uint8_t* end, Buffer* out, bint* repeats) noexcept nogil:
    """Append the rows of a template, whose first record starts there; the last line, and whether a cell begins to repeat itself."""
    cdef Filled cells[HOLE_LIMIT]
    cdef Filled before[HOLE_LIMIT]
    cdef uint8_t repeated[HOLE_LIMIT]
    cdef Line line = first, last = first
    cdef int i, rows = 0
    memset(before, 0, sizeof(before))
    memset(repeated, 0, sizeof(repeated))
    repeats[0] = False
    while True:
        for i in range(1, t.lines):
            if ends_all(line, end) or stands_alone(line):
                return last
            line = line_at(line.data + line.size + 1, end)
        if stands_alone(line) or not template_match(t, first.data, line.data + line.size - first.data, cells):
            return last
        cells_put(t, cells, out)
        rows += 1
        last = line
        if ends_all(line, end):
            return last
        buffer_byte(out, 0x0A)
        if (repeats_cell(t, cells, before, repeated) or t.weak) and rows >= LOOK_LINES:
            repeats[0] = True
            return last
        first = line = line_at(line.data + line.size + 1, end)

cdef int write_groups(const uint8_t* data, Py_ssize_t size, Buffer* out) noexcept nogil:
    """Append a text with its groups formed; the notes that it needs, or 0, and nothing, if that is not worth it."""
    cdef const uint8_t* end = data + size
    cdef Py_ssize_t start = out.size, shared
    cdef int64_t gain = 0, saved = 0, stays, gains = 0
    cdef const uint8_t* from_line
    cdef Py_ssize_t from_size
    cdef bint inside = False
    cdef int notes = 0, lines, failures = 0
    cdef Line line = line_at(data, end)
    cdef Template template, current
    cdef bint repeats = False
    cdef Window window
    cdef Buffer scratch, glances
    buffer_open(&scratch)
    buffer_open(&glances)
    if not take_glances(data, size, &glances):
        out.failed = True
    window.data = data
    window.end = end
    window.glances = <const Glance*>glances.data
    window.total = glances.size // <Py_ssize_t>sizeof(Glance)
    while True:
        from_line = line.data
        from_size = out.size
        shared = choose_seam(line, end, &gain)
        while window.total and data + window.glances.start < line.data:
            window.glances += 1
            window.total -= 1
        window.count = 0
        lines = template_choose(&window, &template, &scratch, &saved) if failures < FAILURE_LIMIT else 0
        failures = failures + (window.count > LOOK_LEAST) if lines == 0 else failures - FAILURE_CREDIT
        failures = failures if failures > 0 else 0
        stays = 10 * rows_gain(&current, &window, &scratch) if repeats else 0
        repeats = False
        # Rows go on below the head that is there, unless another one saves more, its own cost included.
        if stays > 0 and (not lines or stays >= 10 * saved) and (not shared or stays >= gain * TOKEN):
            line = write_rows(&current, line, end, out, &repeats)
            inside = True
        elif lines and (not shared or 10 * saved > gain * TOKEN):
            current = template
            notes |= template_notes(&current)
            template_put(&current, out)
            buffer_byte(out, 0x0A)
            line = write_rows(&current, line, end, out, &repeats)
            inside = True
        elif shared or is_head(line, end) or (inside and is_indented(line)):
            notes |= GROUPS_STARTS
            line = write_group(line, shared, end, out)
            inside = True
        else:
            put_line_rest(line, 0, end, out)
            inside = inside and is_times(line)
        if inside and not out.failed:
            gains += cost_of(from_line, line.data + line.size - from_line) - cost_of(out.data + from_size, out.size - from_size)
        if ends_all(line, end):
            break
        line = line_at(line.data + line.size + 1, end)
    out.failed |= scratch.failed
    buffer_close(&scratch)
    buffer_close(&glances)
    if gains >= GROUPS_GAIN and not out.failed:
        return notes
    out.size = start
    return 0

# Back

# Text of a head, and how what follows is filled in.
cdef struct Fill:
    const uint8_t* text
    Py_ssize_t size
    Py_ssize_t width  # in characters; 0: as wide as it is
    bint right

cdef struct Head:
    Fill fills[FILL_LIMIT + 1]
    int holes
    Py_ssize_t blanks  # before the text

cdef inline Py_ssize_t signs_at(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """How many _ stand there."""
    cdef Py_ssize_t stop = at
    while stop < size and data[stop] == 0x5F:
        stop += 1
    return stop - at

cdef bint read_group_head(Line line, int notes, Head* head) noexcept nogil:
    """What a head says; False if it has too many holes."""
    cdef Py_ssize_t at = 0, star, signs
    cdef bint widths = notes & GROUPS_WIDTHS
    cdef Fill* fill = head.fills
    head.holes = 0
    head.blanks = signs_at(line.data, 0, line.size) if widths else 0
    if head.blanks and line.data[head.blanks] == 0x2A:
        head.blanks = 0
    at = head.blanks
    while True:
        memset(fill, 0, sizeof(Fill))
        fill.text = line.data + at
        star = find_byte(line.data, at, line.size, 0x2A)
        if fill != head.fills and star < line.size and star - at == 1 and (line.data[at] == 0x2C or line.data[at] == 0x3B) and not (fill - 1).width:
            at = star + 1
            continue
        fill.size = star - at
        if star == line.size:
            return True
        if head.holes == FILL_LIMIT:
            return False
        head.holes += 1
        signs = 0
        while widths and signs < fill.size and fill.text[fill.size - 1 - signs] == 0x5F:
            signs += 1
        at = star + 1
        if signs:
            fill.right = True
            fill.size -= signs
        elif widths:
            signs = signs_at(line.data, at, line.size)
            at += signs
        fill.width = signs + 1 if signs else 0
        fill += 1

cdef void put_filled_text(const Fill* fill, int notes, Buffer* out) noexcept nogil:
    """Append text of a head, with the line feeds that it names."""
    cdef Py_ssize_t at = 0, stop
    while notes & GROUPS_RECORDS:
        stop = find_byte(fill.text, at, fill.size, 0x5C)
        if stop + 1 >= fill.size:
            break
        buffer_put(out, fill.text + at, stop - at)
        if fill.text[stop + 1] == 0x6E:
            buffer_byte(out, 0x0A)
            stop += 1
        else:
            buffer_byte(out, 0x5C)
        at = stop + 1
    buffer_put(out, fill.text + at, fill.size - at)

cdef bint put_row_filled(const Head* head, int notes, Line row, Buffer* out) noexcept nogil:
    """Append the line or lines that a row stands for; False if it has too few cells."""
    cdef Py_ssize_t at = 1, stop, characters, i
    cdef const Fill* fill = head.fills
    cdef int hole
    put_signs(0x20, <int32_t>head.blanks, out)
    for hole in range(head.holes):
        stop = row.size if hole == head.holes - 1 else find_byte(row.data, at, row.size, 0x09)
        if hole < head.holes - 1 and stop == row.size:
            return False
        put_filled_text(fill, notes, out)
        characters = 0
        for i in range(at, stop if fill.width else at):
            characters += row.data[i] & 0xC0 != 0x80
        if fill.right and fill.width > characters:
            put_signs(0x20, <int32_t>(fill.width - characters), out)
        buffer_put(out, row.data + at, stop - at)
        if not fill.right and fill.width > characters:
            put_signs(0x20, <int32_t>(fill.width - characters), out)
        at = stop + 1
        fill += 1
    put_filled_text(fill, notes, out)
    return True

cdef int expand_groups(const uint8_t* data, Py_ssize_t size, int notes, Py_ssize_t limit, Buffer* out) noexcept nogil:
    """Append what a text with groups stands for; what is wrong, if something is."""
    cdef const uint8_t* end = data + size
    cdef Line line = line_at(data, end)
    cdef Head head
    cdef bint inside = False
    while out.size <= limit:
        if inside and is_indented(line):
            if not put_row_filled(&head, notes, line, out):
                return EXPANDED_NO_ROW
            if not ends_all(line, end):
                buffer_byte(out, 0x0A)
        elif is_times(line):
            put_line_rest(line, 0, end, out)
        else:
            inside = is_head(line, end)
            if not inside:
                put_line_rest(line, 0, end, out)
            elif not read_group_head(line, notes, &head):
                return EXPANDED_NO_ROW
        if ends_all(line, end):
            return EXPANDED if out.size <= limit else EXPANDED_TOO_LARGE
        line = line_at(line.data + line.size + 1, end)
    return EXPANDED_TOO_LARGE
