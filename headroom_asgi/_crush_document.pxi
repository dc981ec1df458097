# The Python face of a scanned text: a tape of nodes, each turned into a Python object when it is asked for.

cdef int32_t GET_NODES = 20_000  # nodes that `get` looks through with the GIL held: some ten microseconds

cdef object scan_error(int reason, Py_ssize_t offset):
    """The exception for a reason code."""
    if reason == SCAN_MEMORY:
        return MemoryError("no memory to scan the JSON text, or it has 2 GiB and more")
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
        """Number of nodes (values and keys)."""
        return self.tape.size

    cdef const Node* node(self, Py_ssize_t index) except NULL:
        if not 0 <= index < self.tape.size:
            raise IndexError(f"node {index} of {self.tape.size}")
        return self.tape.nodes + index

    cdef const uint8_t* text_start(self):
        return <const uint8_t*>PyBytes_AS_STRING(self.data)

    cdef str string(self, const Node* node):
        """The decoded content of a STRING node."""
        cdef const uint8_t* text = self.text_start()
        cdef Buffer decoded
        if not node.flags & NODE_ESCAPED:
            return PyUnicode_DecodeUTF8(<const char*>text + node.start + 1, node.end - node.start - 2, "strict")
        buffer_open(&decoded)
        try:
            string_decode(text + node.start, text + node.end, &decoded)
            if decoded.failed:
                raise MemoryError
            return PyUnicode_DecodeUTF8(<const char*>decoded.data, decoded.size, "surrogatepass")
        finally:
            buffer_close(&decoded)

    def kind(self, Py_ssize_t node):
        """OBJECT, ARRAY, STRING, NUMBER, TRUE, FALSE or NULL."""
        return self.node(node).kind

    def span(self, Py_ssize_t node):
        """Byte span [start, end) of the value in `data`, quotes and brackets included."""
        cdef const Node* found = self.node(node)
        return found.start, found.end

    def raw(self, Py_ssize_t node):
        """The bytes of the value."""
        cdef const Node* found = self.node(node)
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(self.data) + found.start, found.end - found.start)

    def text(self, Py_ssize_t node):
        """The decoded string at a STRING node; unpaired surrogates stay surrogates. TypeError on other kinds."""
        cdef const Node* found = self.node(node)
        if found.kind != KIND_STRING:
            raise TypeError(f"node {node} is no string")
        return self.string(found)

    def get(self, Py_ssize_t node, str key not None):
        """The value node under `key` of an OBJECT (the last one, as parsers take it), or -1. -1 on other kinds."""
        cdef bytes wanted = key.encode("utf-8", "surrogatepass")
        cdef const uint8_t* text = self.text_start()
        cdef const uint8_t* name = <const uint8_t*>PyBytes_AS_STRING(wanted)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(wanted)
        cdef int32_t found
        cdef bint failed
        cdef Buffer scratch
        self.node(node)
        buffer_open(&scratch)
        # Giving the GIL up and taking it back costs more than looking through a few members.
        if self.tape.nodes[node].next - node < GET_NODES:
            found = tape_get(text, &self.tape, <int32_t>node, name, size, &scratch)
        else:
            with nogil:
                found = tape_get(text, &self.tape, <int32_t>node, name, size, &scratch)
        failed = scratch.failed
        buffer_close(&scratch)
        if failed:
            raise MemoryError
        return found

    def items(self, Py_ssize_t node):
        """(key, value node) of an OBJECT, in order, duplicates included. Empty on other kinds."""
        cdef const Node* found = self.node(node)
        cdef list members = []
        cdef int32_t at = <int32_t>node + 1
        if found.kind == KIND_OBJECT:
            while at < found.next:
                members.append((self.string(self.tape.nodes + at), at + 1))
                at = self.tape.nodes[at + 1].next
        return members

    def elements(self, Py_ssize_t node):
        """Value nodes of an ARRAY, in order. Empty on other kinds."""
        cdef const Node* found = self.node(node)
        cdef list values = []
        cdef int32_t at = <int32_t>node + 1
        if found.kind == KIND_ARRAY:
            while at < found.next:
                values.append(at)
                at = self.tape.nodes[at].next
        return values

    def count(self, Py_ssize_t node):
        """Number of members or elements; 0 on scalars."""
        return self.node(node).count

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
