# Spelling JSON text the way common writers do, and telling which of them wrote a text.
#
# A style is a layout (json, jsonp, json1, json2, json4, jsont, jsonpy, jsonpyt) with STYLE_ASCII, STYLE_GO, STYLE_LINES, STYLE_JOINED,
# STYLE_CR, STYLE_NEWLINE added.
#
# What other files use:
#   bint restyle(json, size, style, Buffer*)            any valid JSON text in; False if its nesting is too deep to be indented,
#                                                       or STYLE_LINES wants an array of two or more elements and it is none
#   bint restyle_within(json, size, style, limit, Buffer*)          False also when it gets longer than so many bytes
#   int  style_guess(text, size)                        the only style that may have written the text, or -1; add STYLE_LINES for
#                                                       a text of several values
#   void quote_string(wtf8, size, escapes, Buffer*)     a JSON string literal; escapes: of a style, 0 for the usual ones
#   void style_name(style, Buffer*)                     e.g. "json2an"
#   int  style_parse(name, size)                        the style, or -1
#   bint is_printed(style)                              whether its constants are None, True and False

cdef enum:
    STYLE_JSON = 0  # no white space
    STYLE_JSONP = 1  # ", " and ": ", as Python's json.dumps
    STYLE_JSON1 = 2  # indented by 1, 2 or 4 blanks
    STYLE_JSON2 = 3
    STYLE_JSON4 = 4
    STYLE_JSONT = 5  # indented by a tab
    STYLE_PYTHON = 6  # as Python prints it; nothing can be added
    STYLE_TUPLES = 7  # the same, every list but the outermost a tuple
    STYLE_LAYOUT = 7  # mask of the layout
    STYLE_ASCII = 8  # non-ASCII escaped
    STYLE_NEWLINE = 16  # one LF at the end
    STYLE_GO = 32  # < > & U+2028 U+2029 escaped
    STYLE_LINES = 64  # the elements of the array, a LF between them ...
    STYLE_JOINED = 128  # ... or nothing
    STYLE_CR = 256  # each LF has a CR before it
    STYLE_ESCAPES = 8 | 32

# Indentation is repeated on every line: without a limit the result would be quadratic in the nesting.
cdef enum:
    STYLE_DEPTH = 64

cdef const char* STYLE_NAMES[8]
STYLE_NAMES[:] = [b"json", b"jsonp", b"json1", b"json2", b"json4", b"jsont", b"jsonpy", b"jsonpyt"]

cdef void style_name(int style, Buffer* out) noexcept nogil:
    """Append the name of a style."""
    buffer_text(out, STYLE_NAMES[style & STYLE_LAYOUT])
    if style & STYLE_ASCII:
        buffer_byte(out, 0x61)
    if style & STYLE_GO:
        buffer_byte(out, 0x67)
    if style & STYLE_LINES:
        buffer_byte(out, 0x63 if style & STYLE_JOINED else 0x6C)
    if style & STYLE_CR:
        buffer_byte(out, 0x72)
    if style & STYLE_NEWLINE:
        buffer_byte(out, 0x6E)

cdef inline int parse_flag(const uint8_t* name, Py_ssize_t* size, uint8_t letter, int flag) noexcept nogil:
    """The flag, if the name ends with its letter; the letter is taken off."""
    # The shortest name without letters ends with one, too.
    if size[0] <= 4 or name[size[0] - 1] != letter:
        return 0
    size[0] -= 1
    return flag

cdef int style_parse(const uint8_t* name, Py_ssize_t size) noexcept nogil:
    """The style of a name, or -1."""
    cdef int layout, flags = parse_flag(name, &size, 0x6E, STYLE_NEWLINE)
    flags |= parse_flag(name, &size, 0x72, STYLE_CR)
    flags |= parse_flag(name, &size, 0x63, STYLE_LINES | STYLE_JOINED)
    if not flags & STYLE_JOINED:
        flags |= parse_flag(name, &size, 0x6C, STYLE_LINES)
    flags |= parse_flag(name, &size, 0x67, STYLE_GO)
    flags |= parse_flag(name, &size, 0x61, STYLE_ASCII)
    for layout in range(8 if flags == 0 else 6):
        if <Py_ssize_t>strlen(STYLE_NAMES[layout]) == size and memcmp(STYLE_NAMES[layout], name, size) == 0:
            return layout | flags
    return -1

cdef inline bint is_printed(int style) noexcept nogil:
    """Whether texts in a style are spelled as Python prints values."""
    return style & STYLE_LAYOUT >= STYLE_PYTHON

cdef inline int style_indent(int style) noexcept nogil:
    """Blanks or tabs for each level, or 0."""
    style &= STYLE_LAYOUT
    return 0 if style < STYLE_JSON1 else 2 if style == STYLE_JSON2 else 4 if style == STYLE_JSON4 else 1

cdef void put_unit(uint32_t unit, Buffer* out) noexcept nogil:
    """Append a code unit as \\uxxxx, in lower case."""
    cdef const char* digits = b"0123456789abcdef"
    if buffer_reserve(out, 6):
        out.data[out.size] = 0x5C
        out.data[out.size + 1] = 0x75
        out.data[out.size + 2] = digits[unit >> 12]
        out.data[out.size + 3] = digits[unit >> 8 & 15]
        out.data[out.size + 4] = digits[unit >> 4 & 15]
        out.data[out.size + 5] = digits[unit & 15]
        out.size += 6

cdef inline bint go_escapes(uint32_t point) noexcept nogil:
    """Whether Go writes a code point that needs no escape as one."""
    return point == 0x3C or point == 0x3E or point == 0x26 or point == 0x2028 or point == 0x2029

cdef void put_quoted(uint32_t point, int escapes, Buffer* out) noexcept nogil:
    """Append a code point as it stands inside a string literal."""
    cdef uint8_t short = (
        0x22 if point == 0x22 else 0x5C if point == 0x5C else 0x6E if point == 0x0A else 0x74 if point == 0x09 else
        0x72 if point == 0x0D else 0x62 if point == 0x08 else 0x66 if point == 0x0C else 0
    )
    if short:
        buffer_byte(out, 0x5C)
        buffer_byte(out, short)
    elif point < 0x20 or point & 0x1FF800 == 0xD800 or (escapes & STYLE_GO and go_escapes(point)):
        put_unit(point, out)
    elif point < 0x7F:
        buffer_byte(out, <uint8_t>point)
    elif not escapes & STYLE_ASCII:
        put_wtf8(point, out)
    elif point < 0x10000:
        put_unit(point, out)
    else:
        put_unit(0xD7C0 + (point >> 10), out)
        put_unit(0xDC00 | point & 0x3FF, out)

cdef inline Py_ssize_t wtf8_point(const uint8_t* data, uint32_t* point) noexcept nogil:
    """Read the code point of a valid WTF-8 sequence of more than one byte; its length."""
    if data[0] < 0xE0:
        point[0] = (data[0] & 0x1F) << 6 | data[1] & 0x3F
        return 2
    if data[0] < 0xF0:
        point[0] = (data[0] & 0x0F) << 12 | (data[1] & 0x3F) << 6 | data[2] & 0x3F
        return 3
    point[0] = (data[0] & 0x07) << 18 | (data[1] & 0x3F) << 12 | (data[2] & 0x3F) << 6 | data[3] & 0x3F
    return 4

cdef void put_span(const uint8_t* at, const uint8_t* end, int escapes, Buffer* out) noexcept nogil:
    """Append a span that needs no usual escape: only those of Go."""
    cdef const uint8_t* start = at
    while escapes & STYLE_GO and at < end:
        if at[0] == 0x3C or at[0] == 0x3E or at[0] == 0x26:
            buffer_put(out, start, at - start)
            put_unit(at[0], out)
            start = at + 1
        elif at[0] == 0xE2 and at[1] == 0x80 and at[2] | 1 == 0xA9:
            buffer_put(out, start, at - start)
            put_unit(0x2000 | at[2] & 0x3F, out)
            start = at + 3
        at += 1
    buffer_put(out, start, end - start)

cdef Py_ssize_t put_plain(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, int escapes, Buffer* out) noexcept nogil:
    """Append what needs no short escape and no pair from `at` on; where that ends."""
    cdef Py_ssize_t end = at
    while end < size:
        end = plain_end(data, end, size)
        if escapes & STYLE_ASCII or end == size or data[end] < 0x80 or (data[end] == 0xED and data[end + 1] >= 0xA0):
            break
        while end < size and data[end] >= 0x80 and not (data[end] == 0xED and data[end + 1] >= 0xA0):
            end += 1
    put_span(data + at, data + end, escapes, out)
    return end

cdef void quote_string(const uint8_t* wtf8, Py_ssize_t size, int escapes, Buffer* out) noexcept nogil:
    """Append a text as a JSON string literal."""
    cdef Py_ssize_t at = 0
    cdef uint32_t point = 0
    buffer_byte(out, 0x22)
    while True:
        at = put_plain(wtf8, at, size, escapes, out)
        if at >= size:
            break
        if wtf8[at] >= 0x80:
            at += wtf8_point(wtf8 + at, &point)
        else:
            point = wtf8[at]
            at += 1
        put_quoted(point, escapes, out)
    buffer_byte(out, 0x22)

cdef Py_ssize_t restyle_string(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, int escapes, Buffer* out) noexcept nogil:
    """Append the valid string literal whose opening quote is at `at`, with canonical escapes; the offset after it."""
    cdef uint32_t point = 0
    cdef const uint8_t* end
    buffer_byte(out, 0x22)
    at += 1
    while True:
        at = put_plain(data, at, size, escapes, out)
        if data[at] == 0x22:
            buffer_byte(out, 0x22)
            return at + 1
        if data[at] == 0x5C:
            end = escape_point(data + at, data + size, &point)
            at = end - data
        elif data[at] >= 0x80:
            at += wtf8_point(data + at, &point)
        else:
            point = data[at]
            at += 1
        put_quoted(point, escapes, out)

cdef inline void put_newline(int style, Buffer* out) noexcept nogil:
    """Append a line break."""
    if style & STYLE_CR:
        buffer_byte(out, 0x0D)
    buffer_byte(out, 0x0A)

cdef inline void put_break(int style, int depth, Buffer* out) noexcept nogil:
    """Append a line break and the indentation of the next line, if a style has such."""
    cdef Py_ssize_t size = <Py_ssize_t>style_indent(style) * depth
    if style & STYLE_LAYOUT < STYLE_JSON1:
        return
    put_newline(style, out)
    if buffer_reserve(out, size):
        memset(out.data + out.size, 0x09 if style & STYLE_LAYOUT == STYLE_JSONT else 0x20, size)
        out.size += size

cdef inline Py_ssize_t open_container(
    const uint8_t* json, Py_ssize_t at, Py_ssize_t size, int style, int* depth, Buffer* out
) noexcept nogil:
    """Append an opening bracket and the line break behind it, or both brackets of an empty container; the offset after it."""
    cdef uint8_t byte = json[at]
    buffer_byte(out, byte)
    at = space_end(json, at + 1, size)
    if json[at] == byte + 2:
        buffer_byte(out, byte + 2)
        return at + 1
    depth[0] += 1
    if depth[0] <= STYLE_DEPTH:
        put_break(style, depth[0], out)
    return at

cdef inline bint restyle(const uint8_t* json, Py_ssize_t size, int style, Buffer* out) noexcept nogil:
    """Append a valid JSON text, spelled in a style. False, and part of it, if that style cannot spell it."""
    return restyle_within(json, size, style, <Py_ssize_t>(<size_t>-1 >> 1) - out.size, out)

cdef bint restyle_within(
    const uint8_t* json, Py_ssize_t size, int style, Py_ssize_t limit, Buffer* out
) noexcept nogil:
    """Append a valid JSON text, spelled in a style. False, and part of it, if that style cannot spell it in so many bytes."""
    # Objects and arrays break their lines alike, so the depth is all there is to know. Lines: the outer brackets are left out.
    cdef Py_ssize_t at = space_end(json, 0, size), start
    cdef int indent = style_indent(style), depth = 0, escapes = style & STYLE_ESCAPES, values = 1
    cdef bint spaced = style & STYLE_LAYOUT, lines = style & STYLE_LINES
    cdef uint8_t byte
    if is_printed(style):
        return restyle_python(json, size, style, limit, out)
    limit += out.size
    if lines:
        if at >= size or json[at] != 0x5B:
            return False
        at = space_end(json, at + 1, size)
    while at < size:
        byte = json[at]
        if byte == 0x22:
            at = restyle_string(json, at, size, escapes, out)
        elif byte == 0x7B or byte == 0x5B:
            at = open_container(json, at, size, style, &depth, out)
            if indent and depth > STYLE_DEPTH:
                return False
        elif byte == 0x7D or byte == 0x5D:
            if lines and depth == 0:
                break
            depth -= 1
            put_break(style, depth, out)
            buffer_byte(out, byte)
            at += 1
        elif byte == 0x2C:
            at += 1
            if lines and depth == 0:
                values += 1
                if not style & STYLE_JOINED:
                    put_newline(style, out)
            else:
                buffer_byte(out, byte)
                if indent:
                    put_break(style, depth, out)
                elif spaced:
                    buffer_byte(out, 0x20)
        elif byte == 0x3A:
            buffer_byte(out, byte)
            if spaced:
                buffer_byte(out, 0x20)
            at += 1
        else:
            start = at
            while at < size and json[at] > 0x20 and json[at] != 0x2C and json[at] != 0x5D and json[at] != 0x7D:
                at += 1
            buffer_put(out, json + start, at - start)
        if out.size > limit or out.failed:
            return False
        at = space_end(json, at, size)
    if style & STYLE_NEWLINE:
        put_newline(style, out)
    return (values > 1 or not lines) and out.size <= limit

cdef Py_ssize_t separator_offset(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Offset of the first comma or colon outside strings; `size` if there is none, -1 if white space stands before it."""
    cdef Py_ssize_t at = 0
    cdef bint inside = False
    while at < size:
        if inside:
            at = plain_end(text, at, size)
            if at >= size:
                break
        if text[at] < 0x20:
            return -1
        if text[at] == 0x22:
            inside = not inside
        elif text[at] == 0x5C:
            at += 1
        elif not inside and (text[at] == 0x2C or text[at] == 0x3A):
            return at
        elif not inside and text[at] == 0x20:
            return -1
        at += 1
    return size

cdef inline bint is_hex4(const uint8_t* digits) noexcept nogil:
    """Whether four bytes are hexadecimal digits."""
    return hex_digit(digits[0]) >= 0 and hex_digit(digits[1]) >= 0 and hex_digit(digits[2]) >= 0 and hex_digit(digits[3]) >= 0

cdef int guess_escapes(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """STYLE_ASCII if the first character beyond printable ASCII that tells is escaped, STYLE_GO if what Go escapes is."""
    # An unpaired surrogate tells nothing: it is always escaped.
    cdef Py_ssize_t at = 0, high = 0
    cdef const uint8_t* escape
    cdef uint32_t unit
    cdef uint64_t word
    cdef int found = 0
    cdef bint separator = False
    while high + 8 <= size:
        memcpy(&word, text + high, 8)
        if word & 0x8080808080808080ULL:
            break
        high += 8
    while high < size and text[high] < 0x80:
        high += 1
    while at < size:
        escape = <const uint8_t*>memchr(text + at, 0x5C, size - at)
        if escape == NULL:
            break
        at = escape - text + 2
        if size - at < 4 or escape[1] != 0x75 or not is_hex4(escape + 2):
            continue
        unit = hex4(escape + 2)
        if unit < 0x7F:
            found |= STYLE_GO if go_escapes(unit) else 0
        elif unit | 1 == 0x2029:
            separator = True
        elif at < high and unit & 0xF800 != 0xD800:
            found |= STYLE_ASCII
        elif at < high and unit & 0xFC00 == 0xD800 and size - at >= 10 and escape[6] == 0x5C and escape[7] == 0x75:
            if is_hex4(escape + 8) and hex4(escape + 8) & 0xFC00 == 0xDC00:
                found |= STYLE_ASCII
    if separator and not found & STYLE_ASCII:
        found |= STYLE_GO if high < size else STYLE_ASCII
    return found

cdef int style_guess(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """The only style that may have written a JSON object or array, or -1. Whether it did, restyle must show."""
    # White space tells at its first chance: after the opening bracket of an indented text, else after the first separator.
    # A text that neither tells (no separator, no character beyond ASCII) is the same in the plainer style.
    cdef int style, newline = 0
    cdef Py_ssize_t at, start = 2
    if size > 0 and text[size - 1] == 0x0A:
        newline = STYLE_NEWLINE
        size -= 1
        if size > 0 and text[size - 1] == 0x0D:
            newline |= STYLE_CR
            size -= 1
    if size < 3 or (text[0] != 0x7B and text[0] != 0x5B):
        return -1
    if text[1] == 0x0D:
        newline |= STYLE_CR
        start = 3
    if text[start - 1] == 0x0A:
        at = start
        while at < size and text[at] == 0x20:
            at += 1
        style = STYLE_JSON1 if at - start == 1 else STYLE_JSON2 if at - start == 2 else STYLE_JSON4 if at - start == 4 else -1
        if at == start and at < size and text[at] == 0x09:
            style = STYLE_JSONT
    else:
        at = separator_offset(text, size)
        style = -1 if at < 0 else STYLE_JSONP if at < size - 1 and text[at + 1] == 0x20 else STYLE_JSON
    if style < 0:
        return -1
    return style | newline | guess_escapes(text, size)
