# Memory that is released all at once, when a table has been written.
#
# What other files use:
#   void* arena_take(Arena*, size)
#   ArenaMark arena_mark(Arena*), void arena_back(Arena*, mark)    forget what was taken since
#   void arena_close(Arena*)

cdef enum:
    ARENA_CHUNK = 1 << 16

cdef struct Chunk:
    Chunk* before
    Py_ssize_t size

cdef struct Arena:
    Chunk* chunk
    Py_ssize_t used
    bint failed

cdef struct ArenaMark:
    Chunk* chunk
    Py_ssize_t used

cdef void* arena_take(Arena* arena, Py_ssize_t size) noexcept nogil:
    """Uninitialized memory, aligned to 8 bytes; NULL (and `failed`) if there is none."""
    cdef Chunk* chunk = arena.chunk
    cdef Py_ssize_t at
    size = (size + 7) & ~7
    if chunk == NULL or arena.used + size > chunk.size:
        at = size if size > ARENA_CHUNK else ARENA_CHUNK
        chunk = <Chunk*>malloc(sizeof(Chunk) + at)
        if chunk == NULL:
            arena.failed = True
            return NULL
        chunk.before = arena.chunk
        chunk.size = at
        arena.chunk = chunk
        arena.used = 0
    at = arena.used
    arena.used += size
    return <uint8_t*>(chunk + 1) + at

cdef inline ArenaMark arena_mark(const Arena* arena) noexcept nogil:
    """What has been taken so far."""
    cdef ArenaMark mark
    mark.chunk = arena.chunk
    mark.used = arena.used
    return mark

cdef void arena_back(Arena* arena, ArenaMark mark) noexcept nogil:
    """Forget everything that was taken since; the oldest chunk stays for the next table."""
    cdef Chunk* before
    while arena.chunk != mark.chunk and arena.chunk.before != NULL:
        before = arena.chunk.before
        free(arena.chunk)
        arena.chunk = before
    arena.used = mark.used if arena.chunk == mark.chunk else 0

cdef void arena_close(Arena* arena) noexcept nogil:
    """Release all memory."""
    cdef Chunk* before
    while arena.chunk != NULL:
        before = arena.chunk.before
        free(arena.chunk)
        arena.chunk = before
    arena.used = 0
