# The different values of a column, or the first words of its texts, as long as they are few: which rows have a rare one, and which
# row is the first with each.
#
# What other files use:
#   struct Kinds                                        `closed`: they are too many; `same`: the kind of the last value
#   void kinds_open(Kinds*), kinds_add(Kinds*, text, size, row)
#   void kinds_sign(Kinds*, first, Row*)

cdef enum:
    KIND_LIMIT = 48  # more values are no kinds of something
    KIND_SLOTS = 128
    VALUES_LIMIT = 12  # of so many kinds the first row of each is shown
    VALUE_BYTES = 32
    RARE_ROWS = 3  # at most so many rows have a rare value
    RARE_LIMIT = 8  # more rows with rare values in a column, and they are not rare

cdef struct Kind:
    const uint8_t* text
    int32_t size
    int32_t count
    int32_t rows[RARE_ROWS]

cdef extern from *:
    """
    /* Whether up to 32 bytes are the same: most values are shorter than a call. */
    static inline int headroom_same_short(const unsigned char *a, const unsigned char *b, size_t size) {
        uint64_t x[2], y[2];
        if (size > 16) { return memcmp(a, b, size) == 0; }
        if (size >= 8) {
            memcpy(x, a, 8); memcpy(x + 1, a + size - 8, 8); memcpy(y, b, 8); memcpy(y + 1, b + size - 8, 8);
            return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0; }
        while (size && a[size - 1] == b[size - 1]) { size--; }
        return size == 0;
    }
    """
    bint same_short "headroom_same_short" (const uint8_t*, const uint8_t*, size_t) noexcept nogil

cdef struct Kinds:
    Kind kinds[KIND_LIMIT]
    uint8_t slots[KIND_SLOTS]  # index + 1 of a kind, or 0
    int32_t count
    int32_t same  # the kind of the last value
    bint closed  # they are too many

cdef inline void kinds_open(Kinds* kinds) noexcept nogil:
    """No values yet."""
    kinds.count = kinds.same = 0
    kinds.closed = False
    memset(kinds.slots, 0, KIND_SLOTS)

cdef bint kinds_find(Kinds* kinds, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Make the kind of a value the last one, a new one if it is; False if they are too many."""
    cdef Kind* kind
    cdef uint32_t code = <uint32_t>size, slot
    cdef Py_ssize_t i
    for i in range(size):
        code = (code ^ text[i]) * 16777619U
    slot = (code ^ code >> 15) & (KIND_SLOTS - 1)
    while kinds.slots[slot]:
        kinds.same = kinds.slots[slot] - 1
        if is_kind(kinds, text, size):
            return True
        slot = (slot + 1) & (KIND_SLOTS - 1)
    if kinds.count == KIND_LIMIT:
        return False
    kind = kinds.kinds + kinds.count
    kind.text = text
    kind.size = <int32_t>size
    kind.count = 0
    kinds.same = kinds.count
    kinds.count += 1
    kinds.slots[slot] = <uint8_t>kinds.count
    return True

cdef inline bint is_kind(const Kinds* kinds, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Whether a value is of the last kind."""
    cdef const Kind* kind = kinds.kinds + kinds.same
    return kind.size == size and same_short(kind.text, text, size)

cdef inline void kinds_add(Kinds* kinds, const uint8_t* text, Py_ssize_t size, int32_t row) noexcept nogil:
    """Count a value."""
    cdef Kind* kind
    if kinds.closed:
        return
    if size > VALUE_BYTES or not ((kinds.count and is_kind(kinds, text, size)) or kinds_find(kinds, text, size)):
        kinds.closed = True
        return
    kind = kinds.kinds + kinds.same
    if kind.count < RARE_ROWS:
        kind.rows[kind.count] = row
    kind.count += 1

cdef void kinds_sign(const Kinds* kinds, int first, Row* rows) noexcept nogil:
    """Sign all rows of rare values, and the first row of every value if those are few. `first`: the sign for these."""
    cdef int32_t i, k, rare = 0
    if kinds.closed or kinds.count < 2:
        return
    for i in range(kinds.count):
        if kinds.kinds[i].count <= RARE_ROWS:
            rare += kinds.kinds[i].count
    for i in range(kinds.count):
        if kinds.kinds[i].count <= RARE_ROWS and rare <= RARE_LIMIT:
            for k in range(kinds.kinds[i].count):
                rows[kinds.kinds[i].rows[k]].signs |= SIGN_RARE
        if kinds.count <= VALUES_LIMIT or first == SIGN_START:
            rows[kinds.kinds[i].rows[0]].signs |= first
