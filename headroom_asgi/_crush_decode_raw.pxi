# Strings of several lines, and raw text with its ⟦ ⟧: runs of a character, repeated lines, blocks that stand for JSON.

# Strings that hold JSON

cdef int read_style(Decoder* d, Py_ssize_t start) noexcept nogil:
    """The style whose name starts at an offset; `d.at` moves behind it. -1 if there is none."""
    cdef Py_ssize_t end = start
    cdef int style
    while (c"a" <= peek(d, end) <= c"z" or c"0" <= peek(d, end) <= c"9") and end - start < 11:  # the longest is json2aglrn
        end += 1
    style = style_parse(d.data + start, end - start)
    if style < 0:
        refuse(d, b"an unknown style, or a string that must be quoted", start)
        return -1
    d.at = end
    return style

cdef int open_string(Decoder* d) noexcept nogil:
    """Read (style) and go into the string that it announces; the style, or -1."""
    cdef int style = read_style(d, d.at + 1)
    if style < 0:
        return -1
    if peek(d, d.at) != c")":
        refuse(d, b"an unknown style, or a string that must be quoted", d.at)
        return -1
    if d.strings == EXPAND_STRINGS:
        refuse(d, b"strings in strings, too deeply", d.at)
        return -1
    d.at += 1
    d.strings += 1
    set_style(d, style)
    return style

cdef bint holds_some(Decoder* d, Py_ssize_t start) noexcept nogil:
    """Whether the value that was written from `start` on is an object or array that is not empty."""
    # One whose rows are all left out is written as an empty one.
    cdef uint8_t first = d.out.data[start]
    if (first != c"[" and first != c"{") or (d.out.size - start == 2 and d.refs.size == 0):
        return refuse(d, b"something else than an object or array that is not empty", d.at)
    return True

cdef bint spell_value(Decoder* d, Py_ssize_t start, int style, Buffer* to) noexcept nogil:
    """Append, as a style spells it, the object or array that was written from `start` on, and take it back."""
    cdef Buffer* out = d.out
    if out.failed or not holds_some(d, start):
        return False
    if not restyle_within(out.data + start, out.size - start, style, EXPAND_ROOM, to) and d.refs.size == 0:
        return refuse(d, b"fewer than two elements in a style of lines, or more than 256 MiB", d.at)
    out.size = start
    return not to.failed

cdef bint close_string(Decoder* d, Py_ssize_t start, int style) noexcept nogil:
    """Turn the value that was written from `start` on into the string that spells it, and go out of that."""
    d.strings -= 1
    d.scratch.size = 0
    if not spell_value(d, start, style, &d.scratch):
        return False
    quote_string(d.scratch.data, d.scratch.size, False, d.out)
    return True

# Raw text

cdef inline Py_ssize_t bracket_offset(const uint8_t* data, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Offset of the first ⟦ from `at` on; `end` if there is none."""
    cdef const uint8_t* found
    while end - at >= 3:
        found = <const uint8_t*>memchr(data + at, 0xE2, end - at - 2)
        if found == NULL:
            break
        if found[1] == 0x9F and found[2] == 0xA6:
            return found - data
        at = found - data + 1
    return end

cdef inline bint close_bracket(Decoder* d) noexcept nogil:
    """The ⟧ of a form."""
    if not starts(d, d.at, b"\xe2\x9f\xa7"):
        return refuse(d, b"not what may stand between \xe2\x9f\xa6 and \xe2\x9f\xa7", d.at)
    d.at += 3
    return True

cdef int64_t read_run(Decoder* d) noexcept nogil:
    """The number of 2 or more in "× k⟧", which starts here; 0 if there is none."""
    cdef Py_ssize_t at = d.at + 3
    cdef int64_t times = read_count(d, &at) if starts(d, d.at, b"\xc3\x97 ") else 0
    d.at = at
    return times if times >= 2 and close_bracket(d) else 0

cdef bint read_character_run(Decoder* d, Buffer* raw) noexcept nogil:
    """⟦"c" × k⟧, from the quote on."""
    cdef uint8_t flags = 0
    cdef Py_ssize_t end = scan_string(d.data, d.at, d.size, &flags), start = raw.size, size
    cdef int64_t times
    if end < 0:
        return refuse(d, b"not a JSON string", d.at)
    string_decode(d.data + d.at, d.data + end, raw)
    if raw.failed:
        return False
    size = raw.size - start
    if size == 0 or size != (1 if raw.data[start] < 0x80 else utf8_size(raw.data, start, raw.size)):
        return refuse(d, b"not one character that stands several times", d.at)
    if raw.data[start] == c"\n" or raw.data[start] == c"\r" or peek(d, end) != c" ":
        return refuse(d, b"a line feed or carriage return that stands several times, or no number", d.at)
    d.at = end + 1
    times = read_run(d)
    return put_times(d, start, times, raw) if times else refuse(d, b"no number of 2 or more", d.at)

cdef bint read_line_run(Decoder* d, Buffer* raw) noexcept nogil:
    """⟦× k⟧ on a line of its own, from the × on: the last line that was written stands k times in all."""
    cdef Py_ssize_t start = raw.size - 1
    cdef int64_t times = read_run(d)
    if times == 0 or peek(d, d.at) != c"\n":
        return refuse(d, b"no number of 2 or more, or more on the line", d.at)
    while start > 0 and raw.data[start - 1] != c"\n":
        start -= 1
    if not put_times(d, start, times, raw):
        return False
    raw.size -= 1  # the LF behind the form is the one behind the last of them
    return True

cdef bint cut_brackets(Decoder* d, Py_ssize_t start, int64_t brackets, Buffer* raw) noexcept nogil:
    """Take back so many closing brackets at the end of a block's text, and the white space before each."""
    while brackets > 0:
        if raw.size == start or (raw.data[raw.size - 1] != c"}" and raw.data[raw.size - 1] != c"]"):
            return d.refs.size > 0 or refuse(d, b"more brackets cut than the block ends with", d.at)
        raw.size -= 1
        while raw.size > start and raw.data[raw.size - 1] <= c" ":
            raw.size -= 1
        brackets -= 1
    return True

cdef bint read_text_block(Decoder* d, Buffer* raw) noexcept nogil:
    """⟦style⟧, a value on the lines below, and ⟦end⟧; from the style on."""
    cdef Py_ssize_t at, json = d.out.size, start = raw.size
    cdef int64_t brackets = 0
    cdef bint inside = d.inside
    cdef int style = read_style(d, d.at)
    if style < 0:
        return False
    if starts(d, d.at, b" cut "):
        at = d.at + 5
        brackets = read_count(d, &at)
        if brackets == 0 or style & STYLE_NEWLINE:
            return refuse(d, b"no number of brackets, or a style with a line feed behind them", d.at)
        d.at = at
    if not close_bracket(d):
        return False
    if d.strings == EXPAND_STRINGS:
        return refuse(d, b"strings in strings, too deeply", d.at)
    d.strings += 1
    set_style(d, style)
    d.inside = True
    if not end_line(d) or not read_top(d, True):
        return False
    if d.indent >= 0 or not ends_block(d, d.at):
        return refuse(d, b"a block that does not end where its value does", d.at)
    d.at += 9
    d.strings -= 1
    d.inside = inside
    return spell_value(d, json, style, raw) and cut_brackets(d, start, brackets, raw)

cdef bint read_raw(Decoder* d, Py_ssize_t start, Py_ssize_t end, int32_t around, Buffer* raw) noexcept nogil:
    """Write the text that a span of raw text stands for."""
    cdef Py_ssize_t at = start, mark, repeated = -1, size = d.size
    cdef int32_t base = d.base
    cdef bint done
    raw.size = 0
    d.size = end
    d.base += around
    while True:
        mark = bracket_offset(d.data, at, end)
        buffer_put(raw, d.data + at, mark - at)
        if mark == end:
            break
        d.below = 0
        d.at = mark + 3
        if not d.notes & NOTED_RAW:
            return refuse(d, b"a \xe2\x9f\xa6 that the head does not speak of", mark)
        if peek(d, d.at) == c'"':
            done = read_character_run(d, raw)
        elif starts(d, d.at, b"\xc3\x97"):
            if mark == start or d.data[mark - 1] != c"\n" or mark == repeated + 1:
                return refuse(d, b"no line above that could stand several times", mark)
            done = read_line_run(d, raw)
            repeated = d.at
        else:
            done = read_text_block(d, raw)
        if not done:
            return False
        if raw.size > EXPAND_ROOM:
            return refuse(d, b"stands for more than 256 MiB", d.at)
        at = d.at
    d.size = size
    d.base = base
    return not raw.failed

# Strings of several lines

cdef inline Py_ssize_t mark_size(const Decoder* d, Py_ssize_t at) noexcept nogil:
    """Length of the fence mark at an offset; 0 if there is none."""
    cdef Py_ssize_t end = at
    while peek(d, end) == c'"':
        end += 1
    return end - at if end - at >= 3 else 0

cdef bint text_allowed(const uint8_t* data, Py_ssize_t start, Py_ssize_t end, bint fenced) noexcept nogil:
    """Whether a text may stand in a fence, or alone: UTF-8; in a fence no control character but LF, tab and CR LF."""
    cdef Py_ssize_t at = start, step
    while True:
        at = plain_end(data, at, end)
        if at >= end:
            return True
        if data[at] < 0x80:
            if fenced and (data[at] < 0x20 or data[at] == 0x7F) and data[at] != c"\n" and data[at] != c"\t":
                if data[at] != c"\r" or at + 1 == end or data[at + 1] != c"\n":
                    return False
            at += 1
            continue
        while at < end and data[at] >= 0x80:
            step = utf8_size(data, at, end)
            if step == 0:
                return False
            at += step

cdef bint read_noted_groups(Decoder* d, const uint8_t** text, Py_ssize_t* size) noexcept nogil:
    """What stands below the head, with its groups, if the head speaks of such; it stays as it is, else."""
    cdef int wrong
    if not d.notes & NOTED_GROUPS:
        return True
    d.scratch.size = 0
    wrong = expand_groups(text[0], size[0], (d.notes & NOTED_GROUPS) // 16, EXPAND_ROOM, &d.scratch)
    if wrong != EXPANDED:
        return refuse(d, b"stands for more than 256 MiB" if wrong == EXPANDED_TOO_LARGE else b"a row with too few cells", d.at)
    text[0] = d.scratch.data
    size[0] = d.scratch.size
    return not d.scratch.failed

cdef bint put_fenced_text(Decoder* d, Py_ssize_t start, Py_ssize_t end, int32_t around, bint below_head) noexcept nogil:
    """Write the string that the lines of a fence stand for, or those below the head."""
    cdef Buffer* raw = d.raws + d.strings
    cdef const uint8_t* text = d.data + start
    cdef Py_ssize_t size = end - start
    if bracket_offset(d.data, start, end) < end:
        if not read_raw(d, start, end, around, raw):
            return False
        text = raw.data
        size = raw.size
        if bracket_offset(text, 0, size) < size:
            return refuse(d, b"a \xe2\x9f\xa6 in what a fence stands for", start)
    if below_head and not read_noted_groups(d, &text, &size):
        return False
    if not text_allowed(text, 0, size, True):
        return refuse(d, b"a control character in a fence, or not UTF-8", start)
    quote_string(text, size, False, d.out)
    return True

cdef bint read_fence(Decoder* d, int32_t around) noexcept nogil:
    """The string whose fence mark is here: the lines below this one, up to the line that is the same mark."""
    cdef Py_ssize_t mark = mark_size(d, d.at), start, at, end, behind = d.at + mark
    cdef bint parted = d.parted
    start = at = d.below if d.below else line_end(d, behind) + 1
    while at <= d.size:
        end = line_end(d, at)
        if end - at == mark and mark_size(d, at) == mark:
            if at == start or memchr(d.data + start, c"\n", at - 1 - start) == NULL:
                return refuse(d, b"a fence around less than two lines", start)
            if not put_fenced_text(d, start, at - 1, around, False):
                return False
            d.at = behind
            d.below = end + 1
            d.parted = parted
            return True
        at = end + 1
    return refuse(d, b"a fence that does not end", d.at)

cdef bint read_text_body(Decoder* d) noexcept nogil:
    """All that stands below the head of a text that is no JSON."""
    cdef Buffer* raw = d.raws
    cdef const uint8_t* text
    cdef Py_ssize_t size
    d.result = raw
    if not read_raw(d, d.at, d.size, 0, raw):
        return False
    text = raw.data
    size = raw.size
    if not read_noted_groups(d, &text, &size):
        return False
    if d.notes & NOTED_GROUPS:
        d.result = raw = &d.scratch
    if not text_allowed(raw.data, 0, raw.size, False) or bracket_offset(raw.data, 0, raw.size) < raw.size:
        return refuse(d, b"not UTF-8, or a \xe2\x9f\xa6 in what a text stands for", d.at)
    return True

cdef void join_tags(Buffer* text) noexcept nogil:
    """Take the first of the line feeds out that stand between a > and a <, and nothing else does."""
    cdef Py_ssize_t at = 0, end = 0, stop
    while at < text.size:
        text.data[end] = text.data[at]
        end += 1
        at += 1
        if text.data[end - 1] == c">" and at < text.size and text.data[at] == c"\n":
            stop = at
            while stop < text.size and text.data[stop] == c"\n":
                stop += 1
            if stop < text.size and text.data[stop] == c"<":
                at += 1
    text.size = end
