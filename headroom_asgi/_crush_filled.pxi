# Filled texts: how a text with groups reads, each row filled in, so that it can be compared with others line by line; and groups of
# what is left once lines of it have been said by references (docs/repeats.md). Likewise views, whose blank lines have no numbers.
#
# What other files use: nothing. The entry points are `filled` and `regroup`.

cdef enum:
    # Of EXPAND_NOTES.
    NOTE_STARTS = 4
    NOTE_RECORDS = 7
    NOTE_OMISSIONS = 8
    FILL_TIMES = 16  # a text whose rows stand for more than so many times its size is compared as it stands

# A text with groups, taken apart.
cdef struct GroupedText:
    Py_ssize_t head  # behind the markers of what was left out
    Py_ssize_t notes_start  # of those on groups
    Py_ssize_t notes_end
    Py_ssize_t body
    Py_ssize_t body_end  # groups end where a text was cut off
    int notes  # GROUPS_ bits

cdef inline bint ends_in(const uint8_t* data, Py_ssize_t size, const char* text) noexcept nogil:
    cdef Py_ssize_t length = strlen(text)
    return size >= length and memcmp(data + size - length, text, length) == 0

cdef inline bint starts_form(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether a text starts as those do that are to be expanded."""
    return size >= 5 and (memcmp(data, b"[text", 5) == 0 or memcmp(data, b"[json", 5) == 0 or memcmp(data, b"[view", 5) == 0)

cdef bint holds_lines(Line head) noexcept nogil:
    """Whether what stands below a head is lines, not a value."""
    cdef Py_ssize_t at
    if memcmp(head.data, b"[text", 5) == 0:
        return True
    # Nothing but the mark for lines has three quotes.
    for at in range(5, head.size - 2):
        if memcmp(head.data + at, b'"""', 3) == 0:
            return True
    return False

cdef Py_ssize_t cut_offset(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Offset of the ⟦cut⟧ from `at` on; `size` if there is none."""
    at = bracket_offset(data, at, size)
    while at < size and not (size - at >= 9 and memcmp(data + at, b"\xe2\x9f\xa6cut\xe2\x9f\xa7", 9) == 0):
        at = bracket_offset(data, at + 3, size)
    return at

cdef bint read_grouped(const uint8_t* data, Py_ssize_t size, GroupedText* text) noexcept nogil:
    """Take a text with groups apart; False if it has none."""
    cdef const uint8_t* end = data + size
    cdef Line line = line_at(data, end)
    cdef int note
    text.notes = 0
    while has_marker(line.data, min(line.size, 6)) and not ends_all(line, end):
        line = line_at(line.data + line.size + 1, end)
    if not starts_form(line.data, line.size) or ends_all(line, end) or line.data[line.size - 1] != 0x5D:
        return False
    if not holds_lines(line):
        return False
    text.head = line.data - data
    text.body = text.head + line.size + 1
    text.body_end = cut_offset(data, text.body, size)
    text.notes_end = text.body - 2
    # The notes are the end of the head, in this order, and nothing that may stand before them ends as they do.
    if ends_in(data, text.notes_end, EXPAND_NOTES[NOTE_OMISSIONS]):
        text.notes_end -= strlen(EXPAND_NOTES[NOTE_OMISSIONS])
    text.notes_start = text.notes_end
    for note in range(NOTE_RECORDS, NOTE_STARTS - 1, -1):
        if ends_in(data, text.notes_start, EXPAND_NOTES[note]):
            text.notes |= 1 << (note - NOTE_STARTS)
            text.notes_start -= strlen(EXPAND_NOTES[note])
    return text.notes != 0

cdef bint fills_alike(const uint8_t* data, Py_ssize_t size, int notes) noexcept nogil:
    """Whether rows can be filled in before ⟦ ⟧ are read: none is in a head or row, no record stands several times, no JSON."""
    cdef const uint8_t* end = data + size
    cdef Line line = line_at(data, end)
    cdef Py_ssize_t mark = bracket_offset(data, 0, size)
    cdef bint inside = False, records = False
    while mark < size:
        if data + mark < line.data + line.size:
            if mark + 4 > size or is_letter(data[mark + 3]) or is_head(line, end) or (inside and is_indented(line)):
                return False
            if records and inside and is_times(line):
                return False
            mark = bracket_offset(data, mark + 3, size)
            continue
        if is_head(line, end):
            inside = True
            records = notes & GROUPS_RECORDS and names_lines(line)
        else:
            inside = inside and (is_indented(line) or is_times(line))
        line = line_at(line.data + line.size + 1, end)
    return True

cdef bint put_other_head(const uint8_t* data, const GroupedText* text, int notes, Buffer* out) noexcept nogil:
    """Append markers and head with other notes on groups; False, and no head, where it says nothing else."""
    cdef int note
    buffer_put(out, data, text.notes_start)
    if notes == 0 and text.notes_end == text.body - 2 and text.notes_start - text.head == 5:
        out.size -= 0 if out.failed else 5
        return False
    for note in range(NOTE_STARTS, NOTE_RECORDS + 1):
        if notes & 1 << (note - NOTE_STARTS) and not (note == NOTE_STARTS and notes & GROUPS_HOLES):
            buffer_text(out, EXPAND_NOTES[note])
    buffer_put(out, data + text.notes_end, text.body - text.notes_end)
    return True

cdef bint fill_text(const uint8_t* data, Py_ssize_t size, Buffer* out) noexcept nogil:
    """Append a text with its rows filled in, and no notes on them; False, and nothing, if it is to be read as it stands."""
    cdef GroupedText text
    cdef Py_ssize_t start = out.size, body, limit = min(FILL_TIMES * size + 4096, EXPAND_ROOM)
    cdef bint headed
    if view_is(data, size):
        if view_fill(data, size, limit, out) and out.size - start <= limit:
            return True
        out.size = start
        return False
    if not read_grouped(data, size, &text) or not fills_alike(data + text.body, text.body_end - text.body, text.notes):
        return False
    headed = put_other_head(data, &text, 0, out)
    body = out.size
    if expand_groups(data + text.body, text.body_end - text.body, text.notes, out.size + limit, out) == EXPANDED:
        buffer_put(out, data + text.body_end, size - text.body_end)
        if not out.failed and (headed or not starts_form(out.data + body, out.size - body)):
            return True
    out.size = start
    return False

cdef bint regroup_text(
    const uint8_t* data, Py_ssize_t size, const uint8_t* folded, Py_ssize_t folded_size, Buffer* out
) noexcept nogil:
    """Append what folding left of a text, with groups; False, and nothing, if there are none that are worth it."""
    cdef GroupedText text
    cdef Buffer grouped, again
    cdef Py_ssize_t start = out.size, body, stop
    cdef int notes = 0
    cdef bint done
    if view_is(data, size):
        return view_thin(folded, folded_size, out)
    if not read_grouped(data, size, &text):
        return False
    buffer_open(&grouped)
    buffer_open(&again)
    # Markers and head are the same, folded or not.
    put_other_head(data, &text, 0, &again)
    body = again.size
    stop = cut_offset(folded, body, folded_size)
    if body < stop:
        notes = write_groups(folded + body, stop - body, &grouped)
    again.size = 0
    if notes:
        put_other_head(data, &text, notes, out)
        buffer_put(out, grouped.data, grouped.size)
        buffer_put(out, folded + stop, folded_size - stop)
        if not out.failed:
            fill_text(out.data + start, out.size - start, &again)
    done = notes != 0 and equal_bytes(again.data, again.size, folded, folded_size)
    if not done:
        out.size = start
    out.failed |= grouped.failed or again.failed
    buffer_close(&grouped)
    buffer_close(&again)
    return done

cdef object taken(Buffer* out, bint done):
    """What was written, or None; the buffer is closed."""
    try:
        if out.failed:
            raise MemoryError
        return PyBytes_FromStringAndSize(<const char*>out.data, out.size) if done else None
    finally:
        buffer_close(out)

def filled(bytes text not None):
    """A text with groups as it reads, each row filled in, or a view with all numbers; None if it is compared as it stands."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
    cdef Buffer out
    cdef bint done
    buffer_open(&out)
    with nogil:
        done = fill_text(data, size, &out)
    return taken(&out, done)

def regroup(bytes folded not None, bytes text not None):
    """What folding left of the filled form of a text, with groups formed of it; None if that is not worth it."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
    cdef const uint8_t* left = <const uint8_t*>PyBytes_AS_STRING(folded)
    cdef Py_ssize_t left_size = PyBytes_GET_SIZE(folded)
    cdef Buffer out
    cdef bint done
    buffer_open(&out)
    with nogil:
        done = regroup_text(data, size, left, left_size, &out)
    return taken(&out, done)
