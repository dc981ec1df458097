# Values in flow: on one line, in brackets and braces; a value that stands many times in a row is written once.

cdef enum:
    RUN_LIMIT = 4  # fewer are as short one by one

# What speaks against flow for an array.
cdef struct Flow:
    bint mixed  # it holds containers or strings of several lines
    bint nested  # it holds a string of JSON that has lines of its own elsewhere
    bint long  # it holds strings, and more elements than the limit
    int32_t limit
    int32_t quoted  # strings that are bare in a cell only

cdef inline bint follows_alike(const Doc* doc, int32_t node, int32_t after) noexcept nogil:
    """Whether two neighbors stand in the text with the same bytes."""
    # Sizes and two bytes are compared in one branch, which is nearly always false: several would be guessed wrong half the time.
    # What is read beside the first of the two is still text: the other stands behind it.
    cdef int32_t size = node_size(doc.nodes, after), half = size >> 1, last = size - 1 - (size > 1)
    cdef const uint8_t* a = doc.data + node_start(doc.nodes, node)
    cdef const uint8_t* b = doc.data + node_start(doc.nodes, after)
    cdef bint alike = (size == node_size(doc.nodes, node)) & (a[half] == b[half]) & (a[last] == b[last])
    return alike and memcmp(a, b, size) == 0

cdef void put_flow(Crush* crush, const Doc* doc, int32_t node) noexcept nogil:
    """Append a value in flow."""
    cdef uint8_t kind = node_kind(doc.nodes, node)
    if kind == KIND_STRING:
        put_string(text_of(doc.data, doc.nodes + node, &crush.scratch), PLACE_FLOW, &crush.out)
    elif kind > KIND_STRING:
        put_literal(crush, doc, node)
    elif kind == KIND_ARRAY:
        put_flow_array(crush, doc, node, NULL)
    else:
        put_flow_object(crush, doc, node)

# These two and put_flow call each other once for every level of nesting.

cdef void put_flow_array(Crush* crush, const Doc* doc, int32_t array, Flow* seen) noexcept nogil:
    """Append an array in flow; many neighbors that are the same as `value ×count`. `seen`: for an entry's line, else NULL."""
    cdef const Node* nodes = doc.nodes
    cdef Buffer* out = &crush.out
    cdef int32_t first = node_child(nodes, array), end = node_next(nodes, array), at = first, ahead, count, i, items = 0
    cdef uint8_t kind
    buffer_byte(out, 0x5B)
    while at < end:
        kind = node_kind(nodes, at)
        count = 1
        ahead = node_next(nodes, at)
        while ahead < end and follows_alike(doc, at, ahead):
            count += 1
            ahead = node_next(nodes, ahead)
        for i in range(count if count < RUN_LIMIT else 1):
            items += 1
            if items > 1:
                buffer_byte(out, 0x2C)
                if kind != KIND_NUMBER:
                    buffer_byte(out, 0x20)
            if kind > KIND_STRING:
                put_literal(crush, doc, at)
            elif seen == NULL:
                put_flow(crush, doc, at)
            else:
                put_flow_string(crush, doc, at, items, seen)
                if seen.mixed or seen.nested or seen.long:
                    return
        if count >= RUN_LIMIT:
            buffer_text(out, b" \xc3\x97")
            put_int(count, out)
        at = ahead
    buffer_byte(out, 0x5D)

cdef void put_flow_string(Crush* crush, const Doc* doc, int32_t node, int32_t items, Flow* seen) noexcept nogil:
    """Append a string in flow, the so manyth item; note what speaks against flow."""
    cdef Text text
    if node_kind(doc.nodes, node) < KIND_STRING:
        seen.mixed = True
        return
    text = text_of(doc.data, doc.nodes + node, &crush.scratch)
    seen.mixed = text_is_block(text)
    seen.long = items >= seen.limit
    if text_is_bare(text, PLACE_FLOW):
        buffer_put(&crush.out, text.data, text.size)
    else:
        seen.quoted += text_is_bare(text, PLACE_CELL)
        seen.nested |= is_json_cell(text)
        quote_string(text.data, text.size, False, &crush.out)

cdef void put_flow_object(Crush* crush, const Doc* doc, int32_t object) noexcept nogil:
    """Append an object in flow."""
    cdef const Node* nodes = doc.nodes
    cdef Buffer* out = &crush.out
    cdef int32_t key = node_child(nodes, object), end = node_next(nodes, object), value
    cdef bint first = True
    buffer_byte(out, 0x7B)
    while key < end:
        if not first:
            buffer_text(out, b", ")
        first = False
        put_key(text_of(doc.data, nodes + key, &crush.scratch), out)
        buffer_byte(out, 0x3A)
        value = node_next(nodes, key)
        if node_kind(nodes, value) != KIND_NUMBER:
            buffer_byte(out, 0x20)
        put_flow(crush, doc, value)
        key = node_next(nodes, value)
    buffer_byte(out, 0x7D)
