# Lists and dicts as Python prints them: read as the JSON value that they spell, and spelled again.
#
# What other files use:
#   Py_ssize_t python_extent(data, at, size, Buffer* json, bint* tuples, Py_ssize_t* stop)
#                                               where the list or dict at an offset ends, its value appended as JSON; or -1
#   bint restyle_python(json, size, style, limit, Buffer*)      a valid JSON text in STYLE_PYTHON or STYLE_TUPLES
#   void put_printed(first, Buffer*)                            the constant of JSON that begins so, in Python's word for it
#   void put_json_of(first, Buffer*)                            the other way round
#
# What JSON has no value for (nan, a date, a decimal) is the string of its very letters, and a string of such letters is spelled
# without quotes. Nothing here has to be as strict as Python: a form is only used where it spells the very source.

cdef enum:
    ATOM_BYTES = 256  # a longer call is no date or number

cdef inline bint in_name(uint8_t byte) noexcept nogil:
    return is_letter(byte) or is_digit(byte) or byte == 0x5F or byte == 0x2E

cdef Py_ssize_t atom_end(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Where nan, inf, -inf or a call such as datetime.date(2024, 5, 24) or Decimal('1.50') ends; -1 if none starts here."""
    cdef Py_ssize_t start = at
    cdef int depth = 0
    cdef bint pointed = False
    if size > at + ATOM_BYTES:
        size = at + ATOM_BYTES
    if at < size and data[at] == 0x2D:
        at += 1
    while at < size and in_name(data[at]):
        pointed |= data[at] == 0x2E
        at += 1
    if at - start >= 3 and (
        memcmp(data + at - 3, b"inf", 3) == 0 and at - start == 3 + (data[start] == 0x2D)
        or memcmp(data + start, b"nan", 3) == 0 and at - start == 3
    ) and (at == size or data[at] != 0x28):
        return at
    # A call of a plain name is what a string may be as well, such as char(3).
    if at + 1 >= size or not is_letter(data[start]) or data[at] != 0x28 or not (pointed or data[at + 1] == 0x27):
        return -1
    while at < size:
        if data[at] == 0x28:
            depth += 1
        elif data[at] == 0x29:
            depth -= 1
            if depth == 0:
                return at + 1
        elif not in_name(data[at]) and (data[at] == 0 or memchr(b" ,'=+:-/", data[at], 8) == NULL):
            return -1
        at += 1
    return -1

cdef inline Py_ssize_t read_escape(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Buffer* to) noexcept nogil:
    """Append the character of the escape whose backslash is at `at`; where it ends, or -1."""
    cdef uint8_t byte = data[at + 1] if at + 1 < size else 0
    cdef int digits = 2 if byte == 0x78 else 4 if byte == 0x75 else 8 if byte == 0x55 else 0, i
    cdef uint32_t point = 0
    if digits == 0:
        byte = 0x0A if byte == 0x6E else 0x09 if byte == 0x74 else 0x0D if byte == 0x72 else byte
        if byte != 0x0A and byte != 0x09 and byte != 0x0D and byte != 0x5C and byte != 0x27 and byte != 0x22:
            return -1
        buffer_byte(to, byte)
        return at + 2
    if at + 2 + digits > size:
        return -1
    for i in range(digits):
        if hex_digit(data[at + 2 + i]) < 0:
            return -1
        point = point << 4 | <uint32_t>hex_digit(data[at + 2 + i])
    if point > 0x10FFFF or point & 0x1FF800 == 0xD800:
        return -1
    put_wtf8(point, to)
    return at + 2 + digits

cdef Py_ssize_t read_python_string(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Buffer* scratch, Buffer* json, Py_ssize_t* stop
) noexcept nogil:
    """The string whose quote is at `at`, appended as JSON; where it ends, or -1."""
    cdef uint8_t quote = data[at]
    cdef Py_ssize_t start
    scratch.size = 0
    at += 1
    while True:
        start = at
        while at < size and data[at] != quote and data[at] != 0x5C and data[at] >= 0x20 and data[at] != 0x7F:
            at += 1
        stop[0] = at
        if json != NULL:
            buffer_put(scratch, data + start, at - start)
        if at >= size or (data[at] != 0x5C and data[at] != quote):
            return -1
        if data[at] == quote:
            break
        at = read_escape(data, at, size, scratch)
        if at < 0:
            return -1
    if json != NULL:
        quote_string(scratch.data, scratch.size, 0, json)
    return at + 1

cdef inline void put_printed(uint8_t first, Buffer* out) noexcept nogil:
    """Append None, True or False, by the first letter of null, true or false."""
    buffer_text(out, b"None" if first == 0x6E else b"True" if first == 0x74 else b"False")

cdef inline void put_json_of(uint8_t first, Buffer* out) noexcept nogil:
    """Append null, true or false, by the first letter of None, True or False."""
    buffer_text(out, b"null" if first == 0x4E else b"true" if first == 0x54 else b"false")

cdef inline Py_ssize_t printed_end(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Where the None, True or False ends that stands at an offset; -1 if none does."""
    if size - at >= 4 and (memcmp(data + at, b"None", 4) == 0 or memcmp(data + at, b"True", 4) == 0):
        return at + 4
    return at + 5 if size - at >= 5 and memcmp(data + at, b"False", 5) == 0 else -1

cdef Py_ssize_t read_python_scalar(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Buffer* scratch, Buffer* json, Py_ssize_t* stop
) noexcept nogil:
    """A scalar, appended as JSON; where it ends, or -1."""
    cdef Py_ssize_t end
    cdef uint8_t byte = data[at]
    if byte == 0x27 or byte == 0x22:
        return read_python_string(data, at, size, scratch, json, stop)
    end = atom_end(data, at, size)
    if end > 0:
        if json != NULL:
            quote_string(data + at, end - at, 0, json)
        return end
    if byte == 0x2D or is_digit(byte):
        end = scan_number(data, at, size)
        if end > 0 and json != NULL:
            buffer_put(json, data + at, end - at)
        return end if end > 0 else -1
    end = printed_end(data, at, size)
    if end > 0 and json != NULL:
        put_json_of(byte, json)
    return end

# The containers that are open while a value is read.
cdef struct Printed:
    uint8_t closers[STYLE_DEPTH + 1]
    bint commas[STYLE_DEPTH + 1]  # one has been read in it, or none is needed
    int depth
    bint tuples  # there was one

cdef inline void put_json_byte(Buffer* json, uint8_t byte) noexcept nogil:
    if json != NULL:
        buffer_byte(json, byte)

cdef inline bint open_printed(Printed* printed, uint8_t byte, Buffer* json) noexcept nogil:
    """Go into the container that a bracket opens; False if that is too deep."""
    if printed.depth == STYLE_DEPTH:
        return False
    printed.depth += 1
    printed.tuples |= byte == 0x28
    printed.closers[printed.depth] = 0x29 if byte == 0x28 else byte + 2
    printed.commas[printed.depth] = False
    put_json_byte(json, 0x7B if byte == 0x7B else 0x5B)
    return True

cdef Py_ssize_t close_printed(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Printed* printed, Buffer* json
) noexcept nogil:
    """Go out of every container that ends behind a value; the offset after their brackets."""
    cdef uint8_t closer
    while at < size and printed.depth:
        closer = printed.closers[printed.depth]
        # A tuple of one has a comma in it.
        if closer == 0x29 and not printed.commas[printed.depth] and at + 1 < size and data[at] == 0x2C and data[at + 1] == 0x29:
            printed.commas[printed.depth] = True
            at += 1
        if data[at] != closer or (closer == 0x29 and not printed.commas[printed.depth]):
            break
        put_json_byte(json, 0x7D if closer == 0x7D else 0x5D)
        printed.depth -= 1
        at += 1
    return at

cdef Py_ssize_t python_extent(
    const uint8_t* data, Py_ssize_t at, Py_ssize_t size, Buffer* json, bint* tuples, Py_ssize_t* stop
) noexcept nogil:
    """Where the list or dict that opens at `at` ends, its value appended as JSON (or NULL); -1 if it is none.

    `tuples`: whether there are any in it. `stop`: how far it was looked at.
    """
    cdef Printed printed
    cdef bint keyed = False, first = False
    cdef uint8_t byte
    cdef Buffer scratch
    cdef Py_ssize_t end = -1
    buffer_open(&scratch)
    printed.depth = 0
    printed.tuples = False
    while True:
        # A value, or a key, or the end of an empty container.
        stop[0] = at
        if at >= size:
            break
        byte = data[at]
        if byte == 0x5B or byte == 0x7B or byte == 0x28:
            if keyed or not open_printed(&printed, byte, json):
                break
            keyed = byte == 0x7B
            first = True
            at += 1
            continue
        if first and byte == printed.closers[printed.depth]:
            printed.commas[printed.depth] = True
        elif keyed and byte != 0x27 and byte != 0x22:
            break
        else:
            at = read_python_scalar(data, at, size, &scratch, json, stop)
            if at < 0:
                break
            if keyed:
                stop[0] = at
                if at + 1 >= size or data[at] != 0x3A or data[at + 1] != 0x20:
                    break
                put_json_byte(json, 0x3A)
                keyed = first = False
                at += 2
                continue
        at = close_printed(data, at, size, &printed, json)
        stop[0] = at
        if printed.depth == 0:
            end = at
            break
        if at + 1 >= size or data[at] != 0x2C or data[at + 1] != 0x20:
            break
        printed.commas[printed.depth] = True
        put_json_byte(json, 0x2C)
        keyed = printed.closers[printed.depth] == 0x7D
        first = False
        at += 2
    tuples[0] = printed.tuples
    if json != NULL:
        json.failed |= scratch.failed
    buffer_close(&scratch)
    return end

cdef inline bint python_escapes(uint32_t point) noexcept nogil:
    """Whether a character is written as an escape: what Python does not print, as far as it is common."""
    return (
        point < 0x20 or 0x7F <= point <= 0xA0 or point == 0xAD or 0x2000 <= point <= 0x200F or 0x2028 <= point <= 0x202F
        or 0x205F <= point <= 0x206F or point == 0x3000 or 0xD800 <= point <= 0xDFFF or 0xE000 <= point <= 0xF8FF or point == 0xFEFF
    )

cdef inline Py_ssize_t next_point(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, uint32_t* point) noexcept nogil:
    """Read the character of a valid string literal at an offset; where it ends."""
    if data[at] == 0x5C:
        return escape_point(data + at, data + size, point) - data
    if data[at] >= 0x80:
        return at + wtf8_point(data + at, point)
    point[0] = data[at]
    return at + 1

cdef void put_python_point(uint32_t point, uint8_t quote, Buffer* out) noexcept nogil:
    """Append a character as it stands inside quotes."""
    cdef const char* digits = b"0123456789abcdef"
    if point == quote or point == 0x5C:
        buffer_byte(out, 0x5C)
        buffer_byte(out, <uint8_t>point)
    elif point == 0x0A or point == 0x09 or point == 0x0D:
        buffer_byte(out, 0x5C)
        buffer_byte(out, 0x6E if point == 0x0A else 0x74 if point == 0x09 else 0x72)
    elif not python_escapes(point):
        put_wtf8(point, out)
    elif point < 0x100:
        buffer_text(out, b"\\x")
        buffer_byte(out, digits[point >> 4])
        buffer_byte(out, digits[point & 15])
    else:
        put_unit(point, out)

cdef Py_ssize_t put_python_string(const uint8_t* json, Py_ssize_t at, Py_ssize_t size, Buffer* out) noexcept nogil:
    """Append the valid string literal at `at` as Python prints it; where it ends."""
    cdef uint8_t flags = 0, quote = 0x27
    cdef Py_ssize_t end = scan_string(json, at, size, &flags) - 1, place = at + 1
    cdef uint32_t point = 0
    cdef bint double = False, single = False
    if flags == 0 and end > place and atom_end(json, place, end) == end:
        buffer_put(out, json + place, end - place)
        return end + 1
    if not flags & NODE_ESCAPED:
        single = memchr(json + place, 0x27, end - place) != NULL
    else:
        while place < end:
            place = next_point(json, place, end, &point)
            single |= point == 0x27
            double |= point == 0x22
        place = at + 1
    if single and not double:
        quote = 0x22
    buffer_byte(out, quote)
    if flags == 0:
        buffer_put(out, json + place, end - place)
    else:
        while place < end:
            place = next_point(json, place, end, &point)
            put_python_point(point, quote, out)
    buffer_byte(out, quote)
    return end + 1

cdef bint restyle_python(
    const uint8_t* json, Py_ssize_t size, int style, Py_ssize_t limit, Buffer* out
) noexcept nogil:
    """Append a valid JSON text as Python prints its value. False, and part of it, if that is longer or nested too deeply."""
    cdef bint tuples = style & STYLE_LAYOUT == STYLE_TUPLES
    cdef bint commas[STYLE_DEPTH + 1]
    cdef int depth = 0
    cdef Py_ssize_t at = space_end(json, 0, size), start
    cdef uint8_t byte
    limit += out.size
    while at < size:
        byte = json[at]
        if byte == 0x22:
            at = put_python_string(json, at, size, out)
        elif byte == 0x7B or byte == 0x5B:
            if depth == STYLE_DEPTH:
                return False
            depth += 1
            at = space_end(json, at + 1, size)
            commas[depth] = json[at] == byte + 2
            buffer_byte(out, 0x28 if tuples and depth > 1 and byte == 0x5B else byte)
        elif byte == 0x7D or byte == 0x5D:
            if tuples and depth > 1 and byte == 0x5D:
                buffer_text(out, b")" if commas[depth] else b",)")
            else:
                buffer_byte(out, byte)
            depth -= 1
            at += 1
        elif byte == 0x2C or byte == 0x3A:
            commas[depth] |= byte == 0x2C
            buffer_byte(out, byte)
            buffer_byte(out, 0x20)
            at += 1
        else:
            start = at
            while at < size and json[at] > 0x20 and json[at] != 0x2C and json[at] != 0x5D and json[at] != 0x7D:
                at += 1
            if byte == 0x6E or byte == 0x74 or byte == 0x66:
                put_printed(byte, out)
            else:
                buffer_put(out, json + start, at - start)
        if out.size > limit or out.failed:
            return False
        at = space_end(json, at, size)
    return out.size <= limit
