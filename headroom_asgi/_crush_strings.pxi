# A string where it has a line of its own: as the JSON it holds, fenced, or on the line.

cdef void put_string_entry(Crush* crush, const Doc* doc, int32_t node, int entry, int indent, int depth) noexcept nogil:
    """Append a string: as the JSON it holds, fenced, or on the line; never bare at the top, where it would look like a member."""
    cdef Buffer* out = &crush.out
    cdef Text text = text_of(doc.data, doc.nodes + node, &crush.scratch)
    cdef Py_ssize_t mark
    if crush.strings < STRING_LIMIT and may_hold_json(text):
        if put_json_entry(crush, text, entry, indent, depth):
            return
        # The attempt took the scratch buffer away.
        text = text_of(doc.data, doc.nodes + node, &crush.scratch)
    before_inline(entry, False, out)
    if text_is_block(text):
        mark = put_mark(text, out)
        buffer_byte(out, 0x0A)
        put_lines(text, mark, out)
        return
    if entry == ENTRY_TOP:
        quote_string(text.data, text.size, False, out)
    else:
        put_string(text, PLACE_ITEM if entry == ENTRY_ITEM else PLACE_LINE, out)
    buffer_byte(out, 0x0A)

cdef inline bint may_hold_json(Text text) noexcept nogil:
    """Whether a string starts and ends as an object or array does."""
    cdef Py_ssize_t end = text.size
    if end < 3 or text.marks & TEXT_SURROGATE:
        return False
    if text.data[end - 1] == 0x0A:
        end -= 1
    return (text.data[0] == 0x7B and text.data[end - 1] == 0x7D) or (text.data[0] == 0x5B and text.data[end - 1] == 0x5D)

cdef bint put_json_entry(Crush* crush, Text text, int entry, int indent, int depth) noexcept nogil:
    """Append a string as the object or array it holds; False, and nothing, if no style gives back the very string."""
    cdef Doc doc
    cdef Tape tape
    cdef Buffer held
    cdef int style
    cdef bint fits
    # The text moves out of the scratch buffer, which the values in it will need.
    buffer_open(&held)
    if text.data == crush.scratch.data:
        held = crush.scratch
        buffer_open(&crush.scratch)
    memset(&tape, 0, sizeof(Tape))
    style = style_guess(text.data, text.size)
    fits = style >= 0 and tape_scan(text.data, text.size, &tape) == SCAN_OK
    fits = fits and tape.nodes[0].count > 0 and depth + tape.depth <= NEST_LIMIT
    if fits:
        crush.other.size = 0
        fits = restyle(text.data, text.size, style, &crush.other)
        fits = fits and crush.other.size == text.size and memcmp(crush.other.data, text.data, text.size) == 0
    if fits:
        doc.data = text.data
        doc.nodes = tape.nodes
        buffer_text(&crush.out, b"(" if entry == ENTRY_TOP else b"- (" if entry == ENTRY_ITEM else b" (")
        style_name(style, &crush.out)
        buffer_text(&crush.out, b")\n" if entry == ENTRY_TOP else b")")
        crush.strings += 1
        put_entry(crush, &doc, 0, ENTRY_TOP if entry == ENTRY_TOP else ENTRY_MEMBER, indent, depth)
        crush.strings -= 1
    crush.out.failed |= tape.failed or held.failed
    tape_close(&tape)
    buffer_close(&held)
    return fits
