# What one call of crush() does: the better form of a text, its head, the refs put in, and what was left out.

cdef enum:
    # What a ref counts when forms are compared: choices may depend on whether there is one, never on which.
    REF_BYTES = 32
    REF_TOKENS = 20

cdef const char* HEAD = b"[json]"
cdef const char* HEAD_GAPS = b"[json; empty cell = no such key]"
cdef const char* HEAD_OMISSIONS = (
    b"[json; empty cell = no such key; rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line]"
)

cdef enum:
    OUTCOME_NONE = 0
    OUTCOME_TEXT = 1
    OUTCOME_MEMORY = 2

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
