# A string where it has a line of its own, or stands below a row: as the JSON it holds, fenced, or on the line.
#
# What other files use:
#   void put_string_entry(Crush*, Doc*, node, entry, indent, depth)
#   bint put_json_below(Crush*, Text, indent, depth)       "(style)" to `out`, the value to `below`; omissions are off; or nothing

# A text read as the value that it spells in a style.
cdef struct Spelled:
    Doc doc
    Tape tape
    Buffer copy  # the value's own text, where the source is not it
    int style

# What a value inside a text must not touch, put aside while it is written.
cdef struct Outer:
    Buffer scratch
    Buffer other
    int depth
    int style

cdef void step_in(Crush* crush, Outer* outer, const Spelled* spelled, int depth) noexcept nogil:
    """Begin to write the value in a text of its own, which stands in so many containers."""
    outer.scratch = crush.scratch
    outer.other = crush.other
    outer.depth = crush.depth
    outer.style = crush.style
    buffer_open(&crush.scratch)
    buffer_open(&crush.other)
    crush.depth = depth + spelled.tape.depth
    crush.style = spelled.style
    crush.strings += 1

cdef void step_out(Crush* crush, Outer* outer) noexcept nogil:
    """Back to what stands around it."""
    outer.scratch.failed |= crush.scratch.failed
    outer.other.failed |= crush.other.failed
    buffer_close(&crush.scratch)
    buffer_close(&crush.other)
    crush.scratch = outer.scratch
    crush.other = outer.other
    crush.depth = outer.depth
    crush.style = outer.style
    crush.strings -= 1

cdef void spelled_close(Crush* crush, Spelled* spelled) noexcept nogil:
    """Release the value."""
    crush.out.failed |= spelled.tape.failed or spelled.copy.failed
    tape_close(&spelled.tape)
    buffer_close(&spelled.copy)

cdef bint spelled_so(
    Crush* crush, const Spelled* spelled, Py_ssize_t size, const uint8_t* source, Py_ssize_t length, int depth
) noexcept nogil:
    """Whether the scanned value, of that size, is a block's and the source is how its style spells it, or begins to."""
    cdef Buffer* out = &crush.other
    if node_count(spelled.tape.nodes, 0) == 0 or depth + spelled.tape.depth > NEST_LIMIT:
        return False
    out.size = 0
    # Where the source lacks its last brackets, each of them has at most a line of its own.
    if not restyle_within(spelled.doc.data, size, spelled.style, length + NEST_LIMIT * (3 + 4 * NEST_LIMIT), out):
        return False
    return out.size >= length and memcmp(out.data, source, length) == 0

cdef int line_glue(const uint8_t* data, Py_ssize_t* at, Py_ssize_t size) noexcept nogil:
    """What stands between the value that ends at an offset and the next one, as part of a style, or 0; `at` moves behind it."""
    cdef int glue = STYLE_LINES | STYLE_JOINED
    cdef Py_ssize_t next = at[0]
    if next + 1 < size and data[next] == 0x0D and data[next + 1] == 0x0A:
        next += 2
        glue = STYLE_LINES | STYLE_CR
    elif next < size and data[next] == 0x0A:
        next += 1
        glue = STYLE_LINES
    if next >= size or (data[next] != 0x7B and data[next] != 0x5B):
        return 0
    at[0] = next
    return glue

cdef Py_ssize_t follow_lines(
    const uint8_t* data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t size, Buffer* copy, int* style
) noexcept nogil:
    """The values behind one that spans [start, end), as an array; where the last one ends, `end` if there is none.

    All have the same between them, which is added to the style.
    """
    cdef Found found
    cdef Py_ssize_t next
    cdef int glue = 0, before = 0
    while True:
        next = end
        glue = line_glue(data, &next, size)
        if glue == 0 or (copy.size and glue != before) or not json_extent(data, next, size, &found) or found.depth:
            break
        before = glue
        buffer_byte(copy, 0x2C if copy.size else 0x5B)
        buffer_put(copy, data + start, end - start)
        start = found.start
        end = found.end
    if copy.size:
        buffer_byte(copy, 0x2C)
        buffer_put(copy, data + start, end - start)
        buffer_byte(copy, 0x5D)
    style[0] |= before
    return end

cdef bint spelled_copy(Crush* crush, Spelled* spelled, const uint8_t* source, Py_ssize_t length, int depth) noexcept nogil:
    """Read the copy as the value that a source spells."""
    spelled.doc.data = spelled.copy.data
    if spelled.copy.failed or tape_scan(spelled.copy.data, spelled.copy.size, &spelled.tape) != SCAN_OK:
        return False
    spelled.doc.nodes = spelled.tape.nodes
    return spelled_so(crush, spelled, spelled.copy.size, source, length, depth)

cdef bint spelled_lines(Crush* crush, Spelled* spelled, const uint8_t* source, Py_ssize_t length, int depth) noexcept nogil:
    """Read a text as values one after the other; close it in any case."""
    cdef Py_ssize_t end
    cdef Found found
    memset(spelled, 0, sizeof(Spelled))
    if length < FOUND_BYTES or not (source[0] == 0x7B or source[0] == 0x5B):
        return False
    spelled.style = style_guess(source, length)
    if spelled.style < 0 or not json_extent(source, 0, length, &found) or found.depth:
        return False
    end = follow_lines(source, 0, found.end, length, &spelled.copy, &spelled.style)
    if end == found.end or length - end > 2:
        return False
    return spelled_copy(crush, spelled, source, length, depth)

cdef bint spelled_text(Crush* crush, Spelled* spelled, const uint8_t* source, Py_ssize_t length, int depth) noexcept nogil:
    """Read a text as exactly one value; close it in any case."""
    memset(spelled, 0, sizeof(Spelled))
    spelled.style = style_guess(source, length)
    spelled.doc.data = source
    if spelled.style < 0 or tape_scan(source, length, &spelled.tape) != SCAN_OK:
        return False
    spelled.doc.nodes = spelled.tape.nodes
    return spelled_so(crush, spelled, length, source, length, depth) and crush.other.size == length

cdef bint spelled_python(Crush* crush, Spelled* spelled, const uint8_t* source, Py_ssize_t length, int depth) noexcept nogil:
    """Read a text as exactly one list or dict as Python prints it; close it in any case."""
    cdef bint tuples = False
    cdef Py_ssize_t stop = 0
    memset(spelled, 0, sizeof(Spelled))
    if length < 2 or not (source[0] == 0x7B or source[0] == 0x5B):
        return False
    if python_extent(source, 0, length, &spelled.copy, &tuples, &stop) != length:
        return False
    spelled.style = STYLE_TUPLES if tuples else STYLE_PYTHON
    return spelled_copy(crush, spelled, source, length, depth) and crush.other.size == length

cdef bint string_spells(Crush* crush, Spelled* spelled, Text text, int depth) noexcept nogil:
    """Whether a string is the JSON of an object or array, or of several one after the other; close it in any case."""
    if spelled_text(crush, spelled, text.data, text.size, depth):
        return True
    if spelled.doc.nodes != NULL:
        return False
    spelled_close(crush, spelled)
    if spelled_python(crush, spelled, text.data, text.size, depth):
        return True
    spelled_close(crush, spelled)
    return spelled_lines(crush, spelled, text.data, text.size, depth)

cdef inline bint may_hold_json(Text text) noexcept nogil:
    """Whether a string starts and ends as an object or array does."""
    cdef Py_ssize_t end = text.size
    if end < 3 or text.marks & TEXT_SURROGATE:
        return False
    if text.data[end - 1] == 0x0A:
        end -= 2 if text.data[end - 2] == 0x0D else 1
    return (text.data[0] == 0x7B or text.data[0] == 0x5B) and (text.data[end - 1] == 0x7D or text.data[end - 1] == 0x5D)

cdef void put_string_entry(Crush* crush, const Doc* doc, int32_t node, int entry, int indent, int depth) noexcept nogil:
    """Append a string: as the JSON it holds, fenced, or on the line; never bare at the top, where it would look like a member."""
    cdef Buffer* out = &crush.out
    cdef Text text = text_of(doc.data, doc.nodes + node, &crush.scratch)
    if crush.strings < STRING_LIMIT and may_hold_json(text) and put_json_entry(crush, text, entry, indent, depth):
        return
    before_inline(entry, False, out)
    if put_fenced(crush, text):
        return
    if entry == ENTRY_TOP:
        quote_string(text.data, text.size, 0, out)
    else:
        put_string(text, PLACE_ITEM if entry == ENTRY_ITEM else PLACE_LINE, out)
    buffer_byte(out, 0x0A)

cdef bint put_json_entry(Crush* crush, Text text, int entry, int indent, int depth) noexcept nogil:
    """Append a string as the object or array it holds; False, and nothing, if no style gives back the very string."""
    cdef Spelled spelled
    cdef Outer outer
    cdef bint fits = string_spells(crush, &spelled, text, depth)
    if fits:
        step_in(crush, &outer, &spelled, depth)
        buffer_text(&crush.out, b"(" if entry == ENTRY_TOP else b"- (" if entry == ENTRY_ITEM else b" (")
        style_name(spelled.style, &crush.out)
        buffer_text(&crush.out, b")\n" if entry == ENTRY_TOP else b")")
        put_entry(crush, &spelled.doc, 0, ENTRY_TOP if entry == ENTRY_TOP else ENTRY_MEMBER, indent, depth)
        step_out(crush, &outer)
    spelled_close(crush, &spelled)
    return fits

cdef bint put_json_below(Crush* crush, Text text, int indent, int depth) noexcept nogil:
    """Append the style of a cell to `out`, and the value its string holds to `below`; False, and nothing, if it holds none."""
    cdef Spelled spelled
    cdef Outer outer
    cdef Py_ssize_t start = crush.out.size
    cdef bint fits
    if crush.strings == STRING_LIMIT or not may_hold_json(text):
        return False
    if depth < crush.depth:
        depth = crush.depth
    fits = string_spells(crush, &spelled, text, depth)
    if fits:
        buffer_byte(&crush.out, 0x28)
        style_name(spelled.style, &crush.out)
        buffer_byte(&crush.out, 0x29)
        step_in(crush, &outer, &spelled, depth)
        # Behind another value, a line says where this one begins.
        if crush.styled:
            put_indent(indent + 1, &crush.below)
            buffer_put(&crush.below, crush.out.data + start, crush.out.size - start)
            buffer_byte(&crush.below, 0x0A)
        swap_below(crush)
        put_block(crush, &spelled.doc, 0, ENTRY_BELOW, indent + 1, depth + 1)
        swap_below(crush)
        step_out(crush, &outer)
        crush.styled = True
    spelled_close(crush, &spelled)
    return fits
