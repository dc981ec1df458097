# A value to the lines it stands on: entries (behind a key or dash, or at the top) and blocks of members or items.
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
    ENTRY_BELOW = 3  # below a row, whose cell announces it; a block only

cdef inline void before_inline(int entry, bint number, Buffer* out) noexcept nogil:
    """Append what stands between an entry's key or dash and a value on the same line."""
    buffer_text(out, b"" if entry == ENTRY_TOP else b"- " if entry == ENTRY_ITEM else b":" if number else b": ")

cdef inline void before_block(int entry, Buffer* out) noexcept nogil:
    """Append what stands between an entry's key or dash and the lines below it."""
    if entry < ENTRY_TOP:
        buffer_byte(out, 0x2D if entry == ENTRY_ITEM else 0x3A)
        buffer_byte(out, 0x0A)

cdef void put_entry(Crush* crush, const Doc* doc, int32_t node, int entry, int indent, int depth) noexcept nogil:
    """Append what stands behind a key, or an item with its dash, or the top; ends with LF.

    `indent` is that of the entry's line, `depth` the number of containers the value stands in.
    """
    cdef uint8_t kind = node_kind(doc.nodes, node)
    if kind == KIND_STRING:
        put_string_entry(crush, doc, node, entry, indent, depth)
    elif kind > KIND_STRING or node_count(doc.nodes, node) == 0:
        before_inline(entry, kind == KIND_NUMBER, &crush.out)
        put_flow(crush, doc, node)
        buffer_byte(&crush.out, 0x0A)
    else:
        put_block(crush, doc, node, entry, indent if entry == ENTRY_TOP else indent + 1, depth + 1)

cdef void put_block(Crush* crush, const Doc* doc, int32_t node, int entry, int indent, int depth) noexcept nogil:
    """Append an object or array that is not empty. Its lines stand at an indent; an array of scalars may have none of its own."""
    if node_kind(doc.nodes, node) == KIND_OBJECT:
        if not put_map(crush, doc, node, entry, indent, depth):
            before_block(entry, &crush.out)
            put_members(crush, doc, node, indent, depth)
    elif not put_array(crush, doc, node, entry, indent, depth) and not put_only(crush, doc, node, entry, indent, depth):
        before_block(entry, &crush.out)
        put_items(crush, doc, node, indent, depth)

cdef bint put_only(Crush* crush, const Doc* doc, int32_t array, int entry, int indent, int depth) noexcept nogil:
    """Append an array of one object or array as the entry of that, where a path or the top stands before it."""
    cdef int32_t only = node_child(doc.nodes, array)
    if node_count(doc.nodes, array) > 1 or node_count(doc.nodes, only) == 0 or entry == ENTRY_ITEM or entry == ENTRY_BELOW:
        return False
    buffer_text(&crush.out, b"[0]")
    put_entry(crush, doc, only, ENTRY_MEMBER, indent if entry == ENTRY_TOP else indent - 1, depth)
    return True

cdef void put_items(Crush* crush, const Doc* doc, int32_t array, int indent, int depth) noexcept nogil:
    """Append the elements of an array, each behind a dash."""
    cdef int32_t at = node_child(doc.nodes, array), end = node_next(doc.nodes, array)
    while at < end:
        put_indent(indent, &crush.out)
        put_entry(crush, doc, at, ENTRY_ITEM, indent, depth)
        at = node_next(doc.nodes, at)

cdef void put_members(Crush* crush, const Doc* doc, int32_t object, int indent, int depth) noexcept nogil:
    """Append the members of an object: an object of one key in the path of that key, neighbors with the same value on one line."""
    cdef const Node* nodes = doc.nodes
    cdef int32_t key = node_child(nodes, object), end = node_next(nodes, object), value, after
    cdef int levels
    while key < end:
        put_indent(indent, &crush.out)
        put_key(text_of(doc.data, nodes + key, &crush.scratch), &crush.out)
        value = node_next(nodes, key)
        after = node_next(nodes, value)
        levels = 0
        if is_brief(doc, value):
            while after < end and same_brief(doc, value, node_next(nodes, after)):
                buffer_text(&crush.out, b", ")
                put_key(text_of(doc.data, nodes + after, &crush.scratch), &crush.out)
                after = node_next(nodes, node_next(nodes, after))
        else:
            while node_kind(nodes, value) == KIND_OBJECT and node_count(nodes, value) == 1:
                key = node_child(nodes, value)
                buffer_byte(&crush.out, 0x2E)
                put_key(text_of(doc.data, nodes + key, &crush.scratch), &crush.out)
                value = node_next(nodes, key)
                levels += 1
        put_entry(crush, doc, value, ENTRY_MEMBER, indent + levels, depth + levels)
        key = after

cdef inline bint is_brief(const Doc* doc, int32_t value) noexcept nogil:
    """Whether a value is one that neighbors may share: a scalar (no string of several lines, no JSON), or an empty container."""
    cdef uint8_t kind = node_kind(doc.nodes, value), first
    if kind < KIND_STRING:
        return node_count(doc.nodes, value) == 0
    if kind > KIND_STRING or node_size(doc.nodes, value) == 2:
        return True
    # Without an escape there is no line feed.
    first = doc.data[node_start(doc.nodes, value) + 1]
    return not node_flags(doc.nodes, value) & NODE_ESCAPED and first != 0x7B and first != 0x5B

cdef inline bint same_brief(const Doc* doc, int32_t brief, int32_t value) noexcept nogil:
    """Whether a value is the same as a brief one, scalars by their spelling."""
    cdef uint8_t kind = node_kind(doc.nodes, brief)
    if node_kind(doc.nodes, value) != kind:
        return False
    return node_count(doc.nodes, value) == 0 if kind < KIND_STRING else same_bytes(doc, brief, value)
