# Glances: one look at each line of a text, which tells where it is worth looking for a template, and the window of lines looked at.
#
# What other files use:
#   bint take_glances(data, size, Buffer*)                look at all lines of a text, once
#   bint look_alike(Glance*, Glance*, Glance*)            whether three lines may be of one template
#   bint window_has(Window*, count)                       whether there are so many lines; they are in `lines` then

cdef enum:
    WINDOW_LINES = 96
    GLANCE_BYTES = 160
    KINDS_OF_LINES = 65536  # as Glance.beginning tells them apart
    REGION_LOOKS = 16  # lines at the beginning of a region that tell with which line its records begin

# What tells at a glance whether lines may have something in common.
cdef struct Glance:
    Py_ssize_t start
    uint8_t words[16]  # a hash for each of the first words, by its place; 0: none, or hardly a word
    uint32_t ending  # the last bytes
    uint16_t beginning  # a hash of the indentation and of what stands behind it
    uint8_t bars  # signs that part columns, all of them counted
    bint blank
    bint rule  # nothing but one sign, as `-----`, which parts what stands around it as a blank line does
    Py_ssize_t first  # of the lines that begin so: its number
    Py_ssize_t indent  # blanks
    Py_ssize_t back  # lines up to the first one of its region: no blank line and none with less indentation stands between

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
    if at < size and data[at] == 0x5B and data[size - 1] == 0x5D:
        return 1
    if at >= size or data[at] != 0x3C:
        return 3
    while end < size and memchr(b" />\t", data[end], 4) == NULL:
        end += 1
    return end - at

cdef bint is_rule(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Three signs or more, all the same, of those that lines are drawn with."""
    cdef Py_ssize_t at
    if size < 3 or memchr(b"-=*_~#+", data[0], 7) == NULL:
        return False
    for at in range(1, size):
        if data[at] != data[0]:
            return False
    return True

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
    glance.rule = is_rule(data + at, size - at)
    glance.indent = at
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

cdef Py_ssize_t lines_back(const Glance* glance, Py_ssize_t number) noexcept nogil:
    """How many lines there are from the first one of its region to the line of this number; those above are looked at already."""
    cdef Py_ssize_t above = 1
    # What is indented more is skipped by whole regions, so each line is looked at a few times only.
    while above <= number and not (glance - above).blank and (glance - above).indent > glance.indent:
        above += (glance - above).back + 1
    if above > number or (glance - above).blank or (glance - above).indent < glance.indent:
        return above - 1
    return above + (glance - above).back

cdef bint take_glances(const uint8_t* data, Py_ssize_t size, Buffer* glances) noexcept nogil:
    """Look at all lines of a text; False if memory ran out."""
    cdef const uint8_t* end = data + size
    cdef Line line = line_at(data, end)
    cdef Glance* glance
    cdef Py_ssize_t number = 0
    cdef uint32_t* firsts = <uint32_t*>calloc(KINDS_OF_LINES, sizeof(uint32_t))  # by beginning, counted from 1
    if firsts == NULL:
        return False
    while buffer_reserve(glances, sizeof(Glance)):
        glance = <Glance*>(glances.data + glances.size)
        glances.size += sizeof(Glance)
        glance.start = line.data - data
        take_glance(line.data, line.size, glance)
        glance.back = lines_back(glance, number)
        number += 1
        if not firsts[glance.beginning]:
            firsts[glance.beginning] = <uint32_t>number
        glance.first = firsts[glance.beginning]
        if ends_all(line, end):
            free(firsts)
            return True
        line = line_at(line.data + line.size + 1, end)
    free(firsts)
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

cdef inline bint begin_alike(const Glance* one, const Glance* other, int lines) noexcept nogil:
    """Whether so many lines begin as the others do."""
    cdef int line
    for line in range(lines):
        if one[line].beginning != other[line].beginning:
            return False
    return True

cdef bint begins_record(const Glance* glances, int lines) noexcept nogil:
    """Whether records of so many lines begin here, not in the middle of one: then a row would hold cells of two."""
    cdef const Glance* first = glances - glances.back
    cdef bint closed = glances.back == 0 and (glances[lines - 1].blank or glances[lines - 1].rule)
    cdef int line, look
    # What stands behind a blank line or a rule may be the next one's; and what begins as lines further up do that no record began.
    for line in range(1, lines):
        if glances[line].blank or glances[line].rule:
            if line < lines - 1:
                return False
        elif glances[line].indent < glances.indent:
            return False
        elif not closed and glances[line].indent == glances.indent and glances[line].first < glances.first:
            return False
    # As the first record of a region does, whatever else stands in that. Where a line below begins like the first one, which of
    # them that is can only be told if all records down to here are alike.
    for line in range(1, lines):
        if glances[line].beginning == glances.beginning:
            return glances.back == 0 or (glances.back % lines == 0 and begin_alike(first, glances, lines))
    for look in range(REGION_LOOKS):
        if first + look >= glances:
            return True
        for line in range(lines):
            if first[look].indent == glances.indent and first[look].beginning == glances[line].beginning:
                return line == 0
    return True

cdef bint window_has(Window* window, int count) noexcept nogil:
    """Whether there are so many lines."""
    if count > WINDOW_LINES or count > window.total:
        return False
    while window.count < count:
        window.lines[window.count] = line_at(window.data + window.glances[window.count].start, window.end)
        window.count += 1
    return True
