# What was seen so far: all lines, in the order in which a reader comes to them, and where those stand that can be recognized.
#
# What other files use: Place, Seen, seen_slot, earlier_entry, seen_open, seen_add, seen_cut.
#
# A line that can be recognized is an entry by the hash of what stands behind its number. One of a hunk of a diff is an entry by
# the hash of what stands behind its sign as well. An entry is twice the number of the line, and one more where it is of the latter kind.

cdef enum:
    SEEN_LIMIT = 0x100000  # lines that are remembered, 48 bytes each: more than any model reads

cdef struct Place:
    int32_t first  # its first line
    int32_t result  # the number of the result that it is of
    const uint8_t* name
    Py_ssize_t name_size
    const uint8_t* near  # its name in the other texts of that result
    Py_ssize_t near_size

cdef struct Seen:
    SeenLine* lines
    Py_ssize_t size
    Py_ssize_t capacity
    int32_t* table  # the last entry of each hash, open addressing; -1: none. Never more than half full
    Py_ssize_t slots
    Py_ssize_t entries
    uint64_t odd  # spreads hashes over the table; where that lies nobody outside knows. What is found does not depend on it
    Place* places  # of each text
    Py_ssize_t texts
    bint failed

cdef inline uint32_t entry_hash(const Seen* seen, int32_t entry) noexcept nogil:
    return seen.lines[entry >> 1].bare if entry & 1 else seen.lines[entry >> 1].hash

cdef inline int32_t earlier_entry(const Seen* seen, int32_t entry) noexcept nogil:
    """The entry before it with the same hash, -1 if there is none."""
    return seen.lines[entry >> 1].earlier_bare if entry & 1 else seen.lines[entry >> 1].earlier

cdef inline Py_ssize_t seen_slot(const Seen* seen, uint32_t hash) noexcept nogil:
    """The place of a hash in the table."""
    cdef Py_ssize_t mask = seen.slots - 1
    cdef Py_ssize_t slot = <Py_ssize_t>((hash * seen.odd) >> 40) & mask
    while seen.table[slot] >= 0 and entry_hash(seen, seen.table[slot]) != hash:
        slot = (slot + 1) & mask
    return slot

cdef inline void seen_enter(Seen* seen, int32_t at) noexcept nogil:
    """Let a line be found."""
    cdef SeenLine* line = &seen.lines[at]
    cdef Py_ssize_t slot = seen_slot(seen, line.hash)
    line.earlier = seen.table[slot]
    seen.table[slot] = 2 * at
    if line.sign:
        slot = seen_slot(seen, line.bare)
        line.earlier_bare = seen.table[slot]
        seen.table[slot] = 2 * at + 1

cdef inline int entries_of(const SeenLine* line) noexcept nogil:
    """How many entries a line is."""
    if not line.anchors:
        return 0
    return 2 if line.sign else 1

cdef bint seen_open(Seen* seen, Py_ssize_t more) noexcept nogil:
    """A table with room for so many entries more; False if there is no memory."""
    cdef Py_ssize_t slots = seen.slots if seen.slots else 1024
    cdef Py_ssize_t at
    cdef int32_t* table
    while slots < 2 * (seen.entries + more):
        slots *= 2
    if slots == seen.slots:
        return True
    table = <int32_t*>malloc(slots * sizeof(int32_t))
    if table == NULL:
        return False
    memset(table, 0xFF, slots * sizeof(int32_t))
    free(seen.table)
    seen.table = table
    seen.slots = slots
    seen.odd = (<uint64_t><size_t>table * 0x9E3779B97F4A7C15ULL) | 1
    # In the order in which they came, so that the last one can be taken back first.
    for at in range(seen.size):
        if seen.lines[at].anchors:
            seen_enter(seen, <int32_t>at)
    return True

cdef void seen_add(Seen* seen, SeenLine line) noexcept nogil:
    """A line that a reader sees."""
    cdef SeenLine* lines
    cdef Py_ssize_t capacity
    if seen.size == seen.capacity:
        capacity = seen.capacity * 2 if seen.capacity else 1024
        lines = <SeenLine*>realloc(seen.lines, capacity * sizeof(SeenLine))
        if lines == NULL:
            seen.failed = True
            return
        seen.lines = lines
        seen.capacity = capacity
    line.anchors = has_letters(line.data + line.gutter, line.size - line.gutter)
    seen.lines[seen.size] = line
    if line.anchors:
        seen_enter(seen, <int32_t>seen.size)
        seen.entries += entries_of(&line)
    seen.size += 1

cdef void seen_cut(Seen* seen, Py_ssize_t texts) noexcept nogil:
    """Forget all texts but the first ones."""
    cdef const SeenLine* line
    if texts >= seen.texts:
        return
    while seen.size > seen.places[texts].first:
        seen.size -= 1
        line = &seen.lines[seen.size]
        if line.anchors:
            if line.sign:
                seen.table[seen_slot(seen, line.bare)] = line.earlier_bare
            seen.table[seen_slot(seen, line.hash)] = line.earlier
            seen.entries -= entries_of(line)
    seen.texts = texts
