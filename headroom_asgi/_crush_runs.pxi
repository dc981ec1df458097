# Runs of bytes as base64 and random tokens have them.
#
# What other files use: nothing. The entry point is `opaque_runs`.

cdef enum:
    LONG_RUN = 2048  # longer than any key, token or cipher that a call would be made with
    ADDRESS_RUN = 200  # of a data address
    LEAST_LINE = 60  # of base64 on lines, as mails and certificates have it
    MOST_LINE = 76
    LEAST_LINES = 24

cdef uint8_t RUN_BYTES[256]  # 1: a letter, a digit, + or /; 2: one of = _ -

cdef void fill_run_bytes() noexcept:
    cdef int byte
    memset(RUN_BYTES, 0, sizeof(RUN_BYTES))
    for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/":
        RUN_BYTES[byte] = 1
    for byte in b"=_-":
        RUN_BYTES[byte] = 2

fill_run_bytes()

cdef Py_ssize_t next_run(const uint8_t* data, Py_ssize_t size, Py_ssize_t start) noexcept nogil:
    """Where the next run of LEAST_LINE bytes or more starts, from a place on where a run may start; -1: nowhere."""
    # From the last byte of a place backward: one that does not belong there rules out all places up to it.
    cdef Py_ssize_t at
    while start + LEAST_LINE <= size:
        at = start + LEAST_LINE - 1
        while at >= start and RUN_BYTES[data[at]]:
            at -= 1
        if at < start:
            return start
        start = at + 1
    return -1

cdef Py_ssize_t base64_line_end(const uint8_t* data, Py_ssize_t size, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Where the next line starts, if a run is a whole line of base64; else 0."""
    cdef Py_ssize_t at
    if end - start > MOST_LINE or (start > 0 and data[start - 1] != 0x0A):
        return 0
    for at in range(start, end):
        if RUN_BYTES[data[at]] != 1:
            return 0
    if end < size and data[end] == 0x0D:
        end += 1
    return end + 1 if end < size and data[end] == 0x0A else 0

cdef void find_runs(const uint8_t* data, Py_ssize_t size, Buffer* found) noexcept nogil:
    """Note start and end of each run, or of the lines of one."""
    cdef Py_ssize_t start = 0, end, behind, lines = 0, last = -1
    cdef Py_ssize_t group[2]
    cdef Py_ssize_t run[2]
    while True:
        start = next_run(data, size, start)
        end = start
        if start >= 0:
            end = start + LEAST_LINE
            while end < size and RUN_BYTES[data[end]]:
                end += 1
        behind = base64_line_end(data, size, start, end) if start >= 0 else 0
        if lines and not (behind and start == last):
            if lines >= LEAST_LINES:
                buffer_put(found, <uint8_t*>group, sizeof(group))
            lines = 0
        if start < 0:
            return
        if behind:
            if lines == 0:
                group[0] = start
            group[1] = end
            last = behind
            lines += 1
        elif end - start >= LONG_RUN or (
            end - start >= ADDRESS_RUN and start >= 8 and memcmp(data + start - 8, b";base64,", 8) == 0
        ):
            run[0] = start
            run[1] = end
            buffer_put(found, <uint8_t*>run, sizeof(run))
        start = end

def opaque_runs(bytes data not None):
    """Start and end of what may be base64 or a random token, in order: the data of an address, a very long run, lines of base64."""
    cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), i
    cdef const Py_ssize_t* places
    cdef Buffer found
    buffer_open(&found)
    try:
        with nogil:
            find_runs(text, size, &found)
        if found.failed:
            raise MemoryError
        places = <const Py_ssize_t*>found.data
        return [(places[i], places[i + 1]) for i in range(0, found.size // <Py_ssize_t>sizeof(Py_ssize_t), 2)]
    finally:
        buffer_close(&found)
