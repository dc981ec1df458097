# A JSON text to the shorter of two forms: the crush text of docs/crush-format.md, or the text without white space.
#
# Blocks call each other once for every level of nesting, strings that hold JSON included; NEST_LIMIT bounds that.

cdef enum:
    # What the grammar allows: containers in containers, and strings of JSON in strings of JSON (each doubles its backslashes).
    NEST_LIMIT = 64
    STRING_LIMIT = 8
    # What a ref counts when forms are compared: choices may depend on whether there is one, never on which.
    REF_BYTES = 32
    REF_TOKENS = 20

cdef const char* HEAD = b"[json]"
cdef const char* HEAD_GAPS = b"[json; empty cell = no such key]"
cdef const char* HEAD_OMISSIONS = (
    b"[json; empty cell = no such key; rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line]"
)

cdef enum:
    ENTRY_MEMBER = 0  # behind a key, or a style
    ENTRY_ITEM = 1  # instead of a dash
    ENTRY_TOP = 2  # at the left margin

cdef enum:
    OUTCOME_NONE = 0
    OUTCOME_TEXT = 1
    OUTCOME_MEMORY = 2

cdef inline void before_inline(int entry, bint number, Buffer* out) noexcept nogil:
    """Append what stands between an entry's key or dash and a value on the same line."""
    buffer_text(out, b"" if entry == ENTRY_TOP else b"- " if entry == ENTRY_ITEM else b":" if number else b": ")

cdef inline void before_block(int entry, Buffer* out) noexcept nogil:
    """Append what stands between an entry's key or dash and the lines below it."""
    if entry != ENTRY_TOP:
        buffer_byte(out, 0x2D if entry == ENTRY_ITEM else 0x3A)
        buffer_byte(out, 0x0A)

cdef void put_entry(Crush* crush, const Doc* doc, int32_t node, int entry, int indent, int depth) noexcept nogil:
    """Append what stands behind a key, or an item with its dash, or the top; ends with LF.

    `indent` is that of the entry's line, `depth` the number of containers the value stands in.
    """
    cdef const Node* value = doc.nodes + node
    cdef Buffer* out = &crush.out
    if value.kind == KIND_STRING:
        put_string_entry(crush, doc, node, entry, indent, depth)
    elif value.kind > KIND_STRING or value.count == 0 or (value.kind == KIND_ARRAY and is_flow(crush, doc, node)):
        before_inline(entry, value.kind == KIND_NUMBER, out)
        put_flow(crush, doc, node)
        buffer_byte(out, 0x0A)
    else:
        put_block(crush, doc, node, entry, indent if entry == ENTRY_TOP else indent + 1, depth + 1)

cdef void put_block(Crush* crush, const Doc* doc, int32_t node, int entry, int indent, int depth) noexcept nogil:
    """Append an object or array over several lines, which stand at an indent."""
    cdef Buffer* out = &crush.out
    cdef int32_t at = node + 1, end = doc.nodes[node].next
    if doc.nodes[node].kind == KIND_OBJECT:
        before_block(entry, out)
        while at < end:
            put_indent(indent, out)
            put_key(text_of(doc.data, doc.nodes + at, &crush.scratch), out)
            put_entry(crush, doc, at + 1, ENTRY_MEMBER, indent, depth)
            at = doc.nodes[at + 1].next
    elif not put_table(crush, doc, node, b"" if entry == ENTRY_TOP else b"- " if entry == ENTRY_ITEM else b" ", indent):
        before_block(entry, out)
        while at < end:
            put_indent(indent, out)
            put_entry(crush, doc, at, ENTRY_ITEM, indent, depth)
            at = doc.nodes[at].next

cdef bint is_flow(Crush* crush, const Doc* doc, int32_t array) noexcept nogil:
    """Whether an array holds scalars only, none of them a string of several lines."""
    cdef int32_t at
    for at in range(array + 1, doc.nodes[array].next):
        if doc.nodes[at].kind < KIND_STRING:
            return False
        # Without an escape there is no line feed.
        if doc.nodes[at].flags & NODE_ESCAPED and text_is_block(text_of(doc.data, doc.nodes + at, &crush.scratch)):
            return False
    return True

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

cdef void crush_open(Crush* crush, const uint8_t* literals, Py_ssize_t size, bint omit) noexcept nogil:
    """Nothing written, nothing allocated. `literals`: the needles, a NUL between them."""
    memset(crush, 0, sizeof(Crush))
    crush.omit = omit
    crush.needles.literals = literals
    crush.needles.size = size

cdef void crush_close(Crush* crush) noexcept nogil:
    """Release everything."""
    buffer_close(&crush.out)
    buffer_close(&crush.scratch)
    buffer_close(&crush.other)
    buffer_close(&crush.below)
    buffer_close(&crush.rows)
    buffer_close(&crush.parts)
    buffer_close(&crush.part_list)
    buffer_close(&crush.marks)
    buffer_close(&crush.text)
    arena_close(&crush.arena)
    needles_close(&crush.needles)

cdef bint crush_failed(const Crush* crush) noexcept nogil:
    """Whether memory ran out anywhere."""
    return (
        crush.out.failed or crush.scratch.failed or crush.other.failed or crush.below.failed or crush.rows.failed
        or crush.parts.failed or crush.part_list.failed or crush.marks.failed or crush.text.failed or crush.arena.failed
        or crush.needles.failed
    )

cdef void put_head(bint gaps, bint omissions, Buffer* out) noexcept nogil:
    """Append the first line of a crush text."""
    if omissions:
        buffer_text(out, HEAD_OMISSIONS)
    elif gaps:
        buffer_text(out, HEAD_GAPS)
    else:
        buffer_text(out, HEAD)
    buffer_byte(out, 0x0A)

cdef int crush_text(Crush* crush, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Write the better form into `text` (refs not yet put in), if it is shorter than the data in tokens and bytes."""
    cdef Tape tape
    cdef Doc doc
    cdef int64_t before, plain, crushed
    cdef Py_ssize_t markers = 0
    cdef int outcome = OUTCOME_NONE, scanned = tape_scan(data, size, &tape)
    if scanned != SCAN_OK:
        outcome = OUTCOME_MEMORY if tape.failed else OUTCOME_NONE
        tape_close(&tape)
        return outcome
    before = estimate_tokens(data, size)
    if tape.depth <= NEST_LIMIT:
        doc.data = data
        doc.nodes = tape.nodes
        put_entry(crush, &doc, 0, ENTRY_TOP, 0, 0)
        crush.out.size -= 1
        markers = crush.marks.size // <Py_ssize_t>sizeof(Py_ssize_t)
        put_head(crush.gaps, markers > 0, &crush.text)
        crush.head = crush.text.size
        buffer_put(&crush.text, crush.out.data, crush.out.size)
    crush.out.size = 0
    tape_minify(data, &tape, 0, &crush.out)
    tape_close(&tape)
    if crush_failed(crush):
        return OUTCOME_MEMORY
    plain = before if crush.out.size == size else estimate_tokens(crush.out.data, crush.out.size)
    if crush.text.size:
        crushed = estimate_tokens(crush.text.data, crush.text.size) + markers * REF_TOKENS
        if crushed < plain and crushed < before and crush.text.size + markers * REF_BYTES < size:
            return OUTCOME_TEXT
    if plain < before and crush.out.size < size:
        crush.text.size = crush.marks.size = crush.part_list.size = 0
        buffer_put(&crush.text, crush.out.data, crush.out.size)
        return OUTCOME_TEXT
    return OUTCOME_NONE

cdef bytes with_refs(const Crush* crush, bytes ref):
    """The text, the ref put in wherever a marker needs it."""
    cdef const Py_ssize_t* marks = <const Py_ssize_t*>crush.marks.data
    cdef Py_ssize_t count = crush.marks.size // <Py_ssize_t>sizeof(Py_ssize_t), length = PyBytes_GET_SIZE(ref), i, at = 0, mark
    cdef bytes text = PyBytes_FromStringAndSize(NULL, crush.text.size + count * length)
    cdef char* out = PyBytes_AS_STRING(text)
    for i in range(count):
        mark = crush.head + marks[i]
        memcpy(out, crush.text.data + at, mark - at)
        out += mark - at
        memcpy(out, PyBytes_AS_STRING(ref), length)
        out += length
        at = mark
    memcpy(out, crush.text.data + at, crush.text.size - at)
    return text

cdef list part_texts(Crush* crush):
    """(part number, rows left out, those rows as a crush text) for every table that rows were left out of."""
    cdef const Part* part = <const Part*>crush.part_list.data
    cdef Py_ssize_t i
    cdef list texts = []
    for i in range(crush.part_list.size // <Py_ssize_t>sizeof(Part)):
        body = PyBytes_FromStringAndSize(<char*>crush.parts.data + part[i].start, part[i].end - part[i].start - 1)
        texts.append((i + 1, part[i].rows, (HEAD_GAPS if part[i].gaps else HEAD) + b"\n" + body))
    return texts

def crush(bytes data not None, *, bytes ref not None=b"", needles=()):
    """The shorter form of a JSON text, and what was left out of it; None if neither form is shorter."""
    cdef Crush work
    cdef bytes literals = b"\0".join(needles) if ref else b""
    cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef int outcome
    crush_open(&work, <const uint8_t*>PyBytes_AS_STRING(literals), PyBytes_GET_SIZE(literals), len(ref) > 0)
    try:
        with nogil:
            outcome = crush_text(&work, start, size)
        if outcome == OUTCOME_MEMORY:
            raise MemoryError
        return (with_refs(&work, ref), part_texts(&work)) if outcome == OUTCOME_TEXT else None
    finally:
        crush_close(&work)
