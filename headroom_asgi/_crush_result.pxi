# What one call of crush() does: the better form of a text, its head, the refs put in, and what was left out.

cdef enum:
    # What a ref counts when forms are compared: choices may depend on whether there is one, never on which.
    REF_BYTES = 32
    REF_TOKENS = 20
    # What may stand beside the text in an envelope that becomes part of the first line.
    WRAPPER_MEMBERS = 8
    WRAPPER_BYTES = 200

cdef enum:
    OUTCOME_NONE = 0
    OUTCOME_TEXT = 1
    OUTCOME_MEMORY = 2

cdef void crush_open(Crush* crush, void* literals, bint omit, bint exact, bint anyway) noexcept nogil:
    """Nothing written, nothing allocated. `literals`: what gives the needles, NULL for none."""
    memset(crush, 0, sizeof(Crush))
    crush.omit = omit
    crush.exact = exact
    crush.anyway = anyway
    crush.needles.given = literals

cdef void crush_close(Crush* crush) noexcept nogil:
    """Release everything."""
    buffer_close(&crush.out)
    buffer_close(&crush.scratch)
    buffer_close(&crush.other)
    buffer_close(&crush.below)
    buffer_close(&crush.parts)
    buffer_close(&crush.part_list)
    buffer_close(&crush.marks)
    buffer_close(&crush.head)
    arena_close(&crush.arena)
    needles_close(&crush.needles)

cdef bint crush_failed(const Crush* crush) noexcept nogil:
    """Whether memory ran out anywhere."""
    return (
        crush.out.failed or crush.scratch.failed or crush.other.failed or crush.below.failed
        or crush.parts.failed or crush.part_list.failed or crush.marks.failed or crush.head.failed or crush.arena.failed
        or crush.needles.failed
    )

cdef void put_head(const char* kind, const Crush* crush, bint gaps, bint omissions, Buffer* out) noexcept nogil:
    """Append the first line of a crush text: what it is, and the notes it needs."""
    buffer_byte(out, 0x5B)
    buffer_text(out, kind)
    if gaps:
        buffer_text(out, b"; empty cell = no such key")
    if crush.stems:
        buffer_text(out, b"; * = the row's text")
    if crush.said:
        buffer_text(out, b"; x(k) = the x with that k, listed above")
    if crush.raws:
        buffer_text(out, b"; \xe2\x9f\xa6\xe2\x80\xa6\xe2\x9f\xa7 says what stands there")
    if crush.groups & GROUPS_HOLES:
        buffer_text(out, b"; x*y* = each indented line below fills in the *, a tab between")
    elif crush.groups:
        buffer_text(out, b"; x* = each indented line below starts with x")
    if crush.groups & GROUPS_WIDTHS:
        buffer_text(out, b"; _ = blanks, up to its width")
    if crush.groups & GROUPS_RECORDS:
        buffer_text(out, b"; \\n = new line")
    if omissions:
        buffer_text(out, b"; rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line")
    buffer_text(out, b"]\n")

cdef inline uint16_t weight_of(uint8_t before, uint8_t byte) noexcept nogil:
    """What the estimate adds up for two neighboring bytes."""
    cdef uint8_t[2] pair = [before, byte]
    return BYTE_WEIGHTS[byte_pair(pair)]

cdef bint is_idle_list(const Crush* crush, const uint8_t* data, Py_ssize_t size, const Tape* tape) noexcept nogil:
    """Whether the text is a list of bare strings that has certainly no fewer tokens than the data: what every list of files may be."""
    # What the strings hold counts the same in both, so that only what stands around them is added up.
    cdef const uint8_t* line
    cdef const Node* nodes = tape.nodes
    cdef Estimate crushed = estimate_open()
    cdef int32_t count = node_count(nodes, 0), i
    cdef uint8_t first, last
    cdef uint64_t around
    if node_kind(nodes, 0) != KIND_ARRAY or count < 2 or tape.size != count + 2 or tape.space or crush.stems or crush.marks.size:
        return False
    line = <const uint8_t*>memchr(crush.out.data, 0x0A, crush.out.size) if crush.out.size > 0 else NULL
    if line == NULL:
        return False
    # Without escapes a string that is no JSON is shorter in the list only by its quotes, and only if it stands bare.
    line += 1
    if crush.out.data + crush.out.size - line != size - 2 - <Py_ssize_t>2 * count:
        return False
    estimate_add(&crushed, crush.head.data, crush.head.size)
    estimate_add(&crushed, crush.out.data, line - crush.out.data)
    around = weight_of(LINE_START, 0x5B) + weight_of(0x5B, 0x22) + weight_of(0x22, 0x5D)
    around += (count - 1) * (<uint64_t>weight_of(0x22, 0x2C) + weight_of(0x2C, 0x22))
    for i in range(2, tape.size):
        if node_kind(nodes, i) != KIND_STRING or node_flags(nodes, i) & NODE_ESCAPED:
            return False
        first = data[node_start(nodes, i) + 1]
        last = data[node_end(nodes, i) - 2]
        if first == 0x5B or first == 0x7B:
            return False
        around += weight_of(0x22, first) + weight_of(last, 0x22)
        crushed.sum += weight_of(0x0A, first) + (weight_of(last, 0x0A) if i + 1 < tape.size else 0)
    return around <= crushed.sum

cdef bint pays(const Crush* crush, const uint8_t* data, Py_ssize_t size, const Tape* tape) noexcept nogil:
    """Whether the crush text, refs and all, has fewer bytes than the data, and fewer tokens, minified or not. `tape`: or NULL."""
    cdef Py_ssize_t markers = crush.marks.size // <Py_ssize_t>sizeof(Py_ssize_t)
    cdef Estimate crushed = estimate_open()
    cdef int64_t tokens
    if crush.head.size + crush.out.size + markers * REF_BYTES >= size or (tape != NULL and is_idle_list(crush, data, size, tape)):
        return False
    if crush.anyway:
        return True
    estimate_add(&crushed, crush.head.data, crush.head.size)
    estimate_add(&crushed, crush.out.data, crush.out.size)
    tokens = estimate_total(&crushed) + markers * REF_TOKENS
    if not estimate_exceeds(data, size, tokens):
        return False
    return tape == NULL or tape.space == 0 or estimate_minified(data, tape, tokens) > tokens

cdef int32_t wrapper_hole(Crush* crush, const Doc* doc, int32_t object) noexcept nogil:
    """The longest string of an object that has but a few short scalars beside it, or -1."""
    cdef int32_t key = node_child(doc.nodes, object), end = node_next(doc.nodes, object), value, hole = -1, size = 0
    if node_kind(doc.nodes, object) != KIND_OBJECT or node_count(doc.nodes, object) > WRAPPER_MEMBERS + 1:
        return -1
    while key < end:
        value = node_next(doc.nodes, key)
        if node_kind(doc.nodes, value) < KIND_STRING:
            return -1
        size += node_size(doc.nodes, key)
        if node_kind(doc.nodes, value) == KIND_STRING and (hole < 0 or node_size(doc.nodes, value) > node_size(doc.nodes, hole)):
            size += node_size(doc.nodes, hole) if hole >= 0 else 0
            hole = value
        else:
            size += node_size(doc.nodes, value)
        if size > WRAPPER_BYTES:
            return -1
        key = node_next(doc.nodes, value)
    key = node_child(doc.nodes, object)
    while key < end and hole >= 0:
        value = node_next(doc.nodes, key)
        if value != hole and node_kind(doc.nodes, value) == KIND_STRING and node_flags(doc.nodes, value) & NODE_ESCAPED:
            if text_of(doc.data, doc.nodes + value, &crush.scratch).marks & TEXT_LF:
                return -1
        key = node_next(doc.nodes, value)
    return hole

cdef int put_hole(Crush* crush, Text text, int depth) noexcept nogil:
    """Append the string of a wrapper: as the value that it spells, in the style that is returned, or as lines (-1); -2: neither."""
    cdef Spelled spelled
    cdef Outer outer
    cdef int style = -2
    if crush.exact:
        if not text_is_block(text):
            return -2
        buffer_put(&crush.out, text.data, text.size)
        return -1
    if may_hold_json(text):
        if string_spells(crush, &spelled, text, depth):
            step_in(crush, &outer, &spelled, depth)
            put_entry(crush, &spelled.doc, 0, ENTRY_TOP, 0, depth)
            crush.out.size -= 1
            step_out(crush, &outer)
            style = spelled.style
        spelled_close(crush, &spelled)
    if style == -2 and text_is_block(text):
        put_body(crush, text.data, text.size, True)
        style = -1
    elif style == -2 and put_lines(crush, text):
        style = -1
    return style

cdef bint put_wrapped(Crush* crush, const Doc* doc, Buffer* kind) noexcept nogil:
    """Append what a wrapper holds, and write the wrapper itself to `kind`; False, and nothing, if the text is none."""
    cdef bint listed = node_kind(doc.nodes, 0) == KIND_ARRAY
    cdef int32_t object = 0, hole
    cdef int style
    if listed:
        if node_count(doc.nodes, 0) != 1:
            return False
        object = node_child(doc.nodes, 0)
    hole = wrapper_hole(crush, doc, object)
    if hole < 0:
        return False
    style = put_hole(crush, text_of(doc.data, doc.nodes + hole, &crush.scratch), 2 if listed else 1)
    if style == -2:
        return False
    buffer_text(kind, b"json in ")
    put_wrapper(crush, doc, hole, style, True, kind)
    return True

cdef bint put_values(Crush* crush, const uint8_t* data, Py_ssize_t size, bint plain, Buffer* kind) noexcept nogil:
    """Append a text that is values one after the other, or what Python prints (if it is plain); False, and nothing, if it is not."""
    cdef Spelled spelled
    cdef bint fits = spelled_lines(crush, &spelled, data, size, 0)
    if not fits and plain:
        spelled_close(crush, &spelled)
        fits = spelled_python(crush, &spelled, data, size, 0)
    if fits:
        crush.depth = spelled.tape.depth
        crush.style = spelled.style
        put_entry(crush, &spelled.doc, 0, ENTRY_TOP, 0, 0)
        crush.out.size -= 1
        style_name(spelled.style, kind)
    spelled_close(crush, &spelled)
    return fits

cdef int crush_other(Crush* crush, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Write the crush text of a text that is not one JSON value, if it is shorter: several values, a cut envelope, or raw text."""
    cdef Buffer kind
    cdef bint plain = raw_text(data, size), shorter
    buffer_open(&kind)
    shorter = not crush.exact and put_values(crush, data, size, plain, &kind)
    if crush.exact:
        shorter = plain and put_open(crush, data, size, &kind)
    elif not shorter and plain:
        shorter = put_open(crush, data, size, &kind)
        if not shorter:
            buffer_text(&kind, b"text")
            shorter = put_body(crush, data, size, True)
    buffer_byte(&kind, 0)
    crush.out.failed |= kind.failed
    if shorter and not crush_failed(crush):
        put_head(<const char*>kind.data, crush, crush.gaps, crush.marks.size > 0, &crush.head)
        shorter = pays(crush, data, size, NULL)
    buffer_close(&kind)
    return OUTCOME_MEMORY if crush_failed(crush) else OUTCOME_TEXT if shorter else OUTCOME_NONE

cdef int crush_text(Crush* crush, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Write the better form into `head` and `out` (refs not yet put in), if it is shorter than the data in tokens and bytes."""
    cdef Tape tape
    cdef Doc doc
    cdef Buffer kind
    cdef bint wrapped
    cdef int outcome = OUTCOME_NONE, scanned = tape_scan(data, size, &tape)
    if scanned != SCAN_OK:
        tape_close(&tape)
        return OUTCOME_MEMORY if tape.failed else crush_other(crush, data, size)
    if tape.depth <= NEST_LIMIT:
        doc.data = data
        doc.nodes = tape.nodes
        crush.depth = tape.depth
        buffer_open(&kind)
        wrapped = put_wrapped(crush, &doc, &kind)
        if not wrapped and not crush.exact:
            buffer_text(&kind, b"json")
            put_entry(crush, &doc, 0, ENTRY_TOP, 0, 0)
            crush.out.size -= 1
        buffer_byte(&kind, 0)
        if kind.failed:
            crush.out.failed = True
        else:
            put_head(<const char*>kind.data, crush, crush.gaps, crush.marks.size > 0, &crush.head)
        buffer_close(&kind)
        if (wrapped or not crush.exact) and pays(crush, data, size, &tape):
            outcome = OUTCOME_TEXT
    if outcome == OUTCOME_NONE and not crush.exact and tape.space and estimate_exceeds(data, size, estimate_minified(data, &tape, INT64_MAX)):
        crush.head.size = crush.out.size = crush.marks.size = crush.part_list.size = 0
        tape_minify(data, &tape, 0, &crush.out)
        outcome = OUTCOME_TEXT
    tape_close(&tape)
    return OUTCOME_MEMORY if crush_failed(crush) else outcome

cdef bytes with_refs(const Crush* crush, bytes ref):
    """The text, the ref put in wherever a marker needs it."""
    cdef const Py_ssize_t* marks = <const Py_ssize_t*>crush.marks.data
    cdef Py_ssize_t count = crush.marks.size // <Py_ssize_t>sizeof(Py_ssize_t), length = PyBytes_GET_SIZE(ref), i, at = 0, mark
    cdef bytes text = PyBytes_FromStringAndSize(NULL, crush.head.size + crush.out.size + count * length)
    cdef char* to = PyBytes_AS_STRING(text)
    memcpy(to, crush.head.data, crush.head.size)
    to += crush.head.size
    for i in range(count):
        mark = marks[i]
        memcpy(to, crush.out.data + at, mark - at)
        to += mark - at
        memcpy(to, PyBytes_AS_STRING(ref), length)
        to += length
        at = mark
    memcpy(to, crush.out.data + at, crush.out.size - at)
    return text

cdef list part_texts(Crush* crush):
    """(part number, rows left out, those rows as a crush text) for every table that rows were left out of."""
    cdef const Part* part = <const Part*>crush.part_list.data
    cdef Py_ssize_t i
    cdef list texts = []
    cdef bytes body
    cdef Buffer head
    for i in range(crush.part_list.size // <Py_ssize_t>sizeof(Part)):
        buffer_open(&head)
        put_head(STYLE_NAMES[part[i].style & STYLE_LAYOUT if is_printed(part[i].style) else STYLE_JSON], crush, part[i].gaps, False, &head)
        try:
            if head.failed:
                raise MemoryError
            body = PyBytes_FromStringAndSize(NULL, head.size + part[i].end - part[i].start - 1)
            memcpy(PyBytes_AS_STRING(body), head.data, head.size)
            memcpy(PyBytes_AS_STRING(body) + head.size, crush.parts.data + part[i].start, part[i].end - part[i].start - 1)
            texts.append((i + 1, part[i].rows, body))
        finally:
            buffer_close(&head)
    return texts

def crush(bytes data not None, *, bytes ref not None=b"", needles=(), bint exact=False, bint anyway=False):
    """The shorter form of a text, and what was left out of it; None if there is none."""
    cdef Crush work
    cdef Literals literals = Literals(needles if ref else ())
    cdef const uint8_t* start = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef int outcome
    crush_open(&work, <void*>literals, len(ref) > 0, exact, anyway)
    try:
        with nogil:
            outcome = crush_text(&work, start, size)
        if literals.error is not None:
            raise literals.error
        if outcome == OUTCOME_MEMORY:
            raise MemoryError
        return (with_refs(&work, ref), part_texts(&work)) if outcome == OUTCOME_TEXT else None
    finally:
        crush_close(&work)
