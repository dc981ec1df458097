# Groups: neighboring lines that begin alike, their beginning said once, on a line above them.
#
#     tests/test_cache.py::*
#      test_get PASSED
#      test_set PASSED
#
# What other files use:
#   bint write_groups(data, size, Buffer*)            a text with its groups formed; False if none are worth it
#   bint expand_groups(data, size, limit, Buffer*)    back; False if that is more than so many bytes
#
# A line that ends in * above one that starts with a blank is a head: it is no line itself. In each line below it, up to the first
# that does not start with a blank, what stands before the * stands in place of that blank. So any text can be written: above lines
# of its own that would read as a group, a bare * is put.

cdef enum:
    GROUP_BYTES = 200  # beginnings are cut here at the latest
    GROUP_LEAST = 6  # a shorter beginning saves nothing
    GROUP_LETTERS = 4  # rules and indentation are hardly a token, whatever their length
    GROUP_SEAMS = 12
    GROUP_LOOKS = 16  # lines by which the seam is chosen
    GROUP_GAIN = 40  # a group must save so many tenths of a token
    GROUPS_GAIN = 320  # a text must; the note takes some 12 tokens

cdef struct Line:
    const uint8_t* data
    Py_ssize_t size

cdef inline Line line_at(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """The line that starts there, without its line feed."""
    cdef const uint8_t* stop = <const uint8_t*>memchr(at, 0x0A, end - at) if at < end else NULL
    cdef Line line
    line.data = at
    line.size = (stop if stop != NULL else end) - at
    return line

cdef inline bint in_path(uint8_t byte) noexcept nogil:
    """Whether it may stand in a path that a tool prints before a colon."""
    return is_letter(byte) or is_digit(byte) or byte >= 0x80 or (byte != 0 and memchr(b"/._-+@~", byte, 7) != NULL)

cdef bint names_file(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether it ends as the name of a file does: a point, a letter, letters and digits."""
    cdef Py_ssize_t at = size
    while at > 0 and (is_letter(data[at - 1]) or is_digit(data[at - 1])):
        at -= 1
    return at > 0 and at < size and data[at - 1] == 0x2E and is_letter(data[at])

cdef int path_seams(const uint8_t* data, Py_ssize_t size, Py_ssize_t* seams) noexcept nogil:
    """Where a line that starts with a path goes on: `a.py:` text, `a.py` :12: or -12- text, `a.py::` name; how many places."""
    cdef Py_ssize_t at = 0, digits
    cdef bint slash = False
    while at < size and in_path(data[at]):
        slash |= data[at] == 0x2F
        # Lines around a match have their number between dashes.
        if data[at] == 0x2D and at >= GROUP_LEAST:
            digits = digits_end(data, at + 1, size)
            if digits > at + 1 and digits < size and data[digits] == 0x2D and names_file(data, at):
                seams[0] = at
                return 1
        at += 1
    if at < GROUP_LEAST or at + 1 >= size or data[at] != 0x3A:
        return 0
    digits = digits_end(data, at + 1, size)
    if digits > at + 1:
        if digits == size or data[digits] != 0x3A or not (slash or names_file(data, at)):
            return 0
        seams[0] = at
        seams[1] = at + 1
        return 2
    if not names_file(data, at):
        return 0
    seams[0] = at + 2 if data[at + 1] == 0x3A else at + 1
    return 1

cdef inline bint ends_date(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Whether 2024-05-24 stands before an offset, and behind it the two digits and the colon of a time."""
    return (
        at >= 10 and at + 3 < size and data[at - 6] == 0x2D and data[at - 3] == 0x2D and is_digit(data[at - 10])
        and is_digit(data[at - 1]) and is_digit(data[at - 4]) and is_digit(data[at - 7])
        and is_digit(data[at + 1]) and is_digit(data[at + 2]) and data[at + 3] == 0x3A
    )

cdef int find_seams(const uint8_t* data, Py_ssize_t size, Py_ssize_t* seams) noexcept nogil:
    """Where a reader expects that what goes before a line's text ends, in the order of the line; how many such places."""
    cdef int count
    cdef Py_ssize_t at
    cdef uint8_t byte
    if size > GROUP_BYTES:
        size = GROUP_BYTES
    count = path_seams(data, size, seams)
    for at in range(size - 1):
        byte = data[at]
        if byte == 0x09 or ((byte == 0x54 or byte == 0x20) and ends_date(data, at, size)):
            seams[count] = at + 1
        elif (byte == 0x5D or byte == 0x7C) and data[at + 1] == 0x20:
            seams[count] = at + 2
        else:
            continue
        if seams[count] >= GROUP_LEAST:
            count += 1
            if count == GROUP_SEAMS:
                break
    return count

cdef inline bint may_begin(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether a line may begin a group: not what is indented, JSON, markup or quoted."""
    if size < GROUP_LEAST or memchr(b" \t{<\"*", data[0], 6) != NULL:
        return False
    return data[0] != 0x5B or memchr(b"{[\"", data[1], 3) == NULL

cdef inline bint may_belong(const Line* line, const uint8_t* start, Py_ssize_t size) noexcept nogil:
    """Whether a line begins so and does not open a value that goes on below."""
    cdef Py_ssize_t end = line.size
    if end < size or memcmp(line.data, start, size) != 0:
        return False
    if end > size and line.data[end - 1] == 0x0D:
        end -= 1
    return line.data[end - 1] != 0x7B and line.data[end - 1] != 0x5B

cdef inline bint has_word(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether there are some letters or digits in it."""
    cdef Py_ssize_t at
    cdef int letters = 0
    for at in range(size):
        letters += is_letter(data[at]) or is_digit(data[at]) or data[at] >= 0x80
    return letters >= GROUP_LETTERS

cdef Py_ssize_t choose_seam(Line first, const uint8_t* end, int64_t* gain) noexcept nogil:
    """Size of the beginning that saves most in the lines from here on, and what it saves, in tenths; 0 if none saves enough."""
    cdef Py_ssize_t seams[GROUP_SEAMS + 2]
    cdef Line lines[GROUP_LOOKS]
    cdef int looks = 1, count, seam, members
    cdef Py_ssize_t best = 0, common
    cdef int64_t saved
    gain[0] = GROUP_GAIN - 1
    lines[0] = first
    if first.data + first.size >= end or not may_begin(first.data, first.size):
        return 0
    lines[1] = line_at(first.data + first.size + 1, end)
    common = 0
    while common < lines[1].size and common < first.size and common < GROUP_BYTES and first.data[common] == lines[1].data[common]:
        common += 1
    if common < GROUP_LEAST:
        return 0
    count = find_seams(first.data, common + 4 if common + 4 < first.size else first.size, seams)
    looks = 2
    for seam in range(count):
        if seams[seam] > common or not has_word(first.data, seams[seam]):
            continue
        members = 0
        while members < GROUP_LOOKS:
            if members == looks:
                if lines[looks - 1].data + lines[looks - 1].size >= end:
                    break
                lines[looks] = line_at(lines[looks - 1].data + lines[looks - 1].size + 1, end)
                looks += 1
            if not may_belong(&lines[members], first.data, seams[seam]):
                break
            members += 1
        saved = 10 * (members - 1) * estimate_tokens(first.data, seams[seam]) - 6 * members - 20
        if members > 1 and saved > gain[0]:
            gain[0] = saved
            best = seams[seam]
    return best

cdef inline bint ends_all(Line line, const uint8_t* end) noexcept nogil:
    """Whether no line feed stands behind it."""
    return line.data + line.size >= end

cdef inline bint is_indented(Line line) noexcept nogil:
    return line.size > 0 and line.data[0] == 0x20

cdef inline bint is_head(Line line, const uint8_t* end) noexcept nogil:
    """Whether it ends in * above an indented line."""
    return (
        line.size > 0 and line.data[line.size - 1] == 0x2A and not ends_all(line, end)
        and is_indented(line_at(line.data + line.size + 1, end))
    )

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

cdef bint write_groups(const uint8_t* data, Py_ssize_t size, Buffer* out) noexcept nogil:
    """Append a text with its groups formed; False, and nothing, if that is not worth it."""
    cdef const uint8_t* end = data + size
    cdef Py_ssize_t start = out.size, shared
    cdef int64_t gain = 0, gains = 0
    cdef bint inside = False
    cdef Line line = line_at(data, end)
    while True:
        shared = choose_seam(line, end, &gain)
        if shared:
            gains += gain
        if shared or is_head(line, end) or (inside and is_indented(line)):
            line = write_group(line, shared, end, out)
            inside = True
        else:
            put_line_rest(line, 0, end, out)
            inside = False
        if ends_all(line, end):
            break
        line = line_at(line.data + line.size + 1, end)
    if gains >= GROUPS_GAIN and not out.failed:
        return True
    out.size = start
    return False

cdef bint expand_groups(const uint8_t* data, Py_ssize_t size, Py_ssize_t limit, Buffer* out) noexcept nogil:
    """Append what a text with groups stands for; False if that is more than so many bytes."""
    cdef const uint8_t* end = data + size
    cdef Line line = line_at(data, end), head
    cdef bint inside = False
    while out.size <= limit:
        if inside and is_indented(line):
            buffer_put(out, head.data, head.size - 1)
            put_line_rest(line, 1, end, out)
        else:
            inside = is_head(line, end)
            if inside:
                head = line
            else:
                put_line_rest(line, 0, end, out)
        if ends_all(line, end):
            return out.size <= limit
        line = line_at(line.data + line.size + 1, end)
    return False
