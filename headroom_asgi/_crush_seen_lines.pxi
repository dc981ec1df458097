# Lines that are compared with each other: what can be recognized, what the number is of those of a file view, who reads as whom.
#
# What other files use: SeenLine, read_line, in_hunk, has_letters, is_reference, reads_as, same_behind, numbers_on, whole_part.

cdef enum:
    ANCHOR_LETTERS = 8  # letters and digits by which a line can be recognized
    NUMBER_DIGITS = 7
    HEAD_LINES = 24  # a head further up is far from what follows anyway

cdef struct SeenLine:
    const uint8_t* data
    uint32_t size
    uint32_t hash  # of what stands behind the number
    uint32_t bare  # of what stands behind the sign
    int32_t text  # number of its text, from 0
    int32_t earlier  # the entry before it with that hash, -1 if none
    int32_t earlier_bare  # and that before it with the hash of what stands behind its sign
    int32_t number  # its line number, -1 if it has none
    uint8_t gutter  # bytes of number and what surrounds it
    uint8_t padding  # blanks before the number
    uint8_t hops  # references that a reader follows to it
    uint8_t sign  # by which a line of a hunk of a diff was added, was taken away or stays; 0 of all others
    uint8_t anchors  # it can be recognized, and is found by its hash
    uint8_t ends  # no run goes over it
    uint8_t rises  # its number is higher than all above it in its text

cdef inline bint is_word_byte(uint8_t byte) noexcept nogil:
    return (byte | 0x20) - 0x61 < 26 and (byte | 0x20) >= 0x61 or 0x30 <= byte <= 0x39 or byte >= 0x80

cdef bint has_letters(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Enough of them to recognize a line by."""
    cdef Py_ssize_t at
    cdef int letters = 0
    for at in range(size):
        letters += is_word_byte(data[at])
        if letters >= ANCHOR_LETTERS:
            return True
    return False

cdef uint32_t hash_line(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Words of eight bytes multiplied into each other; only for the table, equality is looked at byte by byte."""
    cdef uint64_t word, hash = 0x9E3779B97F4A7C15ULL ^ <uint64_t>size
    cdef Py_ssize_t at = 0
    while at < size:
        word = 0
        memcpy(&word, data + at, min(size - at, 8))
        hash = (hash ^ word) * 0xFF51AFD7ED558CCDULL  # the mixing step of MurmurHash3, public domain
        hash ^= hash >> 33
        at += 8
    return <uint32_t>((hash * 0xC4CEB9FE1A85EC53ULL) >> 32)

cdef void read_gutter(SeenLine* line) noexcept nogil:
    """The number at the start of a line of a file view: blanks, digits, then a tab, an arrow or a colon."""
    cdef Py_ssize_t at = 0, digits
    cdef int32_t number = 0
    line.number = -1
    line.gutter = line.padding = 0
    while at < line.size and at < 16 and line.data[at] == 0x20:
        at += 1
    digits = at
    while at < line.size and at - digits < NUMBER_DIGITS and 0x30 <= line.data[at] <= 0x39:
        number = number * 10 + line.data[at] - 0x30
        at += 1
    if at == digits or at == line.size or (line.data[digits] == 0x30 and at - digits > 1):
        return
    if line.data[at] == 0x09 or (line.data[at] == 0x3A and digits == 0):
        line.gutter = <uint8_t>(at + 1)
    elif at + 3 <= line.size and line.data[at] == 0xE2 and line.data[at + 1] == 0x86 and line.data[at + 2] == 0x92:
        line.gutter = <uint8_t>(at + 3)
    else:
        return
    line.number = number
    line.padding = <uint8_t>digits

cdef bint is_reference(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """It starts as the lines do that say a run."""
    return size > 3 and data[0] == 0x5B and data[1] == 0x2B and 0x30 <= data[2] <= 0x39

cdef bint has_marker(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Something is left out here."""
    cdef Py_ssize_t at = 0
    cdef const uint8_t* found
    while at + 6 <= size:
        found = <const uint8_t*>memchr(data + at, 0x3C, size - at - 5)
        if found == NULL:
            return False
        if memcmp(found, b"<<ccr:", 6) == 0:
            return True
        at = found - data + 1
    return False

cdef inline bint is_sign(uint8_t byte) noexcept nogil:
    return byte == 0x2B or byte == 0x2D or byte == 0x20

cdef inline bint in_hunk(bint before, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """The line opens a hunk of a diff or a patch, or stands in one, as that before it does."""
    if size > 1 and data[0] == 0x40 and data[1] == 0x40:  # @@
        return True
    if size > 14 and data[0] == 0x2A and memcmp(data, b"*** Add File: ", 14) == 0:
        return True
    # A note is behind a backslash; blanks before an end of line are often lost.
    return before and (size == 0 or is_sign(data[0]) or data[0] == 0x5C)

cdef SeenLine read_line(const uint8_t* data, Py_ssize_t size, int32_t text, bint of_hunk) noexcept nogil:
    cdef SeenLine line
    line.data = data
    line.size = <uint32_t>size
    line.text = text
    line.earlier = line.earlier_bare = -1
    line.hops = line.anchors = line.sign = line.rises = 0
    line.bare = 0
    read_gutter(&line)
    line.hash = hash_line(data + line.gutter, size - line.gutter)
    if of_hunk and size and is_sign(data[0]) and not line.gutter:
        line.sign = data[0]
        line.bare = hash_line(data + 1, size - 1)
    line.ends = is_reference(data, size) or has_marker(data, size)
    return line

cdef inline int32_t digits_of(int32_t number) noexcept nogil:
    cdef int32_t digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits

cdef bint reads_as(const SeenLine* a, const SeenLine* b, int32_t shift) noexcept nogil:
    """`b` reads as `a` with that added to its number; a padded number keeps its width as long as it fits."""
    cdef int32_t padding
    if a.hash != b.hash or a.gutter == 0 or b.gutter == 0 or shift == 0:
        return a.hash == b.hash and a.size == b.size and memcmp(a.data, b.data, a.size) == 0
    if b.number - a.number != shift or a.size - a.gutter != b.size - b.gutter:
        return False
    padding = a.padding
    if padding > 0:
        padding += digits_of(a.number) - digits_of(b.number)
    if b.padding != (padding if padding > 0 else 0):
        return False
    # What stands behind the digits is the same too: the sign that ends the number, and the line.
    padding = a.padding + digits_of(a.number)
    return (a.size - padding == b.size - b.padding - digits_of(b.number)
            and memcmp(a.data + padding, b.data + b.padding + digits_of(b.number), a.size - padding) == 0)

cdef bint same_behind(const SeenLine* a, bint a_signed, const SeenLine* b, bint b_signed) noexcept nogil:
    """The lines are the same behind their numbers, and behind the sign of that of which it is said."""
    cdef Py_ssize_t from_a = 1 if a_signed else a.gutter
    cdef Py_ssize_t from_b = 1 if b_signed else b.gutter
    return ((a.bare if a_signed else a.hash) == (b.bare if b_signed else b.hash) and a.size - from_a == b.size - from_b
            and memcmp(a.data + from_a, b.data + from_b, a.size - from_a) == 0)

cdef bint numbers_on(const SeenLine* anchor, const SeenLine* line, int32_t ahead) noexcept nogil:
    """The line has the number of the anchor and that many more, spelled as the anchor's is."""
    cdef int32_t digits = digits_of(anchor.number), longer = digits_of(line.number)
    cdef int32_t sign = anchor.gutter - anchor.padding - digits
    return (line.gutter and line.number == anchor.number + ahead
            and line.padding == max(anchor.padding + digits - longer if anchor.padding else 0, 0)
            and line.gutter == line.padding + longer + sign
            and memcmp(line.data + line.gutter - sign, anchor.data + anchor.gutter - sign, sign) == 0)

cdef int indent_of(const SeenLine* line) noexcept nogil:
    """Blanks and tabs behind the number or the sign; -1 for a line of nothing else."""
    cdef Py_ssize_t start = 1 if line.sign else line.gutter
    cdef Py_ssize_t at = start
    while at < line.size and (line.data[at] == 0x20 or line.data[at] == 0x09):
        at += 1
    return <int>(at - start) if at < line.size else -1

cdef int64_t rows_below(const SeenLine* line) noexcept nogil:
    """Of the head of a table at the left margin (`[27]: date⇥open`, `{3}: ...`) how many rows are to follow; 0 of any other line."""
    cdef const uint8_t* data = line.data
    cdef Py_ssize_t at = 1
    cdef int64_t rows = 0
    if line.size < 4 or (data[0] != 0x5B and data[0] != 0x7B):
        return 0
    while at < line.size and at <= NUMBER_DIGITS and 0x30 <= data[at] <= 0x39:
        rows = rows * 10 + data[at] - 0x30
        at += 1
    if at == 1 or at == line.size or data[at] != data[0] + 2 or memchr(data + at, 0x3A, line.size - at) == NULL:
        return 0
    return rows

cdef int32_t whole_part(const SeenLine* lines, int32_t count, Py_ssize_t left) noexcept nogil:
    """As many of the lines as leave no name away from what it names.

    A line that has the next line under it (deeper) stays with it, the head of a block or of a list, and so does that of a table
    of which rows follow.
    """
    cdef int depth, indent
    cdef int32_t i, top = max(count - HEAD_LINES, 0)
    if count >= left:
        return count
    depth = indent_of(&lines[count])  # of the first line behind the run
    i = count
    while i > top:
        indent = indent_of(&lines[i - 1])
        if 0 <= indent < depth or rows_below(&lines[i - 1]) > count - i:
            # The lines between this head and the end of the run belong to it: the run ends before it.
            count = i - 1
            depth = indent
        i -= 1
    return count
