# A JSON text to the shorter of two forms: the crush text of docs/crush-format.md, or the text without white space.
#
# Blocks call each other once for every level of nesting, strings that hold JSON included; NEST_LIMIT bounds that.

cdef enum:
    # What the grammar allows: containers in containers, and strings of JSON in strings of JSON (each doubles its backslashes).
    NEST_LIMIT = 64
    STRING_LIMIT = 8

cdef enum:
    ENTRY_MEMBER = 0  # behind a key, or a style
    ENTRY_ITEM = 1  # instead of a dash
    ENTRY_TOP = 2  # at the left margin

cdef inline void before_inline(int entry, bint number, Buffer* out) noexcept nogil:
    """Append what stands between an entry's key or dash and a value on the same line."""
    buffer_text(out, b"" if entry == ENTRY_TOP else b"- " if entry == ENTRY_ITEM else b":" if number else b": ")

cdef inline void before_block(int entry, Buffer* out) noexcept nogil:
    """Append what stands between an entry's key or dash and the lines below it."""
    if entry != ENTRY_TOP:
        buffer_byte(out, 0x2D if entry == ENTRY_ITEM else 0x3A)
        buffer_byte(out, 0x0A)

cdef void put_entry(Crush* crush, const Doc* doc, int32_t node, int entry, int indent, int depth) noexcept nogil:
    """Append what stands behind a key, or an item with its dash, or the top; ends with LF.

    `indent` is that of the entry's line, `depth` the number of containers the value stands in.
    """
    cdef const Node* value = doc.nodes + node
    cdef Buffer* out = &crush.out
    if value.kind == KIND_STRING:
        put_string_entry(crush, doc, node, entry, indent, depth)
    elif value.kind > KIND_STRING or value.count == 0 or (value.kind == KIND_ARRAY and is_flow(crush, doc, node)):
        before_inline(entry, value.kind == KIND_NUMBER, out)
        put_flow(crush, doc, node)
        buffer_byte(out, 0x0A)
    else:
        put_block(crush, doc, node, entry, indent if entry == ENTRY_TOP else indent + 1, depth + 1)

cdef void put_block(Crush* crush, const Doc* doc, int32_t node, int entry, int indent, int depth) noexcept nogil:
    """Append an object or array over several lines, which stand at an indent."""
    cdef Buffer* out = &crush.out
    cdef int32_t at = node + 1, end = doc.nodes[node].next
    if doc.nodes[node].kind == KIND_OBJECT:
        before_block(entry, out)
        while at < end:
            put_indent(indent, out)
            put_key(text_of(doc.data, doc.nodes + at, &crush.scratch), out)
            put_entry(crush, doc, at + 1, ENTRY_MEMBER, indent, depth)
            at = doc.nodes[at + 1].next
    elif not put_table(crush, doc, node, b"" if entry == ENTRY_TOP else b"- " if entry == ENTRY_ITEM else b" ", indent):
        before_block(entry, out)
        while at < end:
            put_indent(indent, out)
            put_entry(crush, doc, at, ENTRY_ITEM, indent, depth)
            at = doc.nodes[at].next

cdef bint is_flow(Crush* crush, const Doc* doc, int32_t array) noexcept nogil:
    """Whether an array holds scalars only, none of them a string of several lines."""
    cdef int32_t at
    for at in range(array + 1, doc.nodes[array].next):
        if doc.nodes[at].kind < KIND_STRING:
            return False
        # Without an escape there is no line feed.
        if doc.nodes[at].flags & NODE_ESCAPED and text_is_block(text_of(doc.data, doc.nodes + at, &crush.scratch)):
            return False
    return True
