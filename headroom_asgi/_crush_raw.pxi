# Raw text, inside a fence or behind the head of a text that is no JSON: as it is, but for runs and JSON, which are re-laid.
#
# What other files use:
#   bint put_fenced(Crush*, Text)                        a string, mark to mark, at the end of a line; or nothing
#   bint put_text_below(Crush*, Text, indent, depth)     a cell whose text stands below the row: JSON or a fence; or nothing
#   bint put_lines(Crush*, Text)                         its lines only, the last one without LF; or nothing
#   bint put_blocks(Crush*, data, size, last)            a text with the JSON in it re-laid; or nothing
#   void put_runs(Crush*, data, start, end, ...)         a span with its runs re-laid

cdef enum:
    RELAID_BYTES = 160  # a string of one line that is shorter is not looked through
    COPIES_BYTES = 48  # what a line run must save; its mark has some 10 tokens

# Everything that writing a block changes, to take it back when it does not pay.
cdef struct Mark:
    Py_ssize_t marks
    Py_ssize_t parts
    Py_ssize_t part_list
    bint gaps
    bint stems
    bint said
    bint raws

cdef Mark mark_here(const Crush* crush) noexcept nogil:
    """Where the writing stands."""
    cdef Mark mark
    mark.marks = crush.marks.size
    mark.parts = crush.parts.size
    mark.part_list = crush.part_list.size
    mark.gaps = crush.gaps
    mark.stems = crush.stems
    mark.said = crush.said
    mark.raws = crush.raws
    return mark

cdef void mark_back(Crush* crush, const Mark* mark) noexcept nogil:
    """Take back what was written since."""
    crush.marks.size = mark.marks
    crush.parts.size = mark.parts
    crush.part_list.size = mark.part_list
    crush.gaps = mark.gaps
    crush.stems = mark.stems
    crush.said = mark.said
    crush.raws = mark.raws

cdef inline bint same_line(const uint8_t* data, Py_ssize_t line, Py_ssize_t size, Py_ssize_t next, Py_ssize_t end) noexcept nogil:
    """Whether the line at `next` is the one of that size at `line` once more."""
    if next + size > end or (next + size < end and data[next + size] != 0x0A):
        return False
    return memcmp(data + line, data + next, size) == 0

cdef Py_ssize_t put_line_runs(Crush* crush, const uint8_t* data, Py_ssize_t kept, Py_ssize_t line, Py_ssize_t stop) noexcept nogil:
    """Append the runs of one character on a line and what stands before each from `kept` on; what is still to be appended."""
    cdef Buffer* out = &crush.out
    cdef Py_ssize_t run, run_end = 0
    cdef int width
    while stop - line >= 24:
        run = find_run(data, line, stop, &run_end)
        if run == stop:
            break
        width = <int>character_size(data[run])
        buffer_put(out, data + kept, run - kept)
        buffer_text(out, b"\xe2\x9f\xa6")
        quote_string(data + run, width, 0, out)
        buffer_text(out, b" \xc3\x97 ")
        put_int((run_end - run) // width, out)
        buffer_text(out, b"\xe2\x9f\xa7")
        crush.raws = True
        kept = line = run_end
    return kept

cdef void put_runs(
    Crush* crush, const uint8_t* data, Py_ssize_t start, Py_ssize_t end, bint first, bint last, bint characters=True
) noexcept nogil:
    """Append a span with its runs re-laid, or only those of whole lines. `first`, `last`: whether those lines are whole ones."""
    cdef Buffer* out = &crush.out
    cdef Py_ssize_t line = start, kept = start, stop, next
    cdef int64_t copies
    while line < end:
        stop = find_byte(data, line, end, 0x0A)
        if characters:
            kept = put_line_runs(crush, data, kept, line, stop)
        copies = 0
        next = stop + 1
        while (first or line > start) and next < end and same_line(data, line, stop - line, next, end):
            if next + stop - line == end and not last:
                break
            copies += 1
            next += stop - line + 1
        if copies and copies * (stop - line + 1) >= COPIES_BYTES:
            buffer_put(out, data + kept, stop - kept)
            buffer_text(out, b"\n\xe2\x9f\xa6\xc3\x97 ")
            put_int(copies + 1, out)
            buffer_text(out, b"\xe2\x9f\xa7")
            crush.raws = True
            # Behind the last copy stands a LF, or nothing more.
            kept = next - 1
            line = next
        else:
            line = stop + 1
    if kept < end:
        buffer_put(out, data + kept, end - kept)

cdef bint cut_spelled(Crush* crush, Spelled* spelled, const uint8_t* data, const Found* found) noexcept nogil:
    """Read a value that lacks its last brackets; close it in any case."""
    cdef Buffer* copy = &spelled.copy
    cdef uint64_t objects = found.objects
    cdef int i
    memset(spelled, 0, sizeof(Spelled))
    buffer_put(copy, data + found.start, found.end - found.start)
    for i in range(found.depth):
        buffer_byte(copy, 0x7D if objects & 1 else 0x5D)
        objects >>= 1
    if copy.failed:
        return False
    spelled.style = style_guess(copy.data, copy.size)
    return spelled.style >= 0 and spelled_copy(crush, spelled, data + found.start, found.end - found.start, crush.depth)

cdef bint lines_spelled(Crush* crush, Spelled* spelled, const uint8_t* data, Found* found, Py_ssize_t size) noexcept nogil:
    """Read values one after the other, the first of them found; `found` gets the end of the last. Close it in any case."""
    cdef Py_ssize_t end
    cdef int glue = 0
    memset(spelled, 0, sizeof(Spelled))
    end = follow_lines(data, found.start, found.end, size, &spelled.copy, &glue)
    found.stop = end
    if end == found.end:
        return False
    spelled.style = style_guess(data + found.start, end - found.start) | glue
    if spelled.style < 0 or not spelled_copy(crush, spelled, data + found.start, end - found.start, crush.depth):
        return False
    found.end = end
    return True

cdef bint write_block(Crush* crush, Spelled* spelled, const Found* found, const uint8_t* data, Buffer* block) noexcept nogil:
    """Write a value as a block of its own, if that is a tenth shorter in tokens; False, and no trace, if not."""
    cdef Mark mark = mark_here(crush)
    cdef Outer outer
    cdef Buffer out = crush.out
    cdef Py_ssize_t refs
    block.size = 0
    crush.out = block[0]
    step_in(crush, &outer, spelled, crush.depth)
    buffer_text(&crush.out, b"\xe2\x9f\xa6")
    style_name(spelled.style, &crush.out)
    if found.depth:
        buffer_text(&crush.out, b" cut ")
        put_int(found.depth, &crush.out)
    buffer_text(&crush.out, b"\xe2\x9f\xa7\n")
    put_entry(crush, &spelled.doc, 0, ENTRY_TOP, 0, crush.depth - spelled.tape.depth)
    buffer_text(&crush.out, b"\xe2\x9f\xa6end\xe2\x9f\xa7")
    step_out(crush, &outer)
    block[0] = crush.out
    crush.out = out
    crush.out.failed |= block.failed
    refs = (crush.marks.size - mark.marks) // <Py_ssize_t>sizeof(Py_ssize_t)
    if not block.failed and block.size + refs * REF_BYTES < found.end - found.start and 10 * (
        estimate_tokens(block.data, block.size) + refs * REF_TOKENS
    ) <= 9 * estimate_tokens(data + found.start, found.end - found.start):
        return True
    mark_back(crush, &mark)
    return False

cdef void put_written(Crush* crush, const Buffer* block, Py_ssize_t marks) noexcept nogil:
    """Append a block that was written on its own; its markers have their refs where it stands now. `marks`: size before it."""
    cdef Py_ssize_t* refs = <Py_ssize_t*>crush.marks.data
    cdef Py_ssize_t i
    for i in range(marks // <Py_ssize_t>sizeof(Py_ssize_t), crush.marks.size // <Py_ssize_t>sizeof(Py_ssize_t)):
        refs[i] += crush.out.size
    buffer_put(&crush.out, block.data, block.size)
    crush.raws = True

cdef bint write_found(
    Crush* crush, const uint8_t* data, Py_ssize_t size, Found* found, Py_ssize_t* chain, Buffer* block
) noexcept nogil:
    """Write what was found as a block, several values on lines of their own as one; False, and no trace, if not.

    `chain`: up to here values follow each other on lines that no one style spells.
    """
    cdef Spelled spelled
    cdef Py_ssize_t end = found.end
    cdef bint fits
    if end - found.start < INLINE_BYTES and found.start and data[found.start - 1] != 0x0A and memchr(
        data + found.start, 0x0A, end - found.start
    ) == NULL:
        return False
    if not found.depth and not found.python and found.start >= chain[0]:
        fits = lines_spelled(crush, &spelled, data, found, size) and write_block(crush, &spelled, found, data, block)
        spelled_close(crush, &spelled)
        if fits:
            return True
        chain[0] = found.stop
        found.end = end
    if found.depth:
        fits = cut_spelled(crush, &spelled, data, found)
    elif found.python:
        fits = spelled_python(crush, &spelled, data + found.start, found.end - found.start, crush.depth)
    else:
        fits = spelled_text(crush, &spelled, data + found.start, found.end - found.start, crush.depth)
    fits = fits and write_block(crush, &spelled, found, data, block)
    spelled_close(crush, &spelled)
    return fits

cdef bint put_blocks(Crush* crush, const uint8_t* data, Py_ssize_t size, bint last) noexcept nogil:
    """Append a text with the JSON in it as blocks, and what stands between them; False, and nothing, if there is no block.

    `last`: whether its last line is a whole one.
    """
    cdef Found found
    cdef Buffer block
    cdef Py_ssize_t at = 0, kept = 0, chain = 0, marks
    if crush.strings == STRING_LIMIT:
        return False
    buffer_open(&block)
    found.brace = found.bracket = -1
    while find_json(data, at, size, &found):
        at = found.stop
        marks = crush.marks.size
        if write_found(crush, data, size, &found, &chain, &block):
            put_runs(crush, data, kept, found.start, kept == 0, False)
            put_written(crush, &block, marks)
            kept = found.end
            at = kept if kept > at else at
    if kept:
        put_runs(crush, data, kept, size, False, last)
    crush.out.failed |= block.failed
    buffer_close(&block)
    return kept > 0

cdef void open_fence(Crush* crush, Py_ssize_t at, int indent, Py_ssize_t mark, Py_ssize_t marks) noexcept nogil:
    """Put a mark and a LF before the lines that were written from `at` on. `marks`: how many bytes of them are older."""
    cdef Buffer* out = &crush.out
    cdef Py_ssize_t* refs = <Py_ssize_t*>crush.marks.data
    cdef Py_ssize_t more = indent + mark + 1, i
    if not buffer_reserve(out, more):
        return
    memmove(out.data + at + more, out.data + at, out.size - at)
    memset(out.data + at, 0x20, indent)
    memset(out.data + at + indent, 0x22, mark)
    out.data[at + more - 1] = 0x0A
    out.size += more
    for i in range(marks // <Py_ssize_t>sizeof(Py_ssize_t), crush.marks.size // <Py_ssize_t>sizeof(Py_ssize_t)):
        refs[i] += more

cdef bint put_lines(Crush* crush, Text text) noexcept nogil:
    """Append a string that a fence may hold, re-laid; False, and nothing, if that has one line or no fence may hold it."""
    cdef bint styled = crush.styled, block = text_is_block(text)
    if not block and (text.size < RELAID_BYTES or text.marks & (TEXT_CONTROL | TEXT_SURROGATE | TEXT_BRACKET)):
        return False
    if put_blocks(crush, text.data, text.size, True):
        crush.styled = styled
        return True
    if block:
        put_runs(crush, text.data, 0, text.size, True, True)
    return block

cdef Py_ssize_t put_fence(Crush* crush, Text text) noexcept nogil:
    """Append the lines of a string and the mark that closes them; the length of the mark. 0, and nothing, if it has one line."""
    cdef Buffer* out = &crush.out
    cdef Py_ssize_t start = out.size, mark
    if not put_lines(crush, text):
        return 0
    mark = 3 if out.failed else fence_size(out.data + start, out.data + out.size)
    buffer_byte(out, 0x0A)
    put_mark(mark, out)
    buffer_byte(out, 0x0A)
    return mark

cdef inline bint put_fenced(Crush* crush, Text text) noexcept nogil:
    """Append a string as a fence: one of several lines, or one whose JSON, re-laid, makes it several. False, and nothing, else."""
    cdef Py_ssize_t start = crush.out.size, marks = crush.marks.size, mark = put_fence(crush, text)
    if mark:
        open_fence(crush, start, 0, mark, marks)
    return mark > 0

cdef inline bint starts_json(Text text) noexcept nogil:
    """Whether a string is long and starts as an object or array does; only such a one of one line may stand below a row."""
    return text.size >= RELAID_BYTES and (text.data[0] == 0x7B or text.data[0] == 0x5B)

cdef inline void swap_below(Crush* crush) noexcept nogil:
    """Write below the row instead of on it, or the other way round."""
    cdef Buffer out = crush.out
    crush.out = crush.below
    crush.below = out

cdef bint put_text_below(Crush* crush, Text text, int indent, int depth) noexcept nogil:
    """Append the cell for a string that goes below the row, and what stands there; False, and nothing, if it stays on the row.

    `indent` is that of the row, `depth` the number of containers the string stands in.
    """
    cdef Py_ssize_t start, mark
    # A marker's place is one in the text, not in what is below a row.
    cdef bint omit = crush.omit
    if not text_is_block(text) and not starts_json(text):
        return False
    crush.omit = False
    if text.size >= RELAID_BYTES and put_json_below(crush, text, indent, depth):
        crush.omit = omit
        return True
    swap_below(crush)
    start = crush.out.size
    mark = put_fence(crush, text)
    # Behind a value, a line says where the next text begins.
    if mark and crush.styled:
        open_fence(crush, start, indent + 1, mark, crush.marks.size)
    swap_below(crush)
    crush.omit = omit
    put_mark(mark, &crush.out)
    return mark > 0
