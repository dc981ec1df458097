# Runs of bytes as base64 and random tokens have them.
#
# What other files use: nothing. The entry point is `has_run`.

cdef uint8_t RUN_BYTES[256]  # 1: a letter, a digit, or one of + / = _ -

cdef void fill_run_bytes() noexcept:
    cdef int byte
    memset(RUN_BYTES, 0, sizeof(RUN_BYTES))
    for byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-":
        RUN_BYTES[byte] = 1

fill_run_bytes()

cdef bint has_long_run(const uint8_t* data, Py_ssize_t size, Py_ssize_t least) noexcept nogil:
    """Whether so many such bytes stand in a row."""
    # From the last byte of a place backward: one that does not belong there rules out all places up to it.
    cdef Py_ssize_t start = 0, at
    while start + least <= size:
        at = start + least - 1
        while at >= start and RUN_BYTES[data[at]]:
            at -= 1
        if at < start:
            return True
        start = at + 1
    return False

def has_run(bytes data not None, Py_ssize_t least):
    """Whether so many letters, digits and + / = _ - stand in a row."""
    cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef bint found
    with nogil:
        found = has_long_run(text, size, least)
    return found
