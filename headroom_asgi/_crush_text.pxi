# How strings and keys stand in a crush text: bare, quoted or fenced (docs/crush-format.md).
#
# What other files use:
#   Text       text_of(data, node, scratch)                content of a STRING node; lives in the data or in the scratch buffer
#   bint       text_is_block(Text)                         a string of several lines, one that can be fenced
#   void       put_string(Text, place, out)                bare where that place allows it, else quoted
#   void       put_key(Text, out)
#   Py_ssize_t fence_size(start, end)                       length of the mark around these lines
#   void       put_mark(length, out)

cdef enum:
    TEXT_LF = 1
    TEXT_CONTROL = 2  # any control character but LF, tab and a CR before LF
    TEXT_TAB = 4
    TEXT_CR = 8
    TEXT_LEAD = 16  # first byte of what may be one of the last four
    TEXT_FLOW = 32  # what a bare string in flow may not hold; see has_class
    TEXT_KEY = 64  # what a bare key may not hold; see has_class
    TEXT_STAR = 128
    TEXT_SEPARATOR = 256  # U+0085, U+2028, U+2029
    TEXT_SURROGATE = 512  # an unpaired one
    TEXT_BRACKET = 1024  # U+27E6, which opens a re-laid part
    TEXT_TIMES = 2048  # U+00D7
    TEXT_NEVER_BARE = 1 | 2 | 4 | 8 | 256 | 512 | 1024

cdef enum:
    PLACE_LINE = 0  # behind a key
    PLACE_ITEM = 1  # behind a dash
    PLACE_FLOW = 2
    PLACE_CELL = 3
    PLACE_TEXT = 4  # a cell that can only be a string
    PLACE_CONSTANT = 5  # behind a path and an equals sign

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
    TEXT_CLASSES[0x0D] = TEXT_CR
    for byte in b',[]{}":()':
        TEXT_CLASSES[byte] |= TEXT_FLOW
    for byte in b'"[]{}(),:|=*.':
        TEXT_CLASSES[byte] |= TEXT_KEY
    TEXT_CLASSES[0x2A] |= TEXT_STAR
    for byte in b"\xc2\xc3\xe2\xed":
        TEXT_CLASSES[byte] |= TEXT_LEAD

fill_text_classes()

cdef struct Text:
    const uint8_t* data  # WTF-8
    Py_ssize_t size
    int marks  # TEXT_ bits of all its characters; those of printable ASCII are not complete, has_class tells

cdef int text_marks(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """The class bits of all characters together; of printable ASCII perhaps not all."""
    # Eight bytes at a time: words of printable ASCII only are passed over.
    cdef Py_ssize_t at = 0, i
    cdef uint64_t word
    cdef int marks = 0
    while at < size:
        if at + 8 <= size:
            memcpy(&word, data + at, 8)
            if not (word | (word - 0x2020202020202020ULL)
                    | ((word ^ 0x7F7F7F7F7F7F7F7FULL) - 0x0101010101010101ULL)) & 0x8080808080808080ULL:
                at += 8
                continue
        i = at + 8 if at + 8 <= size else size
        while at < i:
            marks |= TEXT_CLASSES[data[at]]
            at += 1
    if marks & (TEXT_LEAD | TEXT_CR):
        marks |= character_marks(data, size)
    return marks

cdef int character_marks(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """The class bits of what is more than one byte, and of a CR that does not stand before LF."""
    cdef Py_ssize_t at
    cdef uint8_t byte
    cdef int marks = 0
    for at in range(size):
        byte = data[at]
        if byte == 0x0D:
            if at + 1 == size or data[at + 1] != 0x0A:
                marks |= TEXT_CONTROL
        elif byte == 0xC2:
            if data[at + 1] == 0x85:
                marks |= TEXT_SEPARATOR
        elif byte == 0xC3:
            if data[at + 1] == 0x97:
                marks |= TEXT_TIMES
        elif byte == 0xE2:
            if data[at + 1] == 0x80 and data[at + 2] | 1 == 0xA9:
                marks |= TEXT_SEPARATOR
            elif data[at + 1] == 0x9F and data[at + 2] == 0xA6:
                marks |= TEXT_BRACKET
        elif byte == 0xED and data[at + 1] >= 0xA0:
            marks |= TEXT_SURROGATE
    return marks

cdef inline bint has_class(Text text, int classes) noexcept nogil:
    """Whether it holds one of those ASCII characters."""
    cdef Py_ssize_t at
    for at in range(text.size):
        if TEXT_CLASSES[text.data[at]] & classes:
            return True
    return False

cdef inline Text text_of(const uint8_t* data, const Node* node, Buffer* scratch) noexcept nogil:
    """The content of a STRING node; valid until the scratch buffer is used again."""
    cdef Text text
    cdef const uint8_t* start = data + node_start(node, 0)
    cdef const uint8_t* end = data + node_end(node, 0)
    if node_flags(node, 0) & NODE_ESCAPED:
        scratch.size = 0
        string_decode(start, end, scratch)
        text.data = scratch.data
        text.size = scratch.size
    else:
        text.data = start + 1
        text.size = end - start - 2
        if not node_flags(node, 0) & NODE_HIGH:
            text.marks = 0
            return text
    text.marks = text_marks(text.data, text.size)
    return text

cdef inline bint text_is_block(Text text) noexcept nogil:
    """Whether it is a string of several lines: one that can be fenced."""
    return text.marks & TEXT_LF and not text.marks & (TEXT_CONTROL | TEXT_SURROGATE | TEXT_BRACKET)

cdef bint text_is_literal(Text text) noexcept nogil:
    """Whether the whole text reads as a JSON number, or as a constant of JSON or Python."""
    # Whatever the style: what a literal of the other kind means is no question for a reader then.
    cdef uint8_t kind = 0, flags = 0, first = text.data[0]
    if first == 0x4E or first == 0x54 or first == 0x46:
        return printed_end(text.data, 0, text.size) == text.size
    if not (first == 0x2D or 0x30 <= first <= 0x39 or first == 0x6E or first == 0x74 or first == 0x66):
        return False
    return scan_scalar(text.data, 0, text.size, &kind, &flags) == text.size

cdef inline bint spells_word(Text text, const char* word, Py_ssize_t size) noexcept nogil:
    """Whether it is a word of lower-case letters, in whatever case."""
    cdef Py_ssize_t at
    if text.size != size:
        return False
    for at in range(size):
        if text.data[at] | 0x20 != <uint8_t>word[at]:
            return False
    return True

cdef inline bint looks_like_literal(Text text) noexcept nogil:
    """Whether a reader may take the whole text for a constant or a number: also as other languages spell them."""
    if spells_word(text, b"true", 4) or spells_word(text, b"false", 5) or spells_word(text, b"null", 4):
        return True
    return text_is_literal(text)

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
    if first == 0x28 and place != PLACE_LINE:
        return False
    if place == PLACE_FLOW:
        if text.marks & TEXT_TIMES or memchr(b"-?!&*|>@%`", first, 10) != NULL or has_class(text, TEXT_FLOW):
            return False
    elif place == PLACE_CONSTANT and (first == 0x3D or has_class(text, TEXT_STAR)):
        return False
    return not looks_like_marker(text, 6) and (place == PLACE_TEXT or not looks_like_literal(text))

cdef bint key_is_bare(Text text) noexcept nogil:
    """Whether a key may stand bare."""
    cdef uint8_t first
    if text.size == 0 or text.marks & TEXT_NEVER_BARE or has_class(text, TEXT_KEY):
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

cdef Py_ssize_t fence_size(const uint8_t* line, const uint8_t* end) noexcept nogil:
    """Length of the mark for lines: three quotes, or one more than the longest line of three or more quotes only."""
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
    return length

cdef inline void put_mark(Py_ssize_t length, Buffer* out) noexcept nogil:
    """Append a mark of that many quotes."""
    if buffer_reserve(out, length):
        memset(out.data + out.size, 0x22, length)
        out.size += length
