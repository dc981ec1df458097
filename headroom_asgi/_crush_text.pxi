# How strings and keys stand in a crush text: bare, quoted or fenced (docs/crush-format.md).
#
# What other files use:
#   Text       text_of(data, node, scratch)                content of a STRING node; lives in the data or in the scratch buffer
#   bint       text_is_block(Text)                         a string of several lines, one that can be fenced
#   void       put_string(Text, place, out)                bare where that place allows it, else quoted
#   void       put_key(Text, out)
#   Py_ssize_t put_mark(Text, out)                         the mark that opens the fence of a block; its length
#   void       put_lines(Text, mark length, out)           the lines of a block, and the mark that closes it

cdef enum:
    TEXT_LF = 1
    TEXT_CONTROL = 2  # any control character but LF and tab
    TEXT_TAB = 4
    TEXT_FLOW = 8  # what a bare string in flow may not hold
    TEXT_KEY = 16  # what a bare key may not hold
    TEXT_LEAD = 32  # first byte of what may be one of the next two
    TEXT_SEPARATOR = 64  # U+0085, U+2028, U+2029
    TEXT_SURROGATE = 128  # an unpaired one
    TEXT_NEVER_BARE = 1 | 2 | 4 | 64 | 128

cdef enum:
    PLACE_LINE = 0  # behind a key
    PLACE_ITEM = 1  # behind a dash
    PLACE_FLOW = 2
    PLACE_CELL = 3

cdef uint8_t TEXT_CLASSES[256]

cdef void fill_text_classes() noexcept:
    """The class bits of every byte."""
    cdef int byte
    memset(TEXT_CLASSES, 0, sizeof(TEXT_CLASSES))
    for byte in range(0x20):
        TEXT_CLASSES[byte] = TEXT_CONTROL
    TEXT_CLASSES[0x7F] = TEXT_CONTROL
    TEXT_CLASSES[0x0A] = TEXT_LF
    TEXT_CLASSES[0x09] = TEXT_TAB
    for byte in b',[]{}":':
        TEXT_CLASSES[byte] |= TEXT_FLOW
    for byte in b'"[]{}(),:|=*.':
        TEXT_CLASSES[byte] |= TEXT_KEY
    for byte in b"\xc2\xe2\xed":
        TEXT_CLASSES[byte] |= TEXT_LEAD

fill_text_classes()

cdef struct Text:
    const uint8_t* data  # WTF-8
    Py_ssize_t size
    int marks  # TEXT_ bits of all its characters

cdef int text_marks(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """The class bits of all characters together."""
    cdef Py_ssize_t i
    cdef int marks = 0
    for i in range(size):
        marks |= TEXT_CLASSES[data[i]]
    if marks & TEXT_LEAD:
        for i in range(size - 1):
            if data[i] == 0xC2:
                if data[i + 1] == 0x85:
                    marks |= TEXT_SEPARATOR
            elif data[i] == 0xE2:
                if data[i + 1] == 0x80 and data[i + 2] | 1 == 0xA9:
                    marks |= TEXT_SEPARATOR
            elif data[i] == 0xED and data[i + 1] >= 0xA0:
                marks |= TEXT_SURROGATE
    return marks

cdef inline Text text_of(const uint8_t* data, const Node* node, Buffer* scratch) noexcept nogil:
    """The content of a STRING node; valid until the scratch buffer is used again."""
    cdef Text text
    if node.flags & NODE_ESCAPED:
        scratch.size = 0
        string_decode(data + node.start, data + node.end, scratch)
        text.data = scratch.data
        text.size = scratch.size
    else:
        text.data = data + node.start + 1
        text.size = node.end - node.start - 2
    text.marks = text_marks(text.data, text.size)
    return text

cdef inline bint text_is_block(Text text) noexcept nogil:
    """Whether it is a string of several lines: one that can be fenced."""
    return text.marks & TEXT_LF and not text.marks & (TEXT_CONTROL | TEXT_SURROGATE)

cdef bint text_is_literal(Text text) noexcept nogil:
    """Whether the whole text reads as null, true, false or a JSON number."""
    cdef uint8_t kind = 0, flags = 0, first = text.data[0]
    if not (first == 0x2D or 0x30 <= first <= 0x39 or first == 0x6E or first == 0x74 or first == 0x66):
        return False
    return scan_scalar(text.data, 0, text.size, &kind, &flags) == text.size

cdef inline bint looks_like_marker(Text text, int length) noexcept nogil:
    """Whether it starts with so many bytes of the line of an omission."""
    return text.size >= length and memcmp(text.data, b"<<ccr:", length) == 0

cdef bint text_is_bare(Text text, int place) noexcept nogil:
    """Whether a string may stand bare in a place."""
    cdef uint8_t first
    if text.size == 0 or text.marks & TEXT_NEVER_BARE:
        return False
    first = text.data[0]
    if first == 0x22 or first == 0x5B or first == 0x7B or first == 0x20 or text.data[text.size - 1] == 0x20:
        return False
    if first == 0x2D and (text.size == 1 or text.data[1] == 0x20):
        return False
    if first == 0x28 and place == PLACE_ITEM:
        return False
    if place == PLACE_FLOW and (text.marks & TEXT_FLOW or memchr(b"-?!&*|>@%`", first, 10) != NULL):
        return False
    return not looks_like_marker(text, 6) and not text_is_literal(text)

cdef bint key_is_bare(Text text) noexcept nogil:
    """Whether a key may stand bare."""
    cdef uint8_t first
    if text.size == 0 or text.marks & (TEXT_NEVER_BARE | TEXT_KEY):
        return False
    first = text.data[0]
    if first == 0x20 or first == 0x2D or first == 0x27 or first == 0x23 or text.data[text.size - 1] == 0x20:
        return False
    # The colon of an omission's line may be the one behind the key.
    return not looks_like_marker(text, 5) and not text_is_literal(text)

cdef inline void put_string(Text text, int place, Buffer* out) noexcept nogil:
    """Append a string, bare where the place allows it."""
    if text_is_bare(text, place):
        buffer_put(out, text.data, text.size)
    else:
        quote_string(text.data, text.size, False, out)

cdef inline void put_key(Text text, Buffer* out) noexcept nogil:
    """Append a key, bare if it may stand so."""
    if key_is_bare(text):
        buffer_put(out, text.data, text.size)
    else:
        quote_string(text.data, text.size, False, out)

cdef Py_ssize_t put_mark(Text text, Buffer* out) noexcept nogil:
    """Append the mark that opens a block: three quotes, or one more than its longest line of only quotes. Its length."""
    cdef const uint8_t* line = text.data
    cdef const uint8_t* end = text.data + text.size
    cdef const uint8_t* stop
    cdef const uint8_t* at
    cdef Py_ssize_t length = 3
    while line < end:
        stop = <const uint8_t*>memchr(line, 0x0A, end - line)
        if stop == NULL:
            stop = end
        at = line
        while at < stop and at[0] == 0x22:
            at += 1
        if at == stop and stop - line >= length:
            length = stop - line + 1
        line = stop + 1
    if buffer_reserve(out, length):
        memset(out.data + out.size, 0x22, length)
        out.size += length
    return length

cdef void put_lines(Text text, Py_ssize_t mark, Buffer* out) noexcept nogil:
    """Append the lines of a block and the mark, of that length, that closes them; each ends with LF."""
    if not buffer_reserve(out, text.size + mark + 2):
        return
    memcpy(out.data + out.size, text.data, text.size)
    out.size += text.size
    out.data[out.size] = 0x0A
    memset(out.data + out.size + 1, 0x22, mark)
    out.data[out.size + mark + 1] = 0x0A
    out.size += mark + 2
