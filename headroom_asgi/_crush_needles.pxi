# What is looked for in the cells of a table: words that tell of an error, and needles, the literals of the question.
#
# What other files use:
#   Literals                                             what gives the needles, asked once a table may need them
#   bint     needles_open(Needles*)                      False if memory ran out, or they could not be had; cheap if it is open
#   void     needles_look(Needles*, text, size, row)     count what a text of a row holds
#   void     needles_whole(Needles*, text, size, row)    the same for a number: only a literal that is all of it counts
#   void     needles_settle(Needles*, Row*)              sign the rows of one column, and forget them
#   void     needles_close(Needles*)
#
# Most of a text is passed over two bytes at a time: a sieve knows the groups of three bytes (five bits of each) that stand near the
# beginning of what is looked for. What it lets through is looked up: around the place for an error word, in a trie for a needle.
# A word or needle that many rows of a column hold says nothing about a row, so hits are counted for each of them.

cdef enum:
    NEEDLE_LIMIT = 256  # literals; the rest is not looked for
    NEEDLE_BYTES = 128  # of a literal; longer ones are not looked for, which bounds the walk from any place
    SHORT_BYTES = 3  # literals below it must be rare; one of a single byte must be a whole cell
    EDGE_SLOTS = 1 << 14  # at most

cdef struct Edge:
    uint32_t key  # state << 8 | byte, plus 1; 0: free
    uint16_t state
    short final  # number of the literal that ends here, or -1

cdef struct Needles:
    void* given  # the Literals, borrowed; NULL for none
    const uint8_t* literals  # theirs; a NUL between them
    Py_ssize_t size
    Edge* edges
    uint32_t edge_mask
    const uint8_t* sieve  # SIEVE_ERROR, SIEVE_NEEDLE: what stands at such a group of three bytes
    uint8_t* own_sieve  # NULL where nothing but error words is looked for
    Tally* tallies  # of error words by slot, then of needles
    short touched[WORD_SLOTS + NEEDLE_LIMIT]
    int32_t touched_count
    int32_t states
    int32_t count
    uint8_t lengths[NEEDLE_LIMIT]
    uint8_t starts[256]  # whether a literal starts with this byte
    bint failed

cdef extern from *:
    """
    #include <stdint.h>
    /* Eight bytes, the first one lowest. */
    static inline uint64_t headroom_little_endian(const uint8_t *at) {
        uint64_t word;
        memcpy(&word, at, 8);
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        return word;
    }
    """
    uint64_t little_endian "headroom_little_endian" (const uint8_t*) noexcept nogil

cdef inline void needles_touch(Needles* needles, int32_t number, int32_t row) noexcept nogil:
    """Count a row for an error word or a literal."""
    if needles.tallies[number].count == 0:
        needles.touched[needles.touched_count] = <short>number
        needles.touched_count += 1
    tally_add(needles.tallies + number, row)

cdef void needles_settle(Needles* needles, Row* rows) noexcept nogil:
    """Sign the rows of the column that was looked at, and start anew."""
    cdef int32_t i, number
    cdef Tally* tally
    for i in range(needles.touched_count):
        number = needles.touched[i]
        tally = needles.tallies + number
        # What is short and stands in many rows is a number of something, not a name.
        if number < WORD_SLOTS or needles.lengths[number - WORD_SLOTS] >= SHORT_BYTES or tally.count <= TALLY_FEW:
            tally_sign(tally, rows, SIGN_ERROR if number < WORD_SLOTS else SIGN_NEEDLE)
        tally.count = 0
    needles.touched_count = 0

cdef inline Edge* needles_edge(const Needles* needles, uint32_t state, uint8_t byte) noexcept nogil:
    """The slot of an edge; its key is 0 if there is no such edge."""
    cdef uint32_t key = (state << 8 | byte) + 1
    cdef uint32_t slot = (key * 2654435769U >> 7) & needles.edge_mask
    while needles.edges[slot].key != 0 and needles.edges[slot].key != key:
        slot = (slot + 1) & needles.edge_mask
    return needles.edges + slot

cdef void needles_add(Needles* needles, const uint8_t* literal, int32_t size) noexcept nogil:
    """Add a literal to the trie and to the sieve."""
    cdef uint32_t state = 0
    cdef int32_t i
    cdef Edge* edge = NULL
    for i in range(size):
        edge = needles_edge(needles, state, lower(literal[i]))
        if edge.key == 0:
            needles.states += 1
            edge.key = (state << 8 | lower(literal[i])) + 1
            edge.state = <uint16_t>needles.states
            edge.final = -1
        state = edge.state
    if edge.final >= 0:
        return
    edge.final = <short>needles.count
    needles.lengths[needles.count] = <uint8_t>size
    needles.count += 1
    needles.starts[lower(literal[0])] = True
    if size >= 3:
        needles.own_sieve[sieve_slot(literal[0], literal[1], literal[2])] |= SIEVE_NEEDLE
    if size >= 4:
        needles.own_sieve[sieve_slot(literal[1], literal[2], literal[3])] |= SIEVE_NEEDLE
    elif size >= 2:
        for i in range(32):
            needles.own_sieve[sieve_slot(<uint8_t>i, literal[0], literal[1])] |= SIEVE_NEEDLE
            if size == 2:
                needles.own_sieve[sieve_slot(literal[0], literal[1], <uint8_t>i)] |= SIEVE_NEEDLE

cdef class Literals:
    """What gives the needles. To read them out of a question and a call takes longer than most texts, which have no use for them."""

    cdef object source  # a function
    cdef bytes joined
    cdef object error  # what it raised

    def __cinit__(self, source):
        """Literals, or a function that gives them."""
        self.source = source
        if not callable(source):
            self.joined = b"\0".join(source)

    cdef bint ask(self):
        """Have them."""
        if self.joined is None and self.error is None:
            try:
                self.joined = b"\0".join(self.source())
            except BaseException as error:
                self.error = error
        return self.error is None

cdef bint needles_ask(Needles* needles) noexcept with gil:
    """Have the literals."""
    cdef Literals given = <Literals>needles.given
    if not given.ask():
        return False
    needles.literals = <const uint8_t*>PyBytes_AS_STRING(given.joined)
    needles.size = PyBytes_GET_SIZE(given.joined)
    return True

cdef bint needles_open(Needles* needles) noexcept nogil:
    """Make the sieve and the trie; False if there is no memory, or the literals could not be had."""
    cdef Py_ssize_t start = 0, end, most, i
    if needles.tallies != NULL or needles.failed:
        return not needles.failed
    if needles.given != NULL and not needles_ask(needles):
        needles.failed = True
        return False
    most = needles.size if needles.size < NEEDLE_LIMIT else NEEDLE_LIMIT
    # A state for each byte, and half of the slots are free.
    needles.edge_mask = 63
    while needles.edge_mask < EDGE_SLOTS - 1 and needles.edge_mask < 4 * needles.size:
        needles.edge_mask = 2 * needles.edge_mask + 1
    needles.tallies = <Tally*>malloc((WORD_SLOTS + most) * sizeof(Tally))
    needles.edges = <Edge*>malloc((needles.edge_mask + 1) * sizeof(Edge))
    needles.own_sieve = <uint8_t*>malloc(SIEVE_SIZE) if needles.size else NULL
    if needles.tallies == NULL or needles.edges == NULL or (needles.size and needles.own_sieve == NULL):
        needles_close(needles)
        needles.failed = True
        return False
    for i in range(WORD_SLOTS + most):
        needles.tallies[i].count = 0
    memset(needles.edges, 0, (needles.edge_mask + 1) * sizeof(Edge))
    needles.sieve = ERROR_SIEVE
    if needles.size:
        memcpy(needles.own_sieve, ERROR_SIEVE, SIEVE_SIZE)
        needles.sieve = needles.own_sieve
    while start < needles.size and needles.count < NEEDLE_LIMIT:
        end = start
        while end < needles.size and needles.literals[end] != 0:
            end += 1
        if 0 < end - start <= NEEDLE_BYTES and 2 * (needles.states + end - start) < EDGE_SLOTS:
            needles_add(needles, needles.literals + start, <int32_t>(end - start))
        start = end + 1
    return True

cdef inline bint joins(uint8_t before, uint8_t after) noexcept nogil:
    """Whether two neighboring bytes are of one name: an end of a literal between them is none."""
    return is_token(before) and is_token(after) and not (is_lower(before) and is_upper(after))

cdef inline bint is_joined(const uint8_t* text, Py_ssize_t size, Py_ssize_t at) noexcept nogil:
    """Whether a name or number runs across a place of the text."""
    if at <= 0 or at >= size:
        return False
    if joins(text[at - 1], text[at]):
        return True
    # The point of a decimal number belongs to it.
    if text[at] == 0x2E:
        return at + 1 < size and is_digit(text[at - 1]) and is_digit(text[at + 1])
    return text[at - 1] == 0x2E and at >= 2 and is_digit(text[at]) and is_digit(text[at - 2])

cdef void needles_walk(Needles* needles, const uint8_t* text, Py_ssize_t size, Py_ssize_t start, int32_t row) noexcept nogil:
    """Count the literals that start at a place of a text."""
    cdef uint32_t state = 0
    cdef Py_ssize_t at = start
    cdef const Edge* edge
    if is_joined(text, size, start):
        return
    while at < size:
        edge = needles_edge(needles, state, lower(text[at]))
        if edge.key == 0:
            return
        state = edge.state
        at += 1
        if edge.final >= 0 and not is_joined(text, size, at):
            if at - start > 1 or size == 1:
                needles_touch(needles, WORD_SLOTS + edge.final, row)

cdef inline void needles_from(Needles* needles, const uint8_t* text, Py_ssize_t size, Py_ssize_t start, int32_t row) noexcept nogil:
    """Count the literals that start at a place of a text, if it has one there; in most places no literal starts."""
    if 0 <= start < size and needles.starts[lower(text[start])]:
        needles_walk(needles, text, size, start, row)

cdef inline void needles_whole(Needles* needles, const uint8_t* text, Py_ssize_t size, int32_t row) noexcept nogil:
    """Count the literal that is all of a text."""
    cdef uint32_t state = 0
    cdef Py_ssize_t at
    cdef const Edge* edge = NULL
    if size == 0 or not needles.starts[lower(text[0])]:
        return
    for at in range(size):
        edge = needles_edge(needles, state, lower(text[at]))
        if edge.key == 0:
            return
        state = edge.state
    if edge.final >= 0:
        needles_touch(needles, WORD_SLOTS + edge.final, row)

cdef enum:
    ERROR_LETTERS = 16  # longer than any word that tells of an error

cdef void errors_look(Needles* needles, const uint8_t* text, Py_ssize_t size, Py_ssize_t at, int32_t row) noexcept nogil:
    """Count the error word that a place of a text stands in."""
    cdef Py_ssize_t start = at, end, limit
    cdef uint64_t word
    cdef int32_t slot
    if not is_letter(text[start]):
        if start == 0 or not is_letter(text[start - 1]):
            return
        start -= 1
    # No word of the list is as long: what comes behind need not be looked at, so a run of letters costs no more than its places.
    limit = start - ERROR_LETTERS
    while start > 0 and start > limit and is_letter(text[start - 1]) and not word_breaks(text, size, start):
        start -= 1
    end = word_end(text, size if size - start < 2 * ERROR_LETTERS else start + 2 * ERROR_LETTERS, start, &word)
    slot = error_slot(word)
    if slot >= 0:
        if not is_denied(text, size, start, end):
            needles_touch(needles, slot, row)
    elif word == WORD_TIMED and size - end >= 4 and (text[end] == 0x20 or text[end] == 0x5F or text[end] == 0x2D):
        if text[end + 1] | 0x20 == 0x6F and text[end + 2] | 0x20 == 0x75 and text[end + 3] | 0x20 == 0x74:
            if end + 4 == size or not is_letter(text[end + 4]):
                # Its own slot is one that no word of the list has.
                needles_touch(needles, WORD_SLOTS - 1, row)

cdef void needles_place(Needles* needles, const uint8_t* text, Py_ssize_t size, Py_ssize_t at, int32_t row, uint8_t through) noexcept nogil:
    """Look up what the sieve let through at a place."""
    # Of what is looked for two neighboring groups are known, save at the edges of the text; most of what only looks alike has one.
    if 0 < at < size - 3:
        through &= (
            needles.sieve[sieve_slot(text[at - 1], text[at], text[at + 1])]
            | needles.sieve[sieve_slot(text[at + 1], text[at + 2], text[at + 3])]
        )
    if through & SIEVE_ERROR:
        errors_look(needles, text, size, at, row)
    if through & SIEVE_NEEDLE:
        needles_from(needles, text, size, at - 1, row)
        needles_from(needles, text, size, at, row)
        needles_from(needles, text, size, at + 1, row)

cdef inline void needles_four(
    Needles* needles, uint64_t word, uint64_t behind, const uint8_t* text, Py_ssize_t size, Py_ssize_t at, int32_t row
) noexcept nogil:
    """Look up what the sieve lets through of four places. Two words have the bytes from the first and second on; behind the text zeros."""
    # The low bytes of four pairs, their high bytes, and the low bytes of the pairs behind each.
    cdef const uint8_t* sieve = needles.sieve
    cdef uint64_t slots = (
        word & 0x001F001F001F001FULL | (word & 0x1F001F001F001F00ULL) >> 3 | (behind & 0x001F001F001F001FULL) << 10
    )
    cdef uint8_t first = sieve[slots & 0x7FFF], second = sieve[slots >> 16 & 0x7FFF]
    cdef uint8_t third = sieve[slots >> 32 & 0x7FFF], fourth = sieve[slots >> 48]
    if first | second | third | fourth:
        if first:
            needles_place(needles, text, size, at, row, first)
        if second and at + 5 <= size:
            needles_place(needles, text, size, at + 2, row, second)
        if third and at + 7 <= size:
            needles_place(needles, text, size, at + 4, row, third)
        if fourth and at + 9 <= size:
            needles_place(needles, text, size, at + 6, row, fourth)

cdef void needles_look(Needles* needles, const uint8_t* text, Py_ssize_t size, int32_t row) noexcept nogil:
    """Count the error words and literals in a text."""
    cdef Py_ssize_t at = 0
    cdef uint64_t last
    cdef uint8_t through
    if size < SHORT_BYTES:
        if needles.count:
            needles_whole(needles, text, size, row)
        return
    while at + 10 <= size:
        needles_four(needles, little_endian(text + at), little_endian(text + at + 2), text, size, at, row)
        at += 8
    if size >= 8 and at + 3 <= size:
        last = little_endian(text + size - 8)
        needles_four(
            needles, little_endian(text + at) if at + 8 <= size else last >> 8 * (at + 8 - size), last >> 8 * (at + 10 - size),
            text, size, at, row
        )
        at = size
    while at + 3 <= size:
        through = needles.sieve[sieve_slot(text[at], text[at + 1], text[at + 2])]
        if through:
            needles_place(needles, text, size, at, row, through)
        at += 2
    if needles.count:
        needles_from(needles, text, size, size - 2, row)

cdef void needles_close(Needles* needles) noexcept nogil:
    """Release what was made."""
    free(needles.tallies)
    free(needles.edges)
    free(needles.own_sieve)
    needles.tallies = NULL
    needles.edges = NULL
    needles.own_sieve = NULL
