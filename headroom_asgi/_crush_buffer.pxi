# A growable byte buffer. Memory runs out silently into `failed`; entry points check it once, at their end.

cdef struct Buffer:
    uint8_t* data
    Py_ssize_t size
    Py_ssize_t capacity
    bint failed

cdef extern from *:
    """
    #include <string.h>
    /* Most pieces are short: two overlapping words each instead of a call. */
    static inline void headroom_copy(unsigned char *to, const unsigned char *from, size_t size) {
        if (size > 16) { memcpy(to, from, size); }
        else if (size >= 8) { char a[8], b[8];
            memcpy(a, from, 8); memcpy(b, from + size - 8, 8); memcpy(to, a, 8); memcpy(to + size - 8, b, 8); }
        else if (size >= 4) { char a[4], b[4];
            memcpy(a, from, 4); memcpy(b, from + size - 4, 4); memcpy(to, a, 4); memcpy(to + size - 4, b, 4); }
        else { while (size--) to[size] = from[size]; }
    }
    """
    void copy_bytes "headroom_copy" (uint8_t*, const uint8_t*, size_t) noexcept nogil

cdef inline void buffer_open(Buffer* b) noexcept nogil:
    b.data = NULL
    b.size = 0
    b.capacity = 0
    b.failed = False

cdef inline void buffer_close(Buffer* b) noexcept nogil:
    free(b.data)
    b.data = NULL
    b.size = 0
    b.capacity = 0

cdef bint buffer_grow(Buffer* b, Py_ssize_t more) noexcept nogil:
    """More room, for `more` bytes; False (and `failed`) if there is no memory."""
    cdef Py_ssize_t capacity
    cdef uint8_t* data
    if b.failed:
        return False
    capacity = b.capacity * 2 if b.capacity > 256 else 512
    while capacity < b.size + more:
        capacity *= 2
    data = <uint8_t*>realloc(b.data, capacity)
    if data == NULL:
        b.failed = True
        return False
    b.data = data
    b.capacity = capacity
    return True

cdef inline bint buffer_reserve(Buffer* b, Py_ssize_t more) noexcept nogil:
    """Room for `more` bytes; False (and `failed`) if there is no memory."""
    # After a failure small pieces may still fit: harmless, as what was written is thrown away.
    return b.size + more <= b.capacity or buffer_grow(b, more)

cdef inline void buffer_put(Buffer* b, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    if size > 0 and buffer_reserve(b, size):
        copy_bytes(b.data + b.size, data, size)
        b.size += size

cdef inline void buffer_again(Buffer* b, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Append a span of its own."""
    if end > start and buffer_reserve(b, end - start):
        memcpy(b.data + b.size, b.data + start, end - start)
        b.size += end - start

cdef inline void buffer_byte(Buffer* b, uint8_t byte) noexcept nogil:
    if b.size < b.capacity or buffer_reserve(b, 1):
        b.data[b.size] = byte
        b.size += 1

cdef inline void buffer_text(Buffer* b, const char* text) noexcept nogil:
    buffer_put(b, <const uint8_t*>text, strlen(text))
