# The tape of a scanned text: nodes in order of the text, eight or sixteen bytes each.
#
# What other files use:
#   node_kind, node_flags, node_start, node_end, node_size, node_count, node_child, node_next, node_step (nodes, i)
#   void       tape_close(Tape*)
# and what the scanner uses: tape_start, tape_scalar, tape_open, tape_shut.
#
# Order on the tape: a container, then its children, each with all of its own; in an object a key (an ordinary STRING node with
# NODE_KEY) stands before its value.

cdef enum:
    KIND_OBJECT = 0
    KIND_ARRAY = 1
    KIND_STRING = 2
    KIND_NUMBER = 3
    KIND_TRUE = 4
    KIND_FALSE = 5
    KIND_NULL = 6
    KIND_REST = 7  # the second slot of a node that takes two

cdef enum:
    NODE_ESCAPED = 1  # a string with a backslash
    NODE_HIGH = 2  # a string with bytes >= 0x7F
    NODE_KEY = 4  # a string that is the key of the next node

# One slot of the tape, 8 bytes, for a scalar or a key; a container takes two, and so does a scalar that is longer than fits.
#   scalar      bits 0 kind, 3 flags, 6 length (0: in the second slot), 33 start
#   container   bits 0 kind, 3 count, 33 start
#   second slot bits 0 KIND_REST, 3 next (of a container), 33 end (of a container) or length
# A body of single digits has a slot for every two bytes of text, a record of an API for every eight.
cdef struct Node:
    uint64_t bits

cdef enum:
    NODE_LENGTH = 0x7FFFFFF  # the longest scalar in one slot is of 128 MiB
    NODE_COUNT = 0x3FFFFFFF
    TAPE_LIMIT = 0x3FFFFFFF
    TAPE_LARGE = 0x40000  # bytes of a text from which on a tape starts with the slots of a record of an API: grown to that, it leaves holes

cdef struct Tape:
    Node* nodes
    int32_t size  # slots
    int32_t capacity
    int32_t depth  # deepest nesting; 0: a scalar
    int32_t space  # bytes of white space around and between tokens
    bint failed  # no memory
    Py_ssize_t offset  # the first offending byte

# The rest of the kernel looks at nodes through these only; `i` is the index of a node's (first) slot.

cdef inline uint8_t node_kind(const Node* nodes, int32_t i) noexcept nogil:
    return nodes[i].bits & 7

cdef inline uint8_t node_flags(const Node* nodes, int32_t i) noexcept nogil:
    """The flags of a scalar."""
    return nodes[i].bits >> 3 & 7

cdef inline int32_t node_start(const Node* nodes, int32_t i) noexcept nogil:
    """Offset of the first byte, quotes and brackets included."""
    return <int32_t>(nodes[i].bits >> 33)

cdef inline int32_t node_size(const Node* nodes, int32_t i) noexcept nogil:
    """Bytes in the text."""
    cdef uint64_t bits = nodes[i].bits
    if bits & 7 <= KIND_ARRAY:
        return <int32_t>(nodes[i + 1].bits >> 33) - <int32_t>(bits >> 33)
    bits = bits >> 6 & NODE_LENGTH
    return <int32_t>(bits if bits else nodes[i + 1].bits >> 33)

cdef inline int32_t node_end(const Node* nodes, int32_t i) noexcept nogil:
    """Offset after the last byte."""
    return node_start(nodes, i) + node_size(nodes, i)

cdef inline int32_t node_count(const Node* nodes, int32_t i) noexcept nogil:
    """Members or elements; 0 of a scalar."""
    return <int32_t>(nodes[i].bits >> 3 & NODE_COUNT) if nodes[i].bits & 7 <= KIND_ARRAY else 0

cdef inline int32_t node_step(const Node* nodes, int32_t i) noexcept nogil:
    """The next node in order of the text: the first child of a container, else what follows."""
    cdef uint64_t bits = nodes[i].bits
    return i + 2 if bits & 7 <= KIND_ARRAY or not bits >> 6 & NODE_LENGTH else i + 1

cdef inline int32_t node_child(const Node* nodes, int32_t i) noexcept nogil:
    """The first child of a container; node_next(i) if it has none. A key's value is node_next(key)."""
    return i + 2

cdef inline int32_t node_next(const Node* nodes, int32_t i) noexcept nogil:
    """The node after the subtree."""
    return <int32_t>(nodes[i + 1].bits >> 3 & NODE_COUNT) if nodes[i].bits & 7 <= KIND_ARRAY else node_step(nodes, i)

cdef inline void tape_start(Tape* tape, Py_ssize_t size) noexcept nogil:
    """A new tape for a text of so many bytes. What memory it cannot have now it asks for again when it grows."""
    memset(tape, 0, sizeof(Tape))
    if TAPE_LARGE <= size <= 0x7FFFFFFF:
        tape.nodes = <Node*>malloc(size)
        tape.capacity = <int32_t>(size / sizeof(Node)) if tape.nodes != NULL else 0

cdef bint tape_grow(Tape* tape) noexcept nogil:
    """Room for two more slots; False (and `failed`) if there is no memory."""
    cdef int64_t capacity = <int64_t>tape.capacity * 2 if tape.capacity > 0 else 64
    cdef Node* nodes
    if capacity > TAPE_LIMIT:
        capacity = TAPE_LIMIT
    nodes = <Node*>realloc(tape.nodes, capacity * sizeof(Node)) if capacity >= tape.size + 2 else NULL
    if nodes == NULL:
        tape.failed = True
        return False
    tape.nodes = nodes
    tape.capacity = <int32_t>capacity
    return True

cdef inline bint tape_scalar(Tape* tape, uint8_t kind, uint8_t flags, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Append a scalar; False (and `failed`) if there is no memory."""
    cdef uint64_t bits = <uint64_t>start << 33 | flags << 3 | kind
    if tape.size + 2 > tape.capacity and not tape_grow(tape):
        return False
    if end - start <= NODE_LENGTH:
        tape.nodes[tape.size].bits = bits | <uint64_t>(end - start) << 6
        tape.size += 1
    else:
        tape.nodes[tape.size].bits = bits
        tape.nodes[tape.size + 1].bits = <uint64_t>(end - start) << 33 | KIND_REST
        tape.size += 2
    return True

cdef inline bint tape_open(Tape* tape, uint8_t kind, Py_ssize_t start, int32_t parent) noexcept nogil:
    """Append a container, its parent (-1: none) in the place of `next`; False (and `failed`) if there is no memory."""
    if tape.size + 2 > tape.capacity and not tape_grow(tape):
        return False
    tape.nodes[tape.size].bits = <uint64_t>start << 33 | kind
    tape.nodes[tape.size + 1].bits = <uint64_t>(parent + 1) << 3 | KIND_REST
    tape.size += 2
    return True

cdef inline int32_t tape_shut(Tape* tape, int32_t opened, Py_ssize_t end) noexcept nogil:
    """Close the innermost open container; its parent."""
    cdef int32_t parent = <int32_t>(tape.nodes[opened + 1].bits >> 3 & NODE_COUNT) - 1
    tape.nodes[opened + 1].bits = <uint64_t>end << 33 | <uint64_t>tape.size << 3 | KIND_REST
    return parent

cdef void tape_close(Tape* tape) noexcept nogil:
    """Release the nodes. Harmless on a tape that was closed, or set to zeros."""
    free(tape.nodes)
    tape.nodes = NULL
    tape.size = 0
    tape.capacity = 0
