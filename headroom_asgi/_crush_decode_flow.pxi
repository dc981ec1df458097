# Flow: arrays and objects on one line.

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
    end = bare_word_end(d, d.at, 0x04001304FFFFFFFFULL, 0xA800000028000000ULL, True, &escape)  # not , [ ] { } " : ( )
    if d.size - end >= 2 and d.data[end] == 0xC3 and end - d.at >= 2 and d.data[end - 1] == c" ":
        end -= 1  # of " ×"
    return put_scalar(d, end, escape, True)

cdef bint read_times(Decoder* d, Py_ssize_t start) noexcept nogil:
    """The ×k behind an element that was written from `start` on: it stands k times in a row."""
    cdef Buffer* out = d.out
    cdef Py_ssize_t end = out.size, at = d.at + 3
    cdef int64_t times
    if not starts(d, d.at, b" \xc3\x97"):
        return refuse(d, b"a blank in flow, or a string that must be quoted", d.at)
    times = read_count(d, &at)
    if times < 4:
        return refuse(d, b"no number of 4 or more behind a \xc3\x97", d.at)
    d.at = at
    buffer_byte(out, c",")
    buffer_again(out, start, end)
    return put_times(d, end, times - 1, out)

cdef bint read_flow_array(Decoder* d, int32_t around) noexcept nogil:
    """[a, b ×4]; the blank behind a comma may be missing."""
    cdef Py_ssize_t start
    buffer_byte(d.out, c"[")
    d.at += 1
    if peek(d, d.at) != c"]":
        while True:
            start = d.out.size
            if not read_flow(d, around + 1):
                return False
            if peek(d, d.at) == c" " and not read_times(d, start):
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

cdef bint read_tuples(Decoder* d, TableHead* t, const HeadColumn* column) noexcept nogil:
    """(a, b) (c, d): the records of a list in a cell, their keys in the head of the column; [] if there are none."""
    cdef int32_t around = t.around + column.depth, part
    cdef const Span* step
    if starts(d, d.at, b"[]"):
        buffer_text(d.out, b"[]")
        d.at += 2
        return True
    buffer_byte(d.out, c"[")
    while True:
        if peek(d, d.at) != c"(":
            return refuse(d, b"not the values of a record in parentheses", d.at)
        if not spend(d, column.value.end - column.value.start):
            return False
        for part in range(column.parts):
            if part and peek(d, d.at) != c",":
                return refuse(d, b"too few values in parentheses, or a string that must be quoted", d.at)
            d.at += 1
            if part:
                skip_glue(d)
            step = <const Span*>t.keys.data + column.first_part + part
            buffer_put(d.out, t.names.data + step.start, step.end - step.start)
            if not read_flow(d, around + 2):
                return False
        if peek(d, d.at) != c")":
            return refuse(d, b"too many values in parentheses, or a string that must be quoted", d.at)
        buffer_byte(d.out, c"}")
        d.at += 1
        if peek(d, d.at) != c" ":
            break
        buffer_byte(d.out, c",")
        d.at += 1
    buffer_byte(d.out, c"]")
    return True
