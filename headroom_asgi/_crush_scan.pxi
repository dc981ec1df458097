# JSON text to a tape of nodes: one pass over the bytes, strict RFC 8259, UTF-8 validated on the way, nesting without limit.
#
# What other files use:
#   int        tape_scan(data, size, Tape*)                    0, or why not; `tape.offset` says where. Close the tape in any case.
#   void       tape_minify(data, Tape*, node, Buffer*)         the value without white space
#   Py_ssize_t plain_end(data, at, size)                       first byte from `at` on that is not plain inside a string literal
#   Py_ssize_t utf8_size(data, at, size)                       length of the well-formed sequence of a byte >= 0x80, or 0
#   void       string_decode(literal_start, literal_end, Buffer*)   content of a literal, quotes included in the span, as WTF-8
#   void       put_wtf8(code point, Buffer*)
#
# WTF-8 is UTF-8 in which an unpaired surrogate is three bytes (ED A0..BF xx); a text in it is never read back as JSON.

from cpython.unicode cimport PyUnicode_DecodeUTF8

cdef enum:
    SCAN_OK = 0
    SCAN_JSON = 1  # not JSON
    SCAN_UTF8 = 2  # not UTF-8
    SCAN_MEMORY = 3  # no memory, 2 GiB of text and more, or 2**30 slots and more

cdef extern from *:
    """
    #include <stdint.h>
    /* Offset in memory of the first byte whose top bit is set in an 8-byte word. */
    static inline int headroom_first_byte(uint64_t marked) {
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        return __builtin_clzll(marked) >> 3;
    #else
        return __builtin_ctzll(marked) >> 3;
    #endif
    }
    """
    int headroom_first_byte(uint64_t) noexcept nogil

cdef inline Py_ssize_t plain_end(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Offset of the first byte from `at` on that is a quote, a backslash or not printable ASCII; `size` if there is none."""
    # Eight bytes at a time: the top bit of a byte gets set where a subtraction borrows, the addition reaches it or the byte is
    # >= 0x80. A borrow or carry may mark a plain byte behind a real hit (before it, on a big-endian machine), so a hit is looked
    # at before it is believed.
    cdef uint64_t word, marked
    cdef uint8_t byte
    while at + 8 <= size:
        memcpy(&word, data + at, 8)
        marked = (
            word
            | (word - 0x2020202020202020ULL)
            | (word + 0x0101010101010101ULL)
            | ((word ^ 0x2222222222222222ULL) - 0x0101010101010101ULL)
            | ((word ^ 0x5C5C5C5C5C5C5C5CULL) - 0x0101010101010101ULL)
        ) & 0x8080808080808080ULL
        if marked == 0:
            at += 8
            continue
        at += headroom_first_byte(marked)
        byte = data[at]
        if byte < 0x20 or byte == 0x22 or byte == 0x5C or byte >= 0x7F:
            return at
        at += 1
    while at < size:
        byte = data[at]
        if byte < 0x20 or byte == 0x22 or byte == 0x5C or byte >= 0x7F:
            return at
        at += 1
    return at

cdef inline Py_ssize_t utf8_size(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Length of the UTF-8 sequence that starts at a byte >= 0x80; 0 if it is not well-formed (Unicode, table 3-7)."""
    cdef Py_ssize_t left = size - at
    cdef uint8_t first = data[at], second
    if left < 2:
        return 0
    second = data[at + 1]
    if second & 0xC0 != 0x80 or first < 0xC2:
        return 0
    if first < 0xE0:
        return 2
    if left < 3 or data[at + 2] & 0xC0 != 0x80:
        return 0
    if first < 0xF0:
        return 0 if (first == 0xE0 and second < 0xA0) or (first == 0xED and second >= 0xA0) else 3
    if left < 4 or data[at + 3] & 0xC0 != 0x80 or first > 0xF4:
        return 0
    return 0 if (first == 0xF0 and second < 0x90) or (first == 0xF4 and second >= 0x90) else 4

cdef inline Py_ssize_t space_end(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Offset of the first byte from `at` on that is not JSON white space."""
    cdef uint64_t word
    while at < size and (data[at] == 0x20 or data[at] == 0x0A or data[at] == 0x0D or data[at] == 0x09):
        at += 1
        while at + 8 <= size:
            memcpy(&word, data + at, 8)
            if word != 0x2020202020202020ULL:
                break
            at += 8
    return at

cdef inline int hex_digit(uint8_t byte) noexcept nogil:
    """Value of a hexadecimal digit, or -1."""
    if 0x30 <= byte <= 0x39:
        return byte - 0x30
    byte |= 0x20
    return byte - 0x57 if 0x61 <= byte <= 0x66 else -1

# The scanners below return the offset after the token, or ~offset of the first byte that is wrong.

cdef Py_ssize_t scan_string(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, uint8_t* flags) noexcept nogil:
    """A string literal; `at` is its opening quote."""
    cdef Py_ssize_t step
    cdef int digits
    cdef uint8_t byte
    at += 1
    while True:
        at = plain_end(data, at, size)
        if at >= size:
            return ~size
        byte = data[at]
        if byte == 0x22:
            return at + 1
        if byte >= 0x7F:
            flags[0] |= NODE_HIGH
            at += byte == 0x7F
            while at < size and data[at] >= 0x80:
                step = utf8_size(data, at, size)
                if step == 0:
                    return ~at
                at += step
            continue
        if byte != 0x5C:
            return ~at
        flags[0] |= NODE_ESCAPED
        at += 1
        if at >= size:
            return ~size
        byte = data[at]
        at += 1
        if byte == 0x75:
            for digits in range(4):
                if at >= size or hex_digit(data[at]) < 0:
                    return ~at
                at += 1
        elif not (byte == 0x22 or byte == 0x5C or byte == 0x2F or byte == 0x62 or byte == 0x66 or byte == 0x6E
                  or byte == 0x72 or byte == 0x74):
            return ~(at - 1)

cdef inline Py_ssize_t digits_end(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Offset of the first byte from `at` on that is not a digit."""
    # Eight bytes at a time: the top bit of a byte gets set where it is not 0x30 to 0x39; no sum reaches the next byte.
    cdef uint64_t word
    while at + 8 <= size:
        memcpy(&word, data + at, 8)
        word ^= 0x3030303030303030ULL
        word = ((word & 0x7F7F7F7F7F7F7F7FULL) + 0x7676767676767676ULL | word) & 0x8080808080808080ULL
        if word:
            return at + headroom_first_byte(word)
        at += 8
    while at < size and 0x30 <= data[at] <= 0x39:
        at += 1
    return at

cdef Py_ssize_t scan_number(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """A number; `at` is its minus sign or first digit. A digit after a leading zero is left for the caller to stumble over."""
    cdef Py_ssize_t start
    if data[at] == 0x2D:
        at += 1
    if at < size and data[at] == 0x30:
        at += 1
    else:
        start = at
        at = digits_end(data, at, size)
        if at == start:
            return ~at
    if at < size and data[at] == 0x2E:
        start = at + 1
        at = digits_end(data, start, size)
        if at == start:
            return ~at
    if at < size and data[at] | 0x20 == 0x65:
        at += 1
        if at < size and (data[at] == 0x2B or data[at] == 0x2D):
            at += 1
        start = at
        at = digits_end(data, start, size)
        if at == start:
            return ~at
    return at

cdef Py_ssize_t scan_word(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, const char* word) noexcept nogil:
    """One of the literal names."""
    cdef Py_ssize_t i = 0
    while word[i] != 0:
        if at + i >= size or data[at + i] != <uint8_t>word[i]:
            return ~(at + i)
        i += 1
    return at + i

cdef inline Py_ssize_t scan_scalar(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t size, uint8_t* kind, uint8_t* flags
) noexcept nogil:
    """A string, number or literal name."""
    cdef uint8_t byte = data[at]
    if byte == 0x22:
        kind[0] = KIND_STRING
        return scan_string(data, at, size, flags)
    if byte == 0x2D or 0x30 <= byte <= 0x39:
        kind[0] = KIND_NUMBER
        return scan_number(data, at, size)
    if byte == 0x74:
        kind[0] = KIND_TRUE
        return scan_word(data, at, size, b"true")
    if byte == 0x66:
        kind[0] = KIND_FALSE
        return scan_word(data, at, size, b"false")
    if byte == 0x6E:
        kind[0] = KIND_NULL
        return scan_word(data, at, size, b"null")
    return ~at

cdef int tape_fail(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Tape* tape) noexcept nogil:
    """Note where the text went wrong; the reason."""
    tape.offset = at
    if tape.failed:
        return SCAN_MEMORY
    return SCAN_UTF8 if at < size and data[at] >= 0x80 and utf8_size(data, at, size) == 0 else SCAN_JSON

cdef inline Py_ssize_t tape_key(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Tape* tape) noexcept nogil:
    """A key and its colon."""
    cdef uint8_t flags = NODE_KEY
    cdef Py_ssize_t end
    if data[at] != 0x22:
        return ~at
    end = scan_string(data, at, size, &flags)
    if end < 0:
        return end
    if not tape_scalar(tape, KIND_STRING, flags, at, end):
        return ~at
    at = space_end(data, end, size)
    tape.space += <int32_t>(at - end)
    return at + 1 if at < size and data[at] == 0x3A else ~at

cdef enum:
    EXPECT_VALUE = 0
    EXPECT_FIRST_VALUE = 1  # or the end of an empty array
    EXPECT_KEY = 2
    EXPECT_FIRST_KEY = 3  # or the end of an empty object
    EXPECT_NEXT = 4  # a comma, or the end of the container

cdef int tape_scan(const uint8_t* data, Py_ssize_t size, Tape* tape) noexcept nogil:
    """Scan exactly one JSON text into a new tape: SCAN_OK, or why it is none."""
    # The stack of open containers lives in the tape: an open one has its parent in the place of `next`.
    cdef Py_ssize_t at = 0, end
    cdef int32_t opened = -1, depth = 0
    cdef int expect = EXPECT_VALUE
    cdef uint8_t byte, kind, flags
    tape_start(tape, size)
    if size > 0x7FFFFFFF:
        return SCAN_MEMORY
    while True:
        end = at
        at = space_end(data, at, size)
        if at > end:
            tape.space += <int32_t>(at - end)
        if at >= size:
            return SCAN_OK if expect == EXPECT_NEXT and opened < 0 else tape_fail(data, at, size, tape)
        byte = data[at]
        if expect == EXPECT_NEXT or byte == 0x5D or byte == 0x7D:
            if opened < 0:
                return tape_fail(data, at, size, tape)
            kind = node_kind(tape.nodes, opened)
            if byte == 0x2C and expect == EXPECT_NEXT:
                expect = EXPECT_KEY if kind == KIND_OBJECT else EXPECT_VALUE
                at += 1
                continue
            if byte != (0x7D if kind == KIND_OBJECT else 0x5D) or expect == EXPECT_VALUE or expect == EXPECT_KEY:
                return tape_fail(data, at, size, tape)
            at += 1
            depth -= 1
            opened = tape_shut(tape, opened, at)
            expect = EXPECT_NEXT
        elif expect == EXPECT_KEY or expect == EXPECT_FIRST_KEY:
            at = tape_key(data, at, size, tape)
            if at < 0:
                return tape_fail(data, ~at, size, tape)
            expect = EXPECT_VALUE
        else:
            if opened >= 0:
                tape.nodes[opened].bits += 1 << 3
            if byte == 0x7B or byte == 0x5B:
                if not tape_open(tape, KIND_OBJECT if byte == 0x7B else KIND_ARRAY, at, opened):
                    return tape_fail(data, at, size, tape)
                opened = tape.size - 2
                depth += 1
                if depth > tape.depth:
                    tape.depth = depth
                expect = EXPECT_FIRST_KEY if byte == 0x7B else EXPECT_FIRST_VALUE
                at += 1
                continue
            kind = flags = 0
            end = scan_scalar(data, at, size, &kind, &flags)
            if end < 0:
                return tape_fail(data, ~end, size, tape)
            if not tape_scalar(tape, kind, flags, at, end):
                return tape_fail(data, at, size, tape)
            at = end
            expect = EXPECT_NEXT
            if opened >= 0 and at < size and data[at] == 0x2C:
                expect = EXPECT_KEY if node_kind(tape.nodes, opened) == KIND_OBJECT else EXPECT_VALUE
                at += 1

cdef void tape_minify(const uint8_t* data, const Tape* tape, int32_t node, Buffer* out) noexcept nogil:
    """Append the value of a node without white space between its tokens."""
    # Scalars are copied as they are; what stands between them is white space and punctuation, of which the latter is kept.
    cdef const Node* nodes = tape.nodes
    cdef Py_ssize_t at = node_start(nodes, node), end = node_end(nodes, node), stop
    cdef int32_t i = node, last = node_next(nodes, node)
    if not buffer_reserve(out, end - at):
        return
    while True:
        while i < last and node_kind(nodes, i) <= KIND_ARRAY:
            i = node_child(nodes, i)
        stop = node_start(nodes, i) if i < last else end
        while at < stop:
            if data[at] > 0x20:
                out.data[out.size] = data[at]
                out.size += 1
            at += 1
        if i >= last:
            return
        buffer_put(out, data + at, node_size(nodes, i))
        at += node_size(nodes, i)
        i = node_step(nodes, i)

cdef inline uint32_t hex4(const uint8_t* digits) noexcept nogil:
    """The code unit of four hexadecimal digits."""
    return (hex_digit(digits[0]) << 12) | (hex_digit(digits[1]) << 8) | (hex_digit(digits[2]) << 4) | hex_digit(digits[3])

cdef void put_wtf8(uint32_t point, Buffer* out) noexcept nogil:
    """Append a code point, surrogates included, as UTF-8 spells it."""
    if point < 0x80:
        buffer_byte(out, <uint8_t>point)
    elif point < 0x800:
        buffer_byte(out, <uint8_t>(0xC0 | point >> 6))
        buffer_byte(out, <uint8_t>(0x80 | point & 0x3F))
    elif point < 0x10000:
        buffer_byte(out, <uint8_t>(0xE0 | point >> 12))
        buffer_byte(out, <uint8_t>(0x80 | point >> 6 & 0x3F))
        buffer_byte(out, <uint8_t>(0x80 | point & 0x3F))
    else:
        buffer_byte(out, <uint8_t>(0xF0 | point >> 18))
        buffer_byte(out, <uint8_t>(0x80 | point >> 12 & 0x3F))
        buffer_byte(out, <uint8_t>(0x80 | point >> 6 & 0x3F))
        buffer_byte(out, <uint8_t>(0x80 | point & 0x3F))

cdef const uint8_t* escape_point(const uint8_t* at, const uint8_t* end, uint32_t* point) noexcept nogil:
    """Read the valid escape at a backslash, a surrogate pair as one; the byte after it."""
    cdef uint8_t byte = at[1]
    cdef uint32_t low
    if byte != 0x75:
        point[0] = (
            0x08 if byte == 0x62 else 0x0C if byte == 0x66 else 0x0A if byte == 0x6E else
            0x0D if byte == 0x72 else 0x09 if byte == 0x74 else byte
        )
        return at + 2
    point[0] = hex4(at + 2)
    if point[0] & 0xFC00 == 0xD800 and end - at >= 12 and at[6] == 0x5C and at[7] == 0x75:
        low = hex4(at + 8)
        if low & 0xFC00 == 0xDC00:
            point[0] = 0x10000 + ((point[0] & 0x3FF) << 10) + (low & 0x3FF)
            return at + 12
    return at + 6

cdef void string_decode(const uint8_t* literal_start, const uint8_t* literal_end, Buffer* out) noexcept nogil:
    """Append the content of a valid string literal (its span with the quotes), as WTF-8."""
    cdef const uint8_t* at = literal_start + 1
    cdef const uint8_t* end = literal_end - 1
    cdef const uint8_t* escape
    cdef uint32_t point = 0
    while at < end:
        escape = <const uint8_t*>memchr(at, 0x5C, end - at)
        if escape == NULL:
            escape = end
        buffer_put(out, at, escape - at)
        if escape == end:
            return
        at = escape_point(escape, end, &point)
        put_wtf8(point, out)

cdef bint string_equals(
    const uint8_t* data, const Node* node, const uint8_t* text, Py_ssize_t size, Buffer* scratch
) noexcept nogil:
    """Whether the content of a STRING node is `text` (WTF-8)."""
    cdef const uint8_t* literal = data + node_start(node, 0)
    cdef Py_ssize_t length = node_size(node, 0) - 2
    if length < size or length > 6 * size:
        return False
    if not node_flags(node, 0) & NODE_ESCAPED:
        return length == size and memcmp(literal + 1, text, size) == 0
    scratch.size = 0
    string_decode(literal, literal + length + 2, scratch)
    return scratch.size == size and memcmp(scratch.data, text, size) == 0

cdef int32_t tape_get(
    const uint8_t* data, const Node* nodes, int32_t node, const uint8_t* key, Py_ssize_t size, Buffer* scratch
) noexcept nogil:
    """The last value under a key (WTF-8) of an object, or -1."""
    cdef int32_t at, value, end, found = -1
    if node_kind(nodes, node) != KIND_OBJECT:
        return -1
    at = node_child(nodes, node)
    end = node_next(nodes, node)
    while at < end:
        value = node_next(nodes, at)
        if string_equals(data, nodes + at, key, size, scratch):
            found = value
        at = node_next(nodes, value)
    return found

OBJECT = KIND_OBJECT
ARRAY = KIND_ARRAY
STRING = KIND_STRING
NUMBER = KIND_NUMBER
TRUE = KIND_TRUE
FALSE = KIND_FALSE
globals()["NULL"] = KIND_NULL  # the bare name is C's null pointer here
