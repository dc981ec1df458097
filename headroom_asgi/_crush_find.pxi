# Finding in a text what raw text re-lays: JSON values, whole or cut short, and runs of one character. Linear time, no memory.
#
# What other files use:
#   bint       find_json(data, at, size, Found*)               the next object or array that is worth a block
#   bint       json_extent(data, at, size, Found*)             the value whose opening bracket is at `at`
#   Py_ssize_t find_run(data, at, end, Py_ssize_t* run_end)    the next run of one character on a line that is worth its mark
#   bint       raw_text(data, size)                            whether it is UTF-8 without a mark of its own

cdef enum:
    FOUND_BYTES = 64  # a shorter value gains nothing from a block: its two marks have some 17 tokens
    INLINE_BYTES = 512  # a shorter one behind other text on its line stays: a log line is read and quoted as a line

# A value in a text. Not whole: it lacks the brackets of `depth` containers behind `end`, where its last whole element ends.
cdef struct Found:
    Py_ssize_t start
    Py_ssize_t end
    Py_ssize_t stop  # it was looked at up to here
    Py_ssize_t brace  # the next brackets, as far as they were searched for; -1: not yet
    Py_ssize_t bracket
    int depth  # 0: whole
    bint python  # as Python prints it
    uint64_t objects  # the containers that are open at `end`, the innermost in the lowest bit; 1: an object

cdef inline Py_ssize_t key_extent(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """The offset behind a key and its colon, or ~offset of the first byte that is wrong."""
    cdef uint8_t flags = 0
    if data[at] != 0x22:
        return ~at
    at = scan_string(data, at, size, &flags)
    if at < 0:
        return at
    at = space_end(data, at, size)
    return at + 1 if at < size and data[at] == 0x3A else ~at

cdef bint lacks_members(const Found* found, int depth, const Py_ssize_t* ends, const int32_t* sizes, const int32_t* before) noexcept nogil:
    """Whether what is open in an open array, down to the next open array, has fewer members than others there had."""
    # A list of containers may be of any length, one of scalars is perhaps a row of a matrix.
    for depth in range(depth + 1, found.depth + 1):
        if ends[depth] >= 0 and depth < found.depth:
            return False
        if sizes[depth] + (depth < found.depth) < before[depth]:
            return True
    return False

cdef void drop_record(Found* found, const Py_ssize_t* ends, const int32_t* sizes, const int32_t* before) noexcept nogil:
    """Let a value that was cut inside a record end before it, if that is an eighth of all or less: a table would lose constants.

    `sizes`: the values in each open container, by depth; `before`: most in a closed one at that depth in the array around both.
    """
    cdef int depth
    for depth in range(1, found.depth + 1):
        if ends[depth] >= 0 and found.end - ends[depth] <= (found.end - found.start) // 8 and lacks_members(
            found, depth, ends, sizes, before
        ):
            found.end = ends[depth]
            found.objects >>= found.depth - depth
            found.depth = depth
            break

cdef bint json_extent(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Found* found) noexcept nogil:
    """Follow the object or array that opens at `at` to its end, or as far as it is JSON; whether one element was whole."""
    cdef Py_ssize_t ends[NEST_LIMIT]  # of the last whole element of each open array, by depth
    cdef int32_t sizes[NEST_LIMIT]
    cdef int32_t before[NEST_LIMIT]
    cdef uint64_t objects = 0
    cdef int depth = 0, deepest = 0, expect = EXPECT_VALUE
    cdef uint8_t byte, kind = 0, flags = 0
    cdef Py_ssize_t next
    found.start = at
    found.end = found.depth = -1
    while True:
        at = space_end(data, at, size)
        found.stop = at
        if at >= size:
            break
        byte = data[at]
        if expect == EXPECT_NEXT or ((byte == 0x5D or byte == 0x7D) and expect & 1):
            if byte == 0x2C and expect == EXPECT_NEXT:
                expect = EXPECT_KEY if objects & 1 else EXPECT_VALUE
                at += 1
                continue
            if byte != (0x7D if objects & 1 else 0x5D):
                break
            at += 1
            if before[depth] < sizes[depth]:
                before[depth] = sizes[depth]
            objects >>= 1
            depth -= 1
        elif expect == EXPECT_KEY or expect == EXPECT_FIRST_KEY:
            next = key_extent(data, at, size)
            if next < 0:
                found.stop = ~next
                break
            at = next
            expect = EXPECT_VALUE
            continue
        elif byte == 0x7B or byte == 0x5B:
            if depth == NEST_LIMIT - 1:
                break
            objects = objects << 1 | (byte == 0x7B)
            depth += 1
            ends[depth] = -1
            sizes[depth] = 0
            if depth > deepest:
                deepest = depth
                before[depth] = 0
            if byte == 0x5B:
                deepest = depth
            at += 1
            expect = EXPECT_FIRST_KEY if byte == 0x7B else EXPECT_FIRST_VALUE
            continue
        else:
            next = scan_scalar(data, at, size, &kind, &flags)
            # A number at the very end may go on where the text was cut.
            if next < 0 or (next == size and kind == KIND_NUMBER):
                found.stop = ~next if next < 0 else next
                break
            at = next
        # A value is whole.
        expect = EXPECT_NEXT
        found.end = found.stop = at
        found.depth = depth
        found.objects = objects
        if depth == 0:
            return True
        sizes[depth] += 1
        if not objects & 1:
            ends[depth] = at
    drop_record(found, ends, sizes, before)
    return found.end >= 0

cdef inline bint opens_json(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Whether what follows a bracket may be the first of an object or array; a cheap test."""
    cdef uint8_t byte
    cdef Py_ssize_t next = at + 1
    if at and 0x61 <= data[at - 1] | 0x20 <= 0x7A:
        return False
    while next < size and next - at < 64 and (data[next] == 0x20 or data[next] == 0x0A or data[next] == 0x0D or data[next] == 0x09):
        next += 1
    if next >= size:
        return False
    byte = data[next]
    if data[at] == 0x7B:
        return byte == 0x22
    return byte == 0x7B or byte == 0x5B or byte == 0x22 or byte == 0x2D or 0x30 <= byte <= 0x39

cdef inline bint opens_python(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Whether what follows a bracket may be the first of a list or dict as Python prints it; a cheap test."""
    cdef uint8_t byte = data[at + 1] if at + 1 < size else 0
    if byte == 0x27 or byte == 0x22:
        return True
    return data[at] == 0x5B and (byte == 0x28 or byte == 0x5B or byte == 0x7B or byte == 0x2D or in_name(byte))

cdef bint python_found(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Found* found) noexcept nogil:
    """The list or dict that opens at `at`; False if it is none that is worth a block."""
    cdef bint tuples = False
    cdef Py_ssize_t stop = at, end = python_extent(data, at, size, NULL, &tuples, &stop)
    if found.stop < stop:
        found.stop = stop
    if end - at < FOUND_BYTES:
        return False
    found.start = at
    found.end = end
    found.depth = 0
    found.python = True
    return True

cdef inline Py_ssize_t find_byte(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, uint8_t byte) noexcept nogil:
    """Offset of a byte from `at` on; `size` if it is not there."""
    cdef const uint8_t* place = <const uint8_t*>memchr(data + at, byte, size - at)
    return size if place == NULL else place - data

cdef bint find_json(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Found* found) noexcept nogil:
    """The next object or array from `at` on of FOUND_BYTES or more; what an attempt has looked at is not looked at again."""
    cdef bint cut
    while size - at >= FOUND_BYTES:
        # Either search goes on only when its last hit was passed.
        if found.brace < at:
            found.brace = find_byte(data, at, size, 0x7B)
        if found.bracket < at:
            found.bracket = find_byte(data, at, size, 0x5B)
        at = found.brace if found.brace < found.bracket else found.bracket
        if at >= size:
            return False
        found.python = False
        found.stop = at + 1
        cut = opens_json(data, at, size) and json_extent(data, at, size, found) and found.end - at >= FOUND_BYTES
        if cut and not found.depth:
            return True
        if opens_python(data, at, size) and python_found(data, at, size, found):
            return True
        if cut:
            return True
        at = found.stop
    return False

cdef Py_ssize_t run_limit(const uint8_t* at) noexcept nogil:
    """From how many of a character on a run is shorter in tokens than its mark, which has some 11."""
    # Vocabularies have long tokens for rules and indentation. Measured with o200k: 128 "=" are 2 tokens, 128 box drawings 8 to
    # 16, 128 letters 16, 64 digits 22, 24 NUL or letters beyond ASCII 12 to 24.
    cdef uint8_t byte = at[0]
    if byte == 0x09:
        return 256
    if byte < 0x20 or byte == 0x7F:
        return 24
    if 0x30 <= byte <= 0x39:
        return 64
    if byte < 0x80:
        return 128 if 0x61 <= byte | 0x20 <= 0x7A else 1024
    # U+2000 to U+2FFF, U+3000, U+FFFD, U+00A0
    if byte == 0xE2 or (byte == 0xE3 and at[1] == 0x80 and at[2] == 0x80) or (byte == 0xEF and at[1] == 0xBF):
        return 256
    return 256 if byte == 0xC2 and at[1] == 0xA0 else 24

cdef inline Py_ssize_t character_size(uint8_t first) noexcept nogil:
    """Length of a UTF-8 sequence by its first byte."""
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4

cdef Py_ssize_t find_run(const uint8_t* data, Py_ssize_t at, Py_ssize_t end, Py_ssize_t* run_end) noexcept nogil:
    """Where the next run of one character starts that is worth its mark; `end` if there is none before."""
    # A run of 24 holds a whole word, eight bytes on from some multiple of eight, that repeats itself after 1, 2 or 4 bytes (which
    # is: after 4), or stands there again three bytes later.
    cdef Py_ssize_t floor = at, start, stop, width
    cdef uint64_t word, later
    while at + 11 <= end:
        memcpy(&word, data + at, 8)
        memcpy(&later, data + at + 3, 8)
        if word != (word << 32 | word >> 32) and word != later:
            at += 8
            continue
        start = at
        while start > floor and data[start] & 0xC0 == 0x80:
            start -= 1
        width = character_size(data[start])
        stop = start + width
        while stop + width <= end and memcmp(data + stop, data + start, width) == 0:
            stop += width
        while start - width >= floor and memcmp(data + start - width, data + start, width) == 0:
            start -= width
        if data[start] != 0x0D and stop - start >= width * run_limit(data + start):
            run_end[0] = stop
            return start
        at = stop if stop > at + 8 else at + 8
        floor = stop if stop > floor else floor
    return end

cdef bint raw_text(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether a text is UTF-8 and holds no U+27E6 of its own."""
    cdef Py_ssize_t at = 0, step
    cdef uint64_t word
    while at < size:
        if data[at] < 0x80:
            while at + 8 <= size:
                memcpy(&word, data + at, 8)
                if word & 0x8080808080808080ULL:
                    break
                at += 8
            while at < size and data[at] < 0x80:
                at += 1
            continue
        step = utf8_size(data, at, size)
        if step == 0 or (data[at] == 0xE2 and data[at + 1] == 0x9F and data[at + 2] == 0xA6):
            return False
        at += step
    return True
