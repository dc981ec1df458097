# The decoder's state, and all that stands on one line of a crush text or between fence marks: keys, scalars, flow, strings.

cdef enum:
    EXPAND_DEPTH = 64
    EXPAND_COLUMNS = 256
    EXPAND_STRINGS = 8  # strings that hold JSON, one in the other: each doubles the backslashes in it
    EXPAND_ROOM = 1 << 28  # bytes a text may stand for, as constants repeat: four of the largest bodies read by default

cdef struct Span:
    Py_ssize_t start
    Py_ssize_t end

cdef struct HeadColumn:
    int32_t first_key  # of its path, in `keys`
    int32_t depth  # number of keys in its path
    int32_t shared  # how many of them it shares with the column before it
    bint constant
    Span value  # of a constant, in `names`
    Span step  # in `names`: what stands before its value (a constant's value included) if the column before it has one

cdef struct Decoder:
    const uint8_t* data
    Py_ssize_t size
    Py_ssize_t at
    Py_ssize_t below  # where the texts below a line go on, once it has a fence mark; else 0
    int32_t indent  # blanks at the start of this line; -1 behind the last one
    int32_t strings  # how many strings that hold JSON are being read, one in the other
    bint deletes  # there is a DEL somewhere
    bint empty_cells  # the head speaks of empty cells
    const char* reason  # why the text is refused; NULL: it is not
    Py_ssize_t wrong  # where
    Buffer* out  # what is being written: `text`, or `names`
    Buffer text
    Buffer names  # of the table at hand: keys, constants, steps
    Buffer keys  # Spans in `names`
    Buffer scratch  # a string without its escapes, or a value as its string spells it
    Buffer refs  # Spans in `data`
    int32_t width  # columns of the table at hand
    HeadColumn columns[EXPAND_COLUMNS]

cdef bint refuse(Decoder* d, const char* reason, Py_ssize_t at) noexcept nogil:
    """Note the first thing that is wrong; False."""
    if d.reason == NULL:
        d.reason = reason
        d.wrong = at
    return False

cdef inline uint8_t peek(const Decoder* d, Py_ssize_t at) noexcept nogil:
    """The byte at an offset; LF at the end of the text."""
    return d.data[at] if at < d.size else <uint8_t>c"\n"

cdef inline bint starts(const Decoder* d, Py_ssize_t at, const char* word) noexcept nogil:
    """Whether a word stands at an offset."""
    cdef Py_ssize_t size = strlen(word)
    return d.size - at >= size and memcmp(d.data + at, word, size) == 0

cdef inline Py_ssize_t line_end(const Decoder* d, Py_ssize_t at) noexcept nogil:
    """Offset of the LF that ends the line, or the end of the text."""
    cdef const uint8_t* found = <const uint8_t*>memchr(d.data + at, c"\n", d.size - at)
    return d.size if found == NULL else found - d.data

cdef inline void enter_line(Decoder* d, Py_ssize_t at) noexcept nogil:
    """Start to read a line; offsets beyond the end of the text mean that there is none."""
    cdef Py_ssize_t start = at
    d.at = at
    d.below = 0
    if at > d.size:
        d.indent = -1
        return
    while at < d.size and d.data[at] == c" " and at - start <= EXPAND_DEPTH:
        at += 1
    d.indent = <int32_t>(at - start)

cdef bint end_line(Decoder* d) noexcept nogil:
    """The line ends here; go on with the next one, behind the texts of its fences."""
    if peek(d, d.at) != c"\n":
        return refuse(d, b"more on the line than a value, or a character that must be escaped", d.at)
    if d.text.size > EXPAND_ROOM:
        return refuse(d, b"stands for more than 256 MiB", d.at)
    enter_line(d, d.below if d.below else d.at + 1)
    return not d.text.failed

cdef inline bint enter_container(Decoder* d, int32_t around) noexcept nogil:
    """One more level; all recursion comes through here."""
    return around < EXPAND_DEPTH or refuse(d, b"nested too deeply", d.at)

# Scalars and keys

cdef inline Py_ssize_t bare_point(const Decoder* d, Py_ssize_t at) noexcept nogil:
    """Offset behind the characters from a byte >= 0x80 on that may stand in a bare string; `at` if there is none."""
    # Not U+0085 (C2 85), U+2028 and U+2029 (E2 80 A8, A9).
    cdef Py_ssize_t step
    while at < d.size and d.data[at] >= 0x80:
        step = utf8_size(d.data, at, d.size)
        if step == 0 or (step == 2 and d.data[at] == 0xC2 and d.data[at + 1] == 0x85):
            break
        if step == 3 and d.data[at] == 0xE2 and d.data[at + 1] == 0x80 and d.data[at + 2] & 0xFE == 0xA8:
            break
        at += step
    return at

cdef inline Py_ssize_t bare_line_end(const Decoder* d, Py_ssize_t at, bint* escape) noexcept nogil:
    """Offset of the control character (or malformed byte) that ends a bare string on a line or in a cell."""
    cdef Py_ssize_t start = at, next_at
    cdef const uint8_t* delete
    while True:
        at = plain_end(d.data, at, d.size)
        if at < d.size and d.data[at] >= 0x80:
            next_at = bare_point(d, at)
            if next_at == at:
                break
            at = next_at
        elif at < d.size and d.data[at] >= 0x20:
            escape[0] = True
            at += 1
        else:
            break
    if d.deletes:
        delete = <const uint8_t*>memchr(d.data + start, 0x7F, at - start)
        if delete != NULL:
            return delete - d.data
    return at

cdef inline Py_ssize_t bare_word_end(
    const Decoder* d, Py_ssize_t at, uint64_t low, uint64_t high, bint* escape
) noexcept nogil:
    """Offset of the byte that ends a bare word: one in the sets of bytes below 64 and from 64 on, or a malformed one."""
    cdef Py_ssize_t next_at
    cdef uint8_t byte
    while at < d.size:
        byte = d.data[at]
        if byte >= 0x80:
            next_at = bare_point(d, at)
            if next_at == at:
                break
            at = next_at
            continue
        if ((low if byte < 64 else high) >> (byte & 63)) & 1:
            break
        if byte == c"\\":
            escape[0] = True
        at += 1
    return at

cdef bint spells_literal(const Decoder* d, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Whether the span is null, true, false or a number."""
    cdef uint8_t first = peek(d, start)
    if first == c"-" or c"0" <= first <= c"9":
        return start < end and scan_number(d.data, start, end) == end
    if end - start == 4:
        return memcmp(d.data + start, b"null", 4) == 0 or memcmp(d.data + start, b"true", 4) == 0
    return end - start == 5 and memcmp(d.data + start, b"false", 5) == 0

cdef inline void put_bare(Decoder* d, Py_ssize_t start, Py_ssize_t end, bint escape) noexcept nogil:
    """Write a span as a string."""
    cdef Buffer* out = d.out
    if escape:
        quote_string(d.data + start, end - start, False, out)
    elif buffer_reserve(out, end - start + 2):
        out.data[out.size] = c'"'
        memcpy(out.data + out.size + 1, d.data + start, end - start)
        out.size += end - start + 2
        out.data[out.size - 1] = c'"'

cdef bint read_quoted(Decoder* d) noexcept nogil:
    """A JSON string; its escapes get their canonical spelling."""
    cdef uint8_t flags = 0
    cdef Py_ssize_t end = scan_string(d.data, d.at, d.size, &flags)
    if end < 0:
        return refuse(d, b"not a JSON string", d.at)
    if flags & NODE_ESCAPED:
        d.scratch.size = 0
        string_decode(d.data + d.at, d.data + end, &d.scratch)
        if d.scratch.failed:
            return False
        quote_string(d.scratch.data, d.scratch.size, False, d.out)
    else:
        buffer_put(d.out, d.data + d.at, end - d.at)
    d.at = end
    return True

cdef bint read_key(Decoder* d) noexcept nogil:
    """A key; the blank before ( and [ belongs to what follows."""
    cdef Py_ssize_t start = d.at, end
    cdef bint escape = False
    cdef uint8_t first = peek(d, start)
    if first == c'"':
        return read_quoted(d)
    end = bare_word_end(d, start, 0x24005704FFFFFFFFULL, 0xB800000028000000ULL, &escape)  # not " [ ] { } ( ) , : | = * .
    if (peek(d, end) == c"(" or peek(d, end) == c"[") and end > start and d.data[end - 1] == c" ":
        end -= 1
    if end == start or first == c" " or d.data[end - 1] == c" " or first == c"-" or first == c"'" or first == c"#":
        return refuse(d, b"not a key, or one that must be quoted; or a wrong indent", start)
    if spells_literal(d, start, end) or starts(d, start, b"<<ccr"):
        return refuse(d, b"a key that must be quoted", start)
    put_bare(d, start, end, escape)
    d.at = end
    return True

cdef bint put_scalar(Decoder* d, Py_ssize_t end, bint escape, bint in_flow) noexcept nogil:
    """Write the literal or bare string from `d.at` to `end`."""
    cdef Py_ssize_t start = d.at
    cdef uint8_t first
    if start == end:
        return refuse(d, b"no value", start)
    if spells_literal(d, start, end):
        buffer_put(d.out, d.data + start, end - start)
        d.at = end
        return True
    first = d.data[start]
    if first == c" " or d.data[end - 1] == c" ":
        return refuse(d, b"blanks around a string", start)
    if first == c"-" and (end - start == 1 or d.data[start + 1] == c" "):
        return refuse(d, b"a string that must be quoted", start)
    if first == c"<" and starts(d, start, b"<<ccr:"):
        return refuse(d, b"a string that must be quoted", start)
    if in_flow and memchr(b"-?!&*|>@%`", first, 10) != NULL:
        return refuse(d, b"a string that must be quoted", start)
    put_bare(d, start, end, escape)
    d.at = end
    return True

cdef bint read_inline(Decoder* d, int32_t around) noexcept nogil:
    """A literal, a string or flow, up to the end of the line or cell (which the caller checks)."""
    cdef uint8_t first = peek(d, d.at)
    cdef bint escape = False
    cdef Py_ssize_t end
    if first == c'"':
        return read_quoted(d)
    if first == c"[" or first == c"{":
        return read_flow(d, around)
    end = bare_line_end(d, d.at, &escape)
    return put_scalar(d, end, escape, False)

cdef inline void skip_glue(Decoder* d) noexcept nogil:
    """One blank, if there is one."""
    if peek(d, d.at) == c" ":
        d.at += 1

# Flow

cdef bint read_flow(Decoder* d, int32_t around) noexcept nogil:
    """A value inside flow, or the outermost array or object of it."""
    cdef uint8_t first = peek(d, d.at)
    cdef bint escape = False
    cdef Py_ssize_t end
    if first == c'"':
        return read_quoted(d)
    if first == c"[":
        return enter_container(d, around) and read_flow_array(d, around)
    if first == c"{":
        return enter_container(d, around) and read_flow_object(d, around)
    end = bare_word_end(d, d.at, 0x04001004FFFFFFFFULL, 0xA800000028000000ULL, &escape)  # not , [ ] { } " :
    return put_scalar(d, end, escape, True)

cdef bint read_flow_array(Decoder* d, int32_t around) noexcept nogil:
    """[a, b]; the blank behind a comma may be missing."""
    buffer_byte(d.out, c"[")
    d.at += 1
    if peek(d, d.at) != c"]":
        while True:
            if not read_flow(d, around + 1):
                return False
            if peek(d, d.at) == c"]":
                break
            if peek(d, d.at) != c",":
                return refuse(d, b"neither a comma nor ] in flow", d.at)
            buffer_byte(d.out, c",")
            d.at += 1
            skip_glue(d)
    buffer_byte(d.out, c"]")
    d.at += 1
    return True

cdef bint read_flow_object(Decoder* d, int32_t around) noexcept nogil:
    """{k: a, l: b}; the blank behind a colon may be missing."""
    buffer_byte(d.out, c"{")
    d.at += 1
    if peek(d, d.at) != c"}":
        while True:
            if not read_key(d):
                return False
            if peek(d, d.at) != c":":
                return refuse(d, b"no colon behind a key in flow", d.at)
            buffer_byte(d.out, c":")
            d.at += 1
            skip_glue(d)
            if not read_flow(d, around + 1):
                return False
            if peek(d, d.at) == c"}":
                break
            if not starts(d, d.at, b", "):
                return refuse(d, b"neither a comma with its blank nor } in flow", d.at)
            buffer_byte(d.out, c",")
            d.at += 2
    buffer_byte(d.out, c"}")
    d.at += 1
    return True

# Strings of several lines

cdef inline Py_ssize_t mark_size(const Decoder* d, Py_ssize_t at) noexcept nogil:
    """Length of the fence mark at an offset; 0 if there is none."""
    cdef Py_ssize_t end = at
    while peek(d, end) == c'"':
        end += 1
    return end - at if end - at >= 3 else 0

cdef bint fence_allows(const Decoder* d, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Whether the lines in the span may stand in a fence: UTF-8, no control character but LF and tab."""
    cdef Py_ssize_t at = start, step
    if d.deletes and memchr(d.data + start, 0x7F, end - start) != NULL:
        return False
    while True:
        at = plain_end(d.data, at, end)
        if at >= end:
            return True
        if d.data[at] < 0x80:
            if d.data[at] < 0x20 and d.data[at] != c"\n" and d.data[at] != c"\t":
                return False
            at += 1
            continue
        while at < end and d.data[at] >= 0x80:
            step = utf8_size(d.data, at, end)
            if step == 0:
                return False
            at += step

cdef bint read_fence(Decoder* d) noexcept nogil:
    """The string whose fence mark is here: the lines below this one, up to the line that is the same mark."""
    cdef Py_ssize_t mark = mark_size(d, d.at), start, at, end
    d.at += mark
    start = at = d.below if d.below else line_end(d, d.at) + 1
    while at <= d.size:
        end = line_end(d, at)
        if end - at == mark and mark_size(d, at) == mark:
            d.below = end + 1
            if at == start or memchr(d.data + start, c"\n", at - 1 - start) == NULL:
                return refuse(d, b"a fence around less than two lines", start)
            if not fence_allows(d, start, at - 1):
                return refuse(d, b"a control character in a fence, or not UTF-8", start)
            quote_string(d.data + start, at - 1 - start, False, d.out)
            return True
        at = end + 1
    return refuse(d, b"a fence that does not end", d.at - mark)
