# Glances: one look at each line of a text, which tells where it is worth looking for a template, and the window of lines looked at.
#
# What other files use:
#   bint take_glances(data, size, Buffer*)                look at all lines of a text, once
#   bint look_alike(Glance*, Glance*, Glance*)            whether three lines may be of one template
#   bint window_has(Window*, count)                       whether there are so many lines; they are in `lines` then

cdef enum:
    WINDOW_LINES = 96
    GLANCE_BYTES = 160

# What tells at a glance whether lines may have something in common.
cdef struct Glance:
    Py_ssize_t start
    uint8_t words[16]  # a hash for each of the first words, by its place; 0: none, or hardly a word
    uint32_t ending  # the last bytes
    uint16_t beginning  # a hash of the indentation and of what stands behind it
    uint8_t bars  # signs that part columns, all of them counted
    bint blank

# Lines to look at, as far as they were needed.
cdef struct Window:
    Line lines[WINDOW_LINES]
    int count
    const uint8_t* data
    const uint8_t* end
    const Glance* glances
    Py_ssize_t total

cdef inline uint32_t hash_byte(uint32_t hashed, uint8_t byte) noexcept nogil:
    return (hashed ^ byte) * <uint32_t>16777619

cdef inline Py_ssize_t beginning_size(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """How much of a line tells what it is: three bytes; of a tag its name, of a heading in brackets the bracket."""
    cdef Py_ssize_t end = at + 2
    if at < size and data[at] == 0x5B:
        return 1
    if at >= size or data[at] != 0x3C:
        return 3
    while end < size and memchr(b" />\t", data[end], 4) == NULL:
        end += 1
    return end - at

cdef void take_glance(const uint8_t* data, Py_ssize_t size, Glance* glance) noexcept nogil:
    """Look at the first bytes of a line, and at its last ones."""
    cdef Py_ssize_t at = 0, start, looked = size if size < GLANCE_BYTES else GLANCE_BYTES
    cdef uint32_t hashed = 0, beginning = 0
    cdef int word = 0
    cdef uint8_t byte
    memset(glance.words, 0, 16)
    glance.bars = 0
    while at < looked and data[at] == 0x20:
        at += 1
    glance.blank = at == size
    for start in range(beginning_size(data, at, looked)):
        beginning = hash_byte(beginning + <uint32_t>at, data[at + start] if at + start < size else 0)
    glance.beginning = <uint16_t>(beginning ^ beginning >> 16)
    start = at
    while at < looked:
        byte = data[at]
        if ATOM_ENDS[byte]:
            if at > start:
                if at - start > 1 and word < 16:
                    glance.words[word] = <uint8_t>(hashed ^ hashed >> 8) | 1
                word += 1
            if memchr(b"|\t,;", byte, 4) != NULL or (byte == 0x20 and at == start and word > 0):
                glance.bars += 1
            start = at + 1
            hashed = 0
        else:
            hashed = hash_byte(hashed, byte)
        at += 1
    if at > start + 1 and word < 16 and looked == size:
        glance.words[word] = <uint8_t>(hashed ^ hashed >> 8) | 1
    glance.ending = 0
    if size > 3:
        memcpy(&glance.ending, data + size - 4, 4)

cdef bint take_glances(const uint8_t* data, Py_ssize_t size, Buffer* glances) noexcept nogil:
    """Look at all lines of a text; False if memory ran out."""
    cdef const uint8_t* end = data + size
    cdef Line line = line_at(data, end)
    cdef Glance* glance
    while buffer_reserve(glances, sizeof(Glance)):
        glance = <Glance*>(glances.data + glances.size)
        glances.size += sizeof(Glance)
        glance.start = line.data - data
        take_glance(line.data, line.size, glance)
        if ends_all(line, end):
            return True
        line = line_at(line.data + line.size + 1, end)
    return False

cdef bint look_alike(const Glance* one, const Glance* other, const Glance* third) noexcept nogil:
    """Whether three lines may be of one template."""
    cdef int word
    if one.blank or other.blank:
        return False
    if one.bars > 1 and one.bars == other.bars and one.bars == third.bars:
        return True
    if one.ending and one.ending == other.ending and one.ending == third.ending:
        return True
    for word in range(16):
        if one.words[word] and one.words[word] == other.words[word] and one.words[word] == third.words[word]:
            return True
    return False

cdef bint window_has(Window* window, int count) noexcept nogil:
    """Whether there are so many lines."""
    if count > WINDOW_LINES or count > window.total:
        return False
    while window.count < count:
        window.lines[window.count] = line_at(window.data + window.glances[window.count].start, window.end)
        window.count += 1
    return True
