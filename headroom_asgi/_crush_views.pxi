# File views: lines with a padded number before each, as `cat -n` and file tools print them. Written with the number and a tab.
#
# What other files use:
#   bint view_is(data, size)                the text is written as a view
#   bint view_expand(data, size, out)       back; False if it is none
#   bint view_fill(data, size, most, out)   the view with all numbers; False, and nothing, if none is missing or it is no view
#   bint view_thin(data, size, out)         without those of blank lines; False if it is no view
#
# The text of the file keeps its very bytes; only what stands before it gets shorter: `   370→` are three to four tokens, `370⇥` two.
# Blank lines of the file that stand between lines with their numbers have none: `369⇥}`, ``, `371⇥def ...`.

cdef enum:
    VIEW_LINES = 3  # fewer are not worth the head
    VIEW_BLANKS = 16
    VIEW_DIGITS = 9

cdef struct Gutter:
    Py_ssize_t digits  # where the digits start
    Py_ssize_t sign  # where they end
    Py_ssize_t end  # where the line's own text starts

cdef bint gutter_read(const uint8_t* line, Py_ssize_t size, Gutter* gutter) noexcept nogil:
    """Blanks, a number, and a sign: an arrow, a tab, a colon, or a bar that may have a blank before it."""
    cdef Py_ssize_t at = 0
    while at < size and at < VIEW_BLANKS and line[at] == 0x20:
        at += 1
    gutter.digits = at
    while at < size and at - gutter.digits < VIEW_DIGITS and 0x30 <= line[at] <= 0x39:
        at += 1
    gutter.sign = at
    if at == gutter.digits or at == size or (line[gutter.digits] == 0x30 and at - gutter.digits > 1):
        return False
    if line[at] == 0x09:
        gutter.end = at + 1
        return True
    if at + 3 <= size and line[at] == 0xE2 and line[at + 1] == 0x86 and line[at + 2] == 0x92:
        gutter.end = at + 3
        return True
    if at + 1 < size and line[at] == 0x20 and line[at + 1] == 0x7C:
        at += 1
    if line[at] != 0x7C and line[at] != 0x3A:
        return False
    gutter.end = at + 1
    return True

cdef bint gutter_fits(const uint8_t* line, const Gutter* gutter, const uint8_t* first, const Gutter* like) noexcept nogil:
    """The same sign, and the number at the right of the same width; a number that is wider stands at the margin."""
    cdef Py_ssize_t size = like.end - like.sign
    return (gutter.end - gutter.sign == size and memcmp(line + gutter.sign, first + like.sign, size) == 0
            and (gutter.sign == like.sign or (gutter.digits == 0 and gutter.sign > like.sign)))

cdef bint is_narrow(const uint8_t* line, Py_ssize_t size) noexcept nogil:
    """It starts with a number and a tab, as the lines of a view do."""
    cdef Gutter gutter
    return gutter_read(line, size, &gutter) and gutter.digits == 0 and line[gutter.sign] == 0x09

cdef bint view_is(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    return size > 7 and memcmp(data, b'[view "', 7) == 0

cdef Py_ssize_t view_body(const uint8_t* data, Py_ssize_t size, Gutter* like) noexcept nogil:
    """Where the lines of a view start, and the number column that its head shows; -1 if it is none."""
    cdef const uint8_t* end
    cdef Py_ssize_t length
    if not view_is(data, size):
        return -1
    end = <const uint8_t*>memchr(data, 0x0A, size)
    if end == NULL or end - data < 10 or end[-1] != 0x5D or end[-2] != 0x22:
        return -1
    length = end - data - 9
    return end - data + 1 if gutter_read(data + 7, length, like) and like.end == length else -1

cdef int64_t narrow_number(Line line, bint* blank) noexcept nogil:
    """The number before a line of a view, -1 if there is none; and whether the line has nothing else."""
    cdef Gutter gutter
    cdef int64_t number = 0
    cdef Py_ssize_t at
    blank[0] = False
    if not gutter_read(line.data, line.size, &gutter) or gutter.digits != 0 or line.data[gutter.sign] != 0x09:
        return -1
    for at in range(gutter.sign):
        number = number * 10 + line.data[at] - 0x30
    blank[0] = gutter.end == line.size
    return number

cdef bint view_thin(const uint8_t* data, Py_ssize_t size, Buffer* out) noexcept nogil:
    """Append a view without the numbers of blank lines between two that have theirs; False, and nothing, if it is no view."""
    cdef Gutter like
    cdef Py_ssize_t body = view_body(data, size, &like), waiting = 0
    cdef const uint8_t* stop = data + size
    cdef const uint8_t* kept = data  # up to here it is written
    cdef int64_t number, last = -1
    cdef bint blank
    cdef Line line
    if body < 0:
        return False
    line = line_at(data + body, stop)
    while True:
        number = narrow_number(line, &blank)
        if number >= 0 and last >= 0 and number == last + 1:
            if blank:
                if waiting == 0:
                    buffer_put(out, kept, line.data - kept)
                    kept = line.data
                waiting += 1
            elif waiting:
                for _ in range(waiting):
                    buffer_byte(out, 0x0A)
                kept, waiting = line.data, 0
        else:
            waiting = 0
        last = number
        if line.data + line.size == stop:
            break
        line = line_at(line.data + line.size + 1, stop)
    buffer_put(out, kept, stop - kept)
    return True

cdef bint view_fill(const uint8_t* data, Py_ssize_t size, Py_ssize_t most, Buffer* out) noexcept nogil:
    """Append a view with the numbers of its blank lines; False, and nothing, if none is missing or it is no view.

    Where that is more than so many bytes, it stops behind them.
    """
    cdef Gutter like
    cdef Py_ssize_t body = view_body(data, size, &like), empty = 0, start = out.size, at
    cdef const uint8_t* stop = data + size
    cdef const uint8_t* kept = data  # up to here it is written
    cdef const uint8_t* first = data  # of the empty lines
    cdef int64_t number, last = -1
    cdef bint blank
    cdef Line line
    if body < 0:
        return False
    line = line_at(data + body, stop)
    while True:
        number = narrow_number(line, &blank)
        if number < 0 and line.size == 0 and last >= 0:
            first = line.data if empty == 0 else first
            empty += 1
        else:
            if number >= 0 and empty and number == last + empty + 1:
                buffer_put(out, kept, first - kept)
                for at in range(empty):
                    put_int(last + 1 + at, out)
                    buffer_text(out, b"\t\n")
                    if out.size - start > most:
                        return True
                kept = line.data
            last, empty = number, 0
        if line.data + line.size == stop:
            break
        line = line_at(line.data + line.size + 1, stop)
    if out.size == start:
        return False
    buffer_put(out, kept, stop - kept)
    return True

cdef bint view_write(const uint8_t* data, Py_ssize_t size, Buffer* out) noexcept nogil:
    """The view of a text that is one, each line with its number; False if it is not, or the view is not shorter."""
    cdef Gutter like, gutter
    cdef const uint8_t* first = data
    cdef const uint8_t* line = data
    cdef const uint8_t* stop = data + size
    cdef const uint8_t* end
    cdef Py_ssize_t length, numbered = 0, others = 0
    # Head: the number column as it looks, from the text's first numbered line.
    while True:
        if line == stop:
            return False
        end = <const uint8_t*>memchr(line, 0x0A, stop - line)
        length = (end if end != NULL else stop) - line
        if gutter_read(line, length, &like) and (like.digits > 0 or line[like.sign] == 0xE2):
            break
        if end == NULL:
            return False
        line = end + 1
        others += 1
        if others > VIEW_LINES:
            return False
    first = line
    if view_is(data, size):
        return False
    buffer_text(out, b'[view "')
    buffer_put(out, first, like.end)
    buffer_text(out, b'"]\n')
    line = data
    others = 0
    while True:
        end = <const uint8_t*>memchr(line, 0x0A, stop - line)
        length = (end if end != NULL else stop) - line
        if gutter_read(line, length, &gutter) and gutter_fits(line, &gutter, first, &like):
            numbered += 1
            buffer_put(out, line + gutter.digits, gutter.sign - gutter.digits)
            buffer_byte(out, 0x09)
            buffer_put(out, line + gutter.end, length - gutter.end)
        elif is_narrow(line, length):
            return False  # it could not be told from the numbered ones
        else:
            others += 1
            buffer_put(out, line, length)
        if end == NULL:
            break
        buffer_byte(out, 0x0A)
        line = end + 1
    return numbered >= VIEW_LINES and numbered >= others and out.size < size

cdef bint view_expand(const uint8_t* data, Py_ssize_t size, Buffer* out) noexcept nogil:
    """The text that a view stands for, or the beginning of one that is too large; False if it is no view."""
    cdef Gutter like, gutter
    cdef Buffer full
    cdef const uint8_t* sample = data + 7
    cdef const uint8_t* stop
    cdef const uint8_t* line
    cdef const uint8_t* end
    cdef Py_ssize_t body = view_body(data, size, &like), length, width
    if body < 0:
        return False
    buffer_open(&full)
    line, stop = data + body, data + size
    if view_fill(data, size, EXPAND_ROOM, &full) and not full.failed:
        line, stop = full.data + body, full.data + full.size
    while out.size <= EXPAND_ROOM:
        end = <const uint8_t*>memchr(line, 0x0A, stop - line)
        length = (end if end != NULL else stop) - line
        if is_narrow(line, length):
            gutter_read(line, length, &gutter)
            width = like.sign - gutter.sign
            while width > 0:
                buffer_byte(out, 0x20)
                width -= 1
            buffer_put(out, line, gutter.sign)
            buffer_put(out, sample + like.sign, like.end - like.sign)
            buffer_put(out, line + gutter.end, length - gutter.end)
        else:
            buffer_put(out, line, length)
        if end == NULL:
            break
        buffer_byte(out, 0x0A)
        line = end + 1
    out.failed |= full.failed
    buffer_close(&full)
    return True

cdef bint view_make(const uint8_t* data, Py_ssize_t size, Buffer* out) noexcept nogil:
    """The view of a text that is one; False if it is not, or the view is not shorter."""
    cdef Buffer full, again
    cdef bint done
    buffer_open(&full)
    buffer_open(&again)
    done = view_write(data, size, &full) and not full.failed
    # An empty line that seems to have lost its number could not be told from one that has.
    if done and view_fill(full.data, full.size, EXPAND_ROOM, &again):
        done = False
    if done:
        view_thin(full.data, full.size, out)
    out.failed |= full.failed or again.failed
    buffer_close(&full)
    buffer_close(&again)
    return done

def view(bytes text not None):
    """A text whose lines are numbered, with the numbers written short; None if it is none, or does not get shorter.

    `expand` gives the very bytes back.
    """
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
    cdef Buffer out
    cdef bint done
    buffer_open(&out)
    with nogil:
        done = view_make(data, size, &out)
    try:
        if out.failed:
            raise MemoryError
        return PyBytes_FromStringAndSize(<const char*>out.data, out.size) if done else None
    finally:
        buffer_close(&out)
