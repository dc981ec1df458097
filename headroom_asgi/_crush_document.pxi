# The Python face of a scanned text: a tape of nodes, each turned into a Python object when it is asked for.

# Giving the GIL up and taking it back costs some microseconds, more where other threads want it.
cdef int32_t GET_SLOTS = 20_000  # of the tape that `get` looks through with the GIL held: some ten microseconds
cdef Py_ssize_t COMPARED = 4096  # bytes that are compared at once
cdef int32_t DECODED = 100_000  # bytes of a literal that are decoded with the GIL held: some hundred microseconds

cdef object scan_error(int reason, Py_ssize_t offset):
    """The exception for a reason code."""
    if reason == SCAN_MEMORY:
        return MemoryError("no memory to scan the JSON text, or it has 2 GiB or 2**30 values and more")
    return ScanError("invalid_utf8" if reason == SCAN_UTF8 else "invalid_json", offset)

cdef class Document:
    """One JSON text, scanned once: a tape of nodes that know their byte spans. Node 0 is the root.

    No Python object is made for a value until it is asked for. Nesting has no limit.

    Raises:
        ScanError: the bytes are not exactly one JSON text (RFC 8259, strict; no NaN, no byte order mark), or not UTF-8.
    """

    cdef readonly bytes data
    cdef Tape tape

    def __cinit__(self, bytes data not None):
        cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef int reason
        self.data = data
        with nogil:
            reason = tape_scan(text, size, &self.tape)
        if reason != SCAN_OK:
            raise scan_error(reason, self.tape.offset)

    def __dealloc__(self):
        tape_close(&self.tape)

    def __len__(self):
        """Every node is a number below this; not every number below it is a node of its own."""
        return self.tape.size

    cdef int32_t index(self, Py_ssize_t node) except -1:
        """A node that there is. The number before a value's is its key, even where the key takes two slots."""
        if not 0 <= node < self.tape.size:
            raise IndexError(f"node {node} of {self.tape.size}")
        return <int32_t>node - (node_kind(self.tape.nodes, <int32_t>node) == KIND_REST)

    cdef const uint8_t* text_start(self):
        return <const uint8_t*>PyBytes_AS_STRING(self.data)

    cdef bint decode(self, int32_t node, Buffer* decoded) except False:
        """The content of a STRING node with escapes."""
        cdef const uint8_t* literal = self.text_start() + node_start(self.tape.nodes, node)
        cdef Py_ssize_t size = node_size(self.tape.nodes, node)
        if size < DECODED:
            string_decode(literal, literal + size, decoded)
        else:
            with nogil:
                string_decode(literal, literal + size, decoded)
        if decoded.failed:
            raise MemoryError
        return True

    cdef str string(self, int32_t node):
        """The decoded content of a STRING node."""
        cdef const uint8_t* literal = self.text_start() + node_start(self.tape.nodes, node)
        cdef Buffer decoded
        if not node_flags(self.tape.nodes, node) & NODE_ESCAPED:
            return PyUnicode_DecodeUTF8(<const char*>literal + 1, node_size(self.tape.nodes, node) - 2, "strict")
        buffer_open(&decoded)
        try:
            self.decode(node, &decoded)
            return PyUnicode_DecodeUTF8(<const char*>decoded.data, decoded.size, "surrogatepass")
        finally:
            buffer_close(&decoded)

    def kind(self, Py_ssize_t node):
        """OBJECT, ARRAY, STRING, NUMBER, TRUE, FALSE or NULL."""
        return node_kind(self.tape.nodes, self.index(node))

    def span(self, Py_ssize_t node):
        """Byte span [start, end) of the value in `data`, quotes and brackets included."""
        cdef int32_t at = self.index(node)
        return node_start(self.tape.nodes, at), node_end(self.tape.nodes, at)

    def raw(self, Py_ssize_t node):
        """The bytes of the value."""
        cdef int32_t at = self.index(node)
        return PyBytes_FromStringAndSize(
            <const char*>self.text_start() + node_start(self.tape.nodes, at), node_size(self.tape.nodes, at)
        )

    def text(self, Py_ssize_t node):
        """The decoded string at a STRING node; unpaired surrogates stay surrogates. TypeError on other kinds."""
        cdef int32_t at = self.index(node)
        if node_kind(self.tape.nodes, at) != KIND_STRING:
            raise TypeError(f"node {node} is no string")
        return self.string(at)

    def utf8(self, Py_ssize_t node):
        """The decoded string at a STRING node in UTF-8; an unpaired surrogate as three bytes. TypeError on other kinds."""
        cdef int32_t at = self.index(node)
        cdef Buffer decoded
        if node_kind(self.tape.nodes, at) != KIND_STRING:
            raise TypeError(f"node {node} is no string")
        if not node_flags(self.tape.nodes, at) & NODE_ESCAPED:
            return PyBytes_FromStringAndSize(
                <const char*>self.text_start() + node_start(self.tape.nodes, at) + 1, node_size(self.tape.nodes, at) - 2
            )
        buffer_open(&decoded)
        try:
            self.decode(at, &decoded)
            return PyBytes_FromStringAndSize(<const char*>decoded.data, decoded.size)
        finally:
            buffer_close(&decoded)

    cdef int32_t member(self, int32_t at, str key) except -2:
        """The value under a key of a node, -1 if there is none."""
        cdef bytes wanted = key.encode("utf-8", "surrogatepass")
        cdef const uint8_t* text = self.text_start()
        cdef const uint8_t* name = <const uint8_t*>PyBytes_AS_STRING(wanted)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(wanted)
        cdef int32_t found
        cdef bint failed
        cdef Buffer scratch
        buffer_open(&scratch)
        # Giving the GIL up and taking it back costs more than looking through a few members.
        if node_next(self.tape.nodes, at) - at < GET_SLOTS:
            found = tape_get(text, self.tape.nodes, at, name, size, &scratch)
        else:
            with nogil:
                found = tape_get(text, self.tape.nodes, at, name, size, &scratch)
        failed = scratch.failed
        buffer_close(&scratch)
        if failed:
            raise MemoryError
        return found

    cdef int32_t below(self, Py_ssize_t node, tuple keys) except -2:
        """The value under a path of keys, -1 if there is none, or no node to begin with."""
        cdef int32_t at
        cdef str key
        if node < 0:
            return -1
        at = self.index(node)
        for key in keys:
            at = self.member(at, key)
            if at < 0:
                return -1
        return at

    cdef list children(self, int32_t at):
        """The elements of an array, none of another node."""
        cdef const Node* nodes = self.tape.nodes
        cdef int32_t end = node_next(nodes, at)
        cdef list values = []
        if node_kind(nodes, at) == KIND_ARRAY:
            at = node_child(nodes, at)
            while at < end:
                values.append(at)
                at = node_next(nodes, at)
        return values

    def get(self, Py_ssize_t node, str key not None):
        """The value node under `key` of an OBJECT (the last one, as parsers take it), or -1. -1 on other kinds."""
        return self.member(self.index(node), key)

    def find(self, Py_ssize_t node, *keys):
        """The node under a path of keys, -1 if there is none; `node` may be -1 as well."""
        return self.below(node, keys)

    def text_at(self, Py_ssize_t node, *keys):
        """The string under a path of keys, "" if there is none."""
        cdef int32_t at = self.below(node, keys)
        return self.string(at) if at >= 0 and node_kind(self.tape.nodes, at) == KIND_STRING else ""

    def elements_at(self, Py_ssize_t node, *keys):
        """The elements of the array under a path of keys, [] if there is none."""
        cdef int32_t at = self.below(node, keys)
        return self.children(at) if at >= 0 else []

    def items(self, Py_ssize_t node):
        """(key, value node) of an OBJECT, in order, duplicates included. Empty on other kinds."""
        cdef const Node* nodes = self.tape.nodes
        cdef int32_t at = self.index(node), end = node_next(nodes, at), value
        cdef list members = []
        if node_kind(nodes, at) == KIND_OBJECT:
            at = node_child(nodes, at)
            while at < end:
                value = node_next(nodes, at)
                members.append((self.string(at), value))
                at = node_next(nodes, value)
        return members

    def elements(self, Py_ssize_t node):
        """Value nodes of an ARRAY, in order. Empty on other kinds."""
        return self.children(self.index(node))

    def long_strings(self, Py_ssize_t size):
        """STRING values (no keys) whose literals have at least that many bytes, in order of the text."""
        cdef const Node* nodes = self.tape.nodes
        cdef int32_t at = 0
        cdef list found = []
        while at < self.tape.size:
            if (node_kind(nodes, at) == KIND_STRING and not node_flags(nodes, at) & NODE_KEY
                    and node_size(nodes, at) >= size):
                found.append(at)
            at += 1
        return found

    def count(self, Py_ssize_t node):
        """Number of members or elements; 0 on scalars."""
        return node_count(self.tape.nodes, self.index(node))

def minify(bytes data not None):
    """The JSON text without white space between tokens. ScanError if it is not JSON."""
    cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), offset
    cdef int reason
    cdef Tape tape
    cdef Buffer out
    buffer_open(&out)
    with nogil:
        reason = tape_scan(text, size, &tape)
        offset = tape.offset
        if reason == SCAN_OK:
            tape_minify(text, &tape, 0, &out)
            if out.failed:
                reason = SCAN_MEMORY
        tape_close(&tape)
    try:
        if reason != SCAN_OK:
            raise scan_error(reason, offset)
        return data if out.size == size else PyBytes_FromStringAndSize(<const char*>out.data, out.size)
    finally:
        buffer_close(&out)

def same_start(bytes a not None, bytes b not None):
    """How many bytes two texts have in common at their beginning."""
    cdef const uint8_t* one = <const uint8_t*>PyBytes_AS_STRING(a)
    cdef const uint8_t* other = <const uint8_t*>PyBytes_AS_STRING(b)
    cdef Py_ssize_t size = min(PyBytes_GET_SIZE(a), PyBytes_GET_SIZE(b)), at = 0
    with nogil:
        while at + COMPARED <= size and memcmp(one + at, other + at, COMPARED) == 0:
            at += COMPARED
        while at < size and one[at] == other[at]:
            at += 1
    return at
