# Whether a text holds one of several literals: an Aho-Corasick automaton, so that the time does not depend on how many there are.
#
# What other files use:
#   bint needles_hit(Needles*, text, size)      ASCII case does not count; literals below three bytes are no literals
#   void needles_close(Needles*)

cdef enum:
    NEEDLE_BYTES = 3  # shorter ones are everywhere
    NEEDLES_BYTES = 1 << 16  # of all literals together; the rest is not looked at

cdef struct State:
    int32_t child
    int32_t sibling
    int32_t fall  # the state of the longest proper suffix
    uint8_t byte
    uint8_t final

cdef struct Edge:
    uint32_t key  # from state << 8 | byte, plus 1; 0: free
    int32_t state

cdef struct Needles:
    const uint8_t* literals  # borrowed; a NUL between them
    Py_ssize_t size
    State* states
    Edge* edges
    uint32_t mask
    int32_t count
    bint starts[256]  # whether a literal starts with this byte
    bint failed

cdef inline uint8_t lower(uint8_t byte) noexcept nogil:
    return byte | 0x20 if 0x41 <= byte <= 0x5A else byte

cdef inline Edge* needles_edge(const Needles* needles, int32_t state, uint8_t byte) noexcept nogil:
    """The slot of an edge; its key is 0 if there is no such edge."""
    cdef uint32_t key = (<uint32_t>state << 8 | byte) + 1
    cdef uint32_t slot = (key * 2654435769U >> 8) & needles.mask
    while needles.edges[slot].key != 0 and needles.edges[slot].key != key:
        slot = (slot + 1) & needles.mask
    return needles.edges + slot

cdef void needles_add(Needles* needles, const uint8_t* literal, Py_ssize_t size) noexcept nogil:
    """Add the states of one literal."""
    cdef Py_ssize_t i
    cdef int32_t state = 0, fresh
    cdef Edge* edge
    needles.starts[lower(literal[0])] = True
    for i in range(size):
        edge = needles_edge(needles, state, lower(literal[i]))
        if edge.key == 0:
            fresh = needles.count
            needles.count += 1
            edge.key = (<uint32_t>state << 8 | lower(literal[i])) + 1
            edge.state = fresh
            needles.states[fresh].byte = lower(literal[i])
            needles.states[fresh].sibling = needles.states[state].child
            needles.states[state].child = fresh
        state = edge.state
    needles.states[state].final = True

cdef inline int32_t needles_step(const Needles* needles, int32_t state, uint8_t byte) noexcept nogil:
    """The state after one more (lower-case) byte."""
    cdef Edge* edge
    while True:
        edge = needles_edge(needles, state, byte)
        if edge.key != 0:
            return edge.state
        if state == 0:
            return 0
        state = needles.states[state].fall

cdef bint needles_build(Needles* needles) noexcept nogil:
    """Make the automaton; False if there is no literal, or no memory."""
    cdef Py_ssize_t size = needles.size if needles.size < NEEDLES_BYTES else NEEDLES_BYTES
    cdef Py_ssize_t start = 0, end
    cdef uint32_t slots = 16
    cdef int32_t* queue
    cdef int32_t read = 0, written = 1, state, child
    while slots < 2 * size:
        slots *= 2
    needles.states = <State*>malloc((size + 1) * sizeof(State))
    needles.edges = <Edge*>malloc(slots * sizeof(Edge))
    queue = <int32_t*>malloc((size + 1) * sizeof(int32_t))
    if needles.states == NULL or needles.edges == NULL or queue == NULL:
        free(queue)
        needles_close(needles)
        needles.failed = True
        return False
    memset(needles.states, 0, (size + 1) * sizeof(State))
    memset(needles.edges, 0, slots * sizeof(Edge))
    needles.mask = slots - 1
    needles.count = 1
    while start < size:
        end = start
        while end < size and needles.literals[end] != 0:
            end += 1
        if end - start >= NEEDLE_BYTES:
            needles_add(needles, needles.literals + start, end - start)
        start = end + 1
    # Breadth first: a state falls to where its parent's fall goes with the same byte, and that one is nearer to the root.
    queue[0] = 0
    while read < written:
        state = queue[read]
        read += 1
        child = needles.states[state].child
        while child:
            if state:
                needles.states[child].fall = needles_step(needles, needles.states[state].fall, needles.states[child].byte)
                needles.states[child].final |= needles.states[needles.states[child].fall].final
            queue[written] = child
            written += 1
            child = needles.states[child].sibling
    free(queue)
    return True

cdef bint needles_hit(Needles* needles, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Whether one of the literals stands in a text. The automaton is made when it is first needed."""
    cdef int32_t state = 0
    cdef Py_ssize_t i
    cdef uint8_t byte
    if needles.size < NEEDLE_BYTES or needles.failed or (needles.states == NULL and not needles_build(needles)):
        return False
    for i in range(size):
        byte = lower(text[i])
        if state == 0 and not needles.starts[byte]:
            continue
        state = needles_step(needles, state, byte)
        if needles.states[state].final:
            return True
    return False

cdef void needles_close(Needles* needles) noexcept nogil:
    """Release the automaton."""
    free(needles.states)
    free(needles.edges)
    needles.states = NULL
    needles.edges = NULL
