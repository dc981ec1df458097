# An object that was cut off inside its last string, as harnesses cut long outputs: {"type":"text","text":"... (cut at 100000 characters)
#
# What other files use:
#   bint put_open(Crush*, data, size, Buffer* kind)       the string's lines, where it was cut, what stands behind; or nothing
#   void put_wrapper(Crush*, Doc*, hole, style, whole, Buffer* kind)      the root of a document as a wrapper, to the head
#
# What is left of the object stands in the head, as a wrapper does. The string is text as any other, so JSON in it, which is cut
# as well, becomes a block.

cdef enum:
    OPEN_TAIL = 2048  # bytes behind the cut: what a harness says about it

cdef inline bint spells(const Doc* doc, int32_t node, const char* literal) noexcept nogil:
    """Whether a value is spelled so."""
    cdef Py_ssize_t size = strlen(literal)
    return node_size(doc.nodes, node) == size and memcmp(doc.data + node_start(doc.nodes, node), literal, size) == 0

cdef bint is_mcp(const Doc* doc, int32_t object, int32_t hole, bint whole) noexcept nogil:
    """Whether an object is a text as MCP servers in Python send it, or (not whole) begins as one: its text is the second member."""
    cdef int32_t key = node_child(doc.nodes, object)
    if node_count(doc.nodes, object) != (3 if whole else 2) or not spells(doc, key, b'"type"'):
        return False
    key = node_next(doc.nodes, key)
    if not spells(doc, key, b'"text"'):
        return False
    key = node_next(doc.nodes, key)
    if not spells(doc, key, b'"text"') or node_next(doc.nodes, key) != hole:
        return False
    key = node_next(doc.nodes, hole)
    return not whole or spells(doc, key, b'"annotations"') and node_kind(doc.nodes, node_next(doc.nodes, key)) == KIND_NULL

cdef void put_place(int style, Buffer* kind) noexcept nogil:
    """Append what stands in a head for the string below it: its style, or (-1) a mark."""
    if style < 0:
        buffer_text(kind, b'"""')
    else:
        buffer_byte(kind, 0x28)
        style_name(style, kind)
        buffer_byte(kind, 0x29)

cdef void put_wrapper(Crush* crush, const Doc* doc, int32_t hole, int style, bint whole, Buffer* kind) noexcept nogil:
    """Append a wrapper to the head, the root of a document; not whole: up to its hole. `style`: of the string below, -1: none."""
    cdef bint listed = node_kind(doc.nodes, 0) == KIND_ARRAY
    cdef int32_t object = node_child(doc.nodes, 0) if listed else 0
    buffer_text(kind, b"[" if listed else b"")
    if is_mcp(doc, object, hole, whole):
        buffer_text(kind, b"mcp text ")
        put_place(style, kind)
    else:
        buffer_byte(kind, 0x7B)
        put_fields(crush, doc, object, hole, style, kind)
        buffer_text(kind, b"}" if whole else b"")
    buffer_text(kind, b"]" if whole and listed else b"")

cdef void put_fields(Crush* crush, const Doc* doc, int32_t object, int32_t hole, int style, Buffer* kind) noexcept nogil:
    """Append the members of a wrapper to the head."""
    cdef int32_t key = node_child(doc.nodes, object), end = node_next(doc.nodes, object), value
    cdef Buffer out = crush.out
    crush.out = kind[0]
    while key < end:
        value = node_next(doc.nodes, key)
        put_key(text_of(doc.data, doc.nodes + key, &crush.scratch), &crush.out)
        buffer_text(&crush.out, b":" if node_kind(doc.nodes, value) == KIND_NUMBER else b": ")
        if value != hole:
            put_flow(crush, doc, value)
        else:
            put_place(style, &crush.out)
        key = node_next(doc.nodes, value)
        if key < end:
            buffer_text(&crush.out, b", ")
    kind[0] = crush.out
    crush.out = out

cdef Py_ssize_t open_start(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Where the string begins, its quote, that is the last of a text and does not end; -1: the text is something else."""
    cdef Py_ssize_t at = 0, end
    cdef int members
    cdef uint8_t kind = 0, flags = 0
    if size and data[0] == 0x5B:
        at = space_end(data, 1, size)
    if at >= size or data[at] != 0x7B:
        return -1
    for members in range(WRAPPER_MEMBERS + 1):
        at = space_end(data, at + 1, size)
        at = key_extent(data, at, size) if at < size else -1
        at = space_end(data, at, size) if at >= 0 else size
        if at >= size:
            return -1
        end = scan_scalar(data, at, size, &kind, &flags)
        if end < 0:
            return at if data[at] == 0x22 else -1
        at = space_end(data, end, size)
        if at >= size or data[at] != 0x2C:
            return -1
    return -1

cdef inline int escape_size(const uint8_t* escape, Py_ssize_t size) noexcept nogil:
    """Length of the escape that starts there; 0 if it is none, or cut in two."""
    cdef uint8_t kind = escape[1] if size > 1 else 0
    if kind == 0x75:
        return 6 if size >= 6 and is_hex4(escape + 2) else 0
    return 2 if kind and memchr(b'"\\/bfnrt', kind, 8) != NULL else 0

cdef Py_ssize_t open_end(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Where what a string says ends that opens before `at`; what was cut in two is not said."""
    cdef Py_ssize_t step, half = -1, behind = 0  # the last escape that needs the one behind it: of a CR, or half of a pair
    while True:
        at = plain_end(data, at, size)
        if at >= size or data[at] == 0x22:
            break
        if data[at] == 0x5C:
            step = escape_size(data + at, size - at)
            if step and (data[at + 1] == 0x72 or (step == 6 and hex4(data + at + 2) & 0xFC00 == 0xD800)):
                half = at
                behind = at + step
        else:
            step = utf8_size(data, at, size) if data[at] >= 0x80 else data[at] == 0x7F
        if step == 0:
            break
        at += step
    return half if behind == at else at

cdef bint open_spelled(Crush* crush, Spelled* spelled, const uint8_t* data, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Read an object up to where it was cut, and closed; `start`: of its last string. Close it in any case."""
    cdef Buffer* copy = &spelled.copy
    memset(spelled, 0, sizeof(Spelled))
    buffer_put(copy, data, end)
    buffer_text(copy, b'"}]' if data[0] == 0x5B else b'"}')
    spelled.style = style_guess(data, end)
    spelled.doc.data = copy.data
    if copy.failed or spelled.style < 0 or tape_scan(copy.data, copy.size, &spelled.tape) != SCAN_OK:
        return False
    spelled.doc.nodes = spelled.tape.nodes
    crush.other.size = 0
    return restyle(copy.data, copy.size, spelled.style, &crush.other) and memcmp(crush.other.data, data, end) == 0

cdef void put_content(Crush* crush, Text text) noexcept nogil:
    """Append the text of a string, with groups and re-laid; its last line goes on."""
    if crush.exact:
        buffer_put(&crush.out, text.data, text.size)
    else:
        put_body(crush, text.data, text.size, False)

cdef bint put_open(Crush* crush, const uint8_t* data, Py_ssize_t size, Buffer* kind) noexcept nogil:
    """Append what an object that was cut off says in its last string, the mark and what stands behind; False, and nothing, if none."""
    cdef Spelled spelled
    cdef Text text
    cdef int32_t object, hole = -1
    cdef bint fits
    cdef Py_ssize_t start = open_start(data, size), end = 0
    if start < 0:
        return False
    end = open_end(data, start + 1, size)
    if end - start < FOUND_BYTES or size - end > OPEN_TAIL or (end < size and data[end] == 0x22):
        return False
    fits = open_spelled(crush, &spelled, data, start, end)
    if fits:
        object = node_child(spelled.doc.nodes, 0) if data[0] == 0x5B else 0
        hole = wrapper_hole(crush, &spelled.doc, object)
        fits = hole >= 0 and node_start(spelled.doc.nodes, hole) == start
    if fits:
        text = text_of(spelled.doc.data, spelled.doc.nodes + hole, &crush.other)
        fits = not text.marks & (TEXT_CONTROL | TEXT_SURROGATE | TEXT_BRACKET)
    if fits:
        crush.depth = spelled.tape.depth
        style_name(spelled.style, kind)
        buffer_text(kind, b" cut in ")
        put_wrapper(crush, &spelled.doc, hole, -1, False, kind)
        text = text_of(spelled.doc.data, spelled.doc.nodes + hole, &crush.scratch)
        put_content(crush, text)
        buffer_text(&crush.out, b"\xe2\x9f\xa6cut\xe2\x9f\xa7")
        buffer_put(&crush.out, data + end, size - end)
        crush.raws = True
    spelled_close(crush, &spelled)
    return fits
