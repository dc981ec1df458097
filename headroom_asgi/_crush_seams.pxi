# Seams: where what lines begin with ends, as a reader expects it.
#
# What other files use:
#   Line line_at(at, end), bint ends_all(Line, end)            a line, without its line feed; whether none stands behind it
#   Py_ssize_t choose_seam(Line, end, int64_t* gain)           how much of a line is worth being said once, for it and those below

cdef enum:
    GROUP_BYTES = 200  # beginnings are cut here at the latest
    GROUP_LEAST = 6  # a shorter beginning saves nothing
    GROUP_LETTERS = 4  # rules and indentation are hardly a token, whatever their length
    GROUP_SEAMS = 12
    GROUP_LOOKS = 16  # lines by which the seam is chosen
    GROUP_GAIN = 40  # a group must save so many tenths of a token

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

cdef inline bint ends_all(Line line, const uint8_t* end) noexcept nogil:
    """Whether no line feed stands behind it."""
    return line.data + line.size >= end

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

cdef inline bint may_head(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether a head may say it: nothing in it means something else there."""
    cdef Py_ssize_t at
    if size and (data[0] == 0x5F or data[size - 1] == 0x5F or memchr(data, 0x2A, size) != NULL):
        return False
    for at in range(size - 1):
        if data[at] == 0x5C and data[at + 1] == 0x6E:
            return False
    return True

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
    if first.data + first.size >= end or not may_begin(first.data, first.size) or is_reference(first.data, first.size):
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
        if not may_head(first.data, seams[seam]):
            continue
        saved = 10 * (members - 1) * estimate_tokens(first.data, seams[seam]) - 6 * members - 20
        if members > 1 and saved > gain[0]:
            gain[0] = saved
            best = seams[seam]
    return best
