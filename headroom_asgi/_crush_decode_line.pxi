# The decoder's state, and what stands on one line of a crush text without brackets: keys, literals, strings.

cdef enum:
    EXPAND_DEPTH = 64
    EXPAND_COLUMNS = 256
    EXPAND_STRINGS = 8  # strings that hold JSON and blocks, one in the other: each doubles the backslashes in it
    EXPAND_ROOM = 1 << 28  # bytes a text may stand for, as parts of it repeat: four of the largest bodies read by default

cdef enum:
    # What the notes in the head speak of.
    NOTED_GAPS = 1
    NOTED_STEMS = 2
    NOTED_SAID = 4
    NOTED_RAW = 8
    NOTED_GROUPS = 240  # each GROUPS_ bit, 16 times
    NOTED_OMISSIONS = 256

cdef struct Span:
    Py_ssize_t start
    Py_ssize_t end

cdef enum:
    # What the cells of a column hold.
    READ_CELL = 0
    READ_CONSTANT = 1  # there are none
    READ_STEM = 2
    READ_SAID = 3  # first members of objects that are said once
    READ_TUPLES = 4
    READ_SAME = 5  # none: what the cell of the column before holds
    READ_KEY = 6  # none: the key of the row

# Spans are in `names` of the table. A key there is empty where a path says [0].
cdef struct HeadColumn:
    int kind
    int32_t first_key  # of its path, in `keys`
    int32_t depth  # number of keys in its path
    int32_t deepest  # of the paths that share its cell or constant
    int32_t shared  # how many of them it shares with the column before it
    int32_t first_part  # of the records in its cells, in `keys`
    int32_t parts
    Span value  # of a constant; beginning of a stem; key of what is said once, with its colon; what stands before tuples' values
    Span value_end  # end of a stem
    Span step  # what stands before its value (a constant's value included) if the column before it has one
    Span closers  # the brackets that its path closes
    int32_t first_entry  # objects said once, in `entries`
    int32_t entry_count
    Py_ssize_t first_slot  # their slots
    uint64_t slot_mask  # number of slots, a power of two, less one

# A table that is being read. Tables stand in each other only where strings that hold JSON or blocks do, so one for each of those,
# and one for the objects that it says once, are enough.
cdef struct TableHead:
    int kind
    int32_t indent  # of its rows
    int32_t around  # containers around a record, or around the scalar of a row
    int32_t width  # columns
    int64_t count  # rows, or groups, or members
    int64_t cells  # in a row of a matrix
    Span key  # of the row, in what is written
    Py_ssize_t start  # of its columns, behind the brackets
    Py_ssize_t group_key  # of lists that are alone in objects: where their key stands; else 0
    Py_ssize_t line_end  # of its head
    Py_ssize_t fixed  # bytes of keys and constants in a record
    bint said  # some column is said once
    Span stem  # of a list: beginning and end, in `names`
    Span stem_end
    Buffer names  # keys, constants, stems, steps
    Buffer keys  # Spans in `names`
    Buffer columns  # of HeadColumn
    Buffer objects  # the JSON of the objects said once
    Buffer entries  # a SaidObject for each of them
    Buffer slots  # int32_t: number + 1 of an entry, by hash; 0: free
    HeadColumn* lister  # in a table of objects said once: the column that takes them, of the table before this one; else NULL

cdef struct Decoder:
    const uint8_t* data
    Py_ssize_t size  # where reading ends: of the text, or of the fence that a block stands in
    Py_ssize_t at
    Py_ssize_t below  # where the texts below a line go on, once it has announced one; else 0
    bint parted  # a text below the line may go on without end: the next one repeats its mark
    int32_t indent  # blanks at the start of this line; -1 behind the last one
    int32_t base  # containers around what stands at indent 0
    int32_t strings  # how many strings that hold JSON and blocks are being read, one in the other
    uint32_t printed  # in which of them, the lowest bit being the text, Python's words stand for constants
    bint inside  # a block: ⟦end⟧ ends its lines
    int notes  # NOTED_ bits
    const char* reason  # why the text is refused; NULL: it is not
    Py_ssize_t wrong  # where
    int64_t copied  # bytes written that do not stand in the text themselves
    Buffer* out  # what is being written: `text`, or the names or objects of a table
    Buffer* result  # what the text stands for: `text`, `scratch` or one of `raws`
    Buffer text
    Buffer wrapper  # JSON around the string that stands below the head
    Buffer scratch  # a string without its escapes, or a value as its string spells it
    Buffer refs  # Spans in `data`
    Buffer raws[EXPAND_STRINGS + 1]  # a raw text for every level of `strings`
    TableHead tables[2 * EXPAND_STRINGS + 2]

cdef bint refuse(Decoder* d, const char* reason, Py_ssize_t at) noexcept nogil:
    """Note the first thing that is wrong; False."""
    if d.reason == NULL:
        d.reason = reason
        d.wrong = at
    return False

cdef inline bint spend(Decoder* d, int64_t size) noexcept nogil:
    """Whether so many bytes may be written that do not stand in the text themselves."""
    # What is said once or constant may itself hold repeated values, which are counted twice then.
    d.copied += size
    return d.copied <= 2 * <int64_t>EXPAND_ROOM or refuse(d, b"stands for more than 256 MiB", d.at)

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

cdef inline bint ends_block(const Decoder* d, Py_ssize_t at) noexcept nogil:
    """Whether a line that starts here ends the block it would stand in."""
    return d.inside and starts(d, at, b"\xe2\x9f\xa6end\xe2\x9f\xa7")

cdef inline void enter_line(Decoder* d, Py_ssize_t at) noexcept nogil:
    """Start to read a line; offsets beyond the end of the text mean that there is none."""
    cdef Py_ssize_t start = at
    d.at = at
    d.below = 0
    d.parted = False
    if at > d.size or ends_block(d, at):
        d.indent = -1
        return
    while at < d.size and d.data[at] == c" " and at - start <= EXPAND_DEPTH:
        at += 1
    d.indent = <int32_t>(at - start)

cdef bint end_line(Decoder* d) noexcept nogil:
    """The line ends here; go on with the next one, behind the texts that this one announced."""
    if peek(d, d.at) != c"\n":
        return refuse(d, b"more on the line than a value, or a character that must be escaped", d.at)
    if d.out.size > EXPAND_ROOM:
        return refuse(d, b"stands for more than 256 MiB", d.at)
    enter_line(d, d.below if d.below else d.at + 1)
    return not d.out.failed

cdef inline bint enter_container(Decoder* d, int32_t around) noexcept nogil:
    """One more level; all recursion comes through here."""
    return d.base + around < EXPAND_DEPTH or refuse(d, b"nested too deeply", d.at)

cdef bint put_times(Decoder* d, Py_ssize_t start, int64_t times, Buffer* out) noexcept nogil:
    """Let what was written from `start` on stand so many times in all."""
    cdef int64_t size = out.size - start, filled = size, step
    if out.failed:
        return False
    if times > EXPAND_ROOM:
        return refuse(d, b"stands for more than 256 MiB", d.at)
    if not spend(d, size * (times - 1)) or not buffer_reserve(out, size * (times - 1)):
        return False
    while filled < size * times:
        step = min(filled, size * times - filled)
        memcpy(out.data + start + filled, out.data + start, step)
        filled += step
    out.size = start + filled
    return True

# Literals, strings and keys

cdef inline Py_ssize_t bare_point(const Decoder* d, Py_ssize_t at, bint in_flow) noexcept nogil:
    """Offset behind the characters from a byte >= 0x80 on that may stand in a bare string; `at` if there is none."""
    # Not U+0085 (C2 85), U+2028 and U+2029 (E2 80 A8, A9), ⟦ (E2 9F A6); in flow not × (C3 97).
    cdef Py_ssize_t step
    cdef const uint8_t* point
    while at < d.size and d.data[at] >= 0x80:
        step = utf8_size(d.data, at, d.size)
        point = d.data + at
        if step == 0:
            break
        if step == 2 and ((point[0] == 0xC2 and point[1] == 0x85) or (in_flow and point[0] == 0xC3 and point[1] == 0x97)):
            break
        if step == 3 and point[0] == 0xE2 and (
            (point[1] == 0x80 and point[2] & 0xFE == 0xA8) or (point[1] == 0x9F and point[2] == 0xA6)
        ):
            break
        at += step
    return at

cdef inline Py_ssize_t bare_line_end(const Decoder* d, Py_ssize_t at, bint* escape) noexcept nogil:
    """Offset of the control character (or malformed byte) that ends a bare string on a line or in a cell."""
    cdef Py_ssize_t next_at
    while True:
        at = plain_end(d.data, at, d.size)
        if at >= d.size:
            return at
        if d.data[at] >= 0x80:
            next_at = bare_point(d, at, False)
            if next_at == at:
                return at
            at = next_at
        elif d.data[at] == c'"' or d.data[at] == c"\\":
            escape[0] = True
            at += 1
        else:
            return at

cdef inline Py_ssize_t bare_word_end(
    const Decoder* d, Py_ssize_t at, uint64_t low, uint64_t high, bint in_flow, bint* escape
) noexcept nogil:
    """Offset of the byte that ends a bare word: one in the sets of bytes below 64 and from 64 on, or a malformed one."""
    cdef Py_ssize_t next_at
    cdef uint8_t byte
    while at < d.size:
        byte = d.data[at]
        if byte >= 0x80:
            next_at = bare_point(d, at, in_flow)
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

cdef inline void set_style(Decoder* d, int style) noexcept nogil:
    """Note in which words the constants stand that are read now."""
    cdef uint32_t bit = 1U << d.strings
    d.printed = d.printed | bit if is_printed(style) else d.printed & ~bit

cdef bint spells_literal(const Decoder* d, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Whether the span is a number, or one of the three constants of the text that it stands in."""
    cdef const uint8_t* data = d.data
    cdef uint8_t first
    if start >= end:
        return False
    first = data[start]
    if first == c"-" or c"0" <= first <= c"9":
        return scan_number(data, start, end) == end
    if d.printed >> d.strings & 1:
        return printed_end(data, start, end) == end
    if end - start == 4:
        return memcmp(data + start, b"null", 4) == 0 or memcmp(data + start, b"true", 4) == 0
    return end - start == 5 and memcmp(data + start, b"false", 5) == 0

cdef inline void put_spelled(Decoder* d, Py_ssize_t end) noexcept nogil:
    """Write the literal from `d.at` to `end` as JSON has it, and go behind it."""
    cdef uint8_t first = d.data[d.at]
    if first == 0x4E or first == 0x54 or first == 0x46:
        put_json_of(first, d.out)
    else:
        buffer_put(d.out, d.data + d.at, end - d.at)
    d.at = end

cdef bint shareable(const uint8_t* data, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Whether the span is a JSON value that several keys may share: a scalar, or something empty."""
    return start < end and (end - start == 2 or (data[start] != c"[" and data[start] != c"{"))

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
    """A key; the blank before ( [ { belongs to what follows."""
    cdef Py_ssize_t start = d.at, end
    cdef bint escape = False
    cdef uint8_t first = peek(d, start), stop
    if first == c'"':
        return read_quoted(d)
    # Not " [ ] { } ( ) , : | = * .
    end = bare_word_end(d, start, 0x24005704FFFFFFFFULL, 0xB800000028000000ULL, False, &escape)
    stop = peek(d, end)
    if (stop == c"(" or stop == c"[" or stop == c"{") and end > start and d.data[end - 1] == c" ":
        end -= 1
    if end == start or first == c" " or d.data[end - 1] == c" " or first == c"-" or first == c"'" or first == c"#":
        return refuse(d, b"not a key, or one that must be quoted; or a wrong indent", start)
    if spells_literal(d, start, end) or starts(d, start, b"<<ccr"):
        return refuse(d, b"a key that must be quoted", start)
    put_bare(d, start, end, escape)
    d.at = end
    return True

cdef inline bint bare_allowed(const Decoder* d, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Whether the ends of a string let it stand bare on a line, as far as its characters do."""
    cdef uint8_t first = d.data[start]
    if first == c" " or d.data[end - 1] == c" ":
        return False
    if first == c"-" and (end - start == 1 or d.data[start + 1] == c" "):
        return False
    return first != c"<" or not starts(d, start, b"<<ccr:")

cdef bint put_scalar(Decoder* d, Py_ssize_t end, bint escape, bint in_flow) noexcept nogil:
    """Write the literal or bare string from `d.at` to `end`."""
    cdef Py_ssize_t start = d.at
    if start == end:
        return refuse(d, b"no value", start)
    if spells_literal(d, start, end):
        put_spelled(d, end)
        return True
    if not bare_allowed(d, start, end) or (in_flow and memchr(b"-?!&*|>@%`", d.data[start], 10) != NULL):
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

cdef bint read_text_cell(Decoder* d) noexcept nogil:
    """A cell that is always a string, so that literals are bare as well."""
    cdef uint8_t first = peek(d, d.at)
    cdef bint escape = False
    cdef Py_ssize_t end
    if first == c'"':
        return read_quoted(d)
    end = bare_line_end(d, d.at, &escape)
    if end == d.at:
        return refuse(d, b"no string, or a character that must be escaped", d.at)
    if first == c"[" or first == c"{" or first == c"(" or not bare_allowed(d, d.at, end):
        return refuse(d, b"a string that must be quoted", d.at)
    put_bare(d, d.at, end, escape)
    d.at = end
    return True

cdef inline void skip_glue(Decoder* d) noexcept nogil:
    """One blank, if there is one."""
    if peek(d, d.at) == c" ":
        d.at += 1
