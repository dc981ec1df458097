# Records to columns: one order of keys that every record follows, objects in records spread into columns of their own.
#
# What other files use:
#   void* arena_take(Arena*, size), void arena_reset(Arena*), void arena_close(Arena*)
#   bint  table_columns(Table*, array)         whether the array is a table; fills the columns

cdef enum:
    # Wider tables cannot be read by column any more; key sets up to here fit into four machine words, which keeps merging linear.
    COLUMN_LIMIT = 256
    ARENA_CHUNK = 1 << 16

# Memory that is released all at once, when a table has been written.

cdef struct Chunk:
    Chunk* before
    Py_ssize_t size

cdef struct Arena:
    Chunk* chunk
    Py_ssize_t used
    bint failed

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

cdef void arena_reset(Arena* arena) noexcept nogil:
    """Forget everything that was taken; the oldest chunk stays for the next table."""
    cdef Chunk* before
    while arena.chunk != NULL and arena.chunk.before != NULL:
        before = arena.chunk.before
        free(arena.chunk)
        arena.chunk = before
    arena.used = 0

cdef void arena_close(Arena* arena) noexcept nogil:
    """Release all memory."""
    arena_reset(arena)
    free(arena.chunk)
    arena.chunk = NULL

cdef struct Cell:
    int32_t row
    int32_t node

cdef struct Column:
    const uint8_t* path  # as it stands in the head
    Py_ssize_t path_size
    Cell* cells  # the records that have it, in order
    int32_t count
    int32_t at  # the next cell to write
    bint constant

cdef struct Table:
    const uint8_t* data
    const Node* nodes
    Arena* arena
    Buffer* scratch
    Buffer* spelled
    Column* columns
    int32_t width
    int32_t rows
    bint failed  # no memory, or too wide

cdef struct Key:
    const uint8_t* name  # WTF-8
    Py_ssize_t size
    uint32_t hash
    int32_t count  # objects that have it
    int32_t follower  # the key that last stood behind it, or -1
    int32_t waiting  # keys that must stand before it
    uint64_t behind[4]  # set of keys that must stand behind it
    Cell* cells

# The keys of the objects of one column, or of the records themselves.
cdef struct Group:
    Key* keys
    int32_t size
    int32_t first  # the first key of the last object, or -1
    uint16_t* slots  # hash table: index + 1 of a key, or 0
    uint32_t mask
    uint8_t* sequence  # the key of every member of every object, in order of the text
    int64_t members

cdef extern from *:
    """
    static inline int headroom_lowest_bit(uint64_t set) { return __builtin_ctzll(set); }
    """
    int headroom_lowest_bit(uint64_t) noexcept nogil

cdef bint group_open(Table* table, Group* group, const Cell* objects, int32_t count) noexcept nogil:
    """Memory for all members of the objects; False if there is none."""
    cdef int64_t limit
    cdef int32_t i
    cdef uint32_t slots = 8
    group.members = 0
    for i in range(count):
        group.members += table.nodes[objects[i].node].count
    limit = group.members if group.members < COLUMN_LIMIT else COLUMN_LIMIT
    while slots < 2 * limit:
        slots *= 2
    group.size = 0
    group.first = -1
    group.mask = slots - 1
    group.keys = <Key*>arena_take(table.arena, limit * sizeof(Key))
    group.slots = <uint16_t*>arena_take(table.arena, slots * sizeof(uint16_t))
    group.sequence = <uint8_t*>arena_take(table.arena, group.members)
    if table.arena.failed:
        table.failed = True
        return False
    memset(group.slots, 0, slots * sizeof(uint16_t))
    return True

cdef inline bint key_is(const Key* key, const uint8_t* name, Py_ssize_t size) noexcept nogil:
    return key.size == size and memcmp(key.name, name, size) == 0

cdef int32_t group_key(Table* table, Group* group, const uint8_t* name, Py_ssize_t size, bint decoded) noexcept nogil:
    """Index of a key, new or known; -1 if there are too many, or no memory. `decoded`: the name must be copied to last."""
    cdef uint32_t code = 2166136261U, slot  # FNV-1a
    cdef Py_ssize_t i
    cdef Key* key
    cdef uint8_t* copy
    for i in range(size):
        code = (code ^ name[i]) * 16777619U
    slot = code & group.mask
    while group.slots[slot]:
        key = group.keys + group.slots[slot] - 1
        if key.hash == code and key_is(key, name, size):
            return group.slots[slot] - 1
        slot = (slot + 1) & group.mask
    if group.size == COLUMN_LIMIT:
        return -1
    if decoded:
        copy = <uint8_t*>arena_take(table.arena, size)
        if copy == NULL:
            table.failed = True
            return -1
        memcpy(copy, name, size)
        name = copy
    key = group.keys + group.size
    memset(key, 0, sizeof(Key))
    key.name = name
    key.size = size
    key.hash = code
    key.follower = -1
    group.size += 1
    group.slots[slot] = group.size
    return group.size - 1

cdef bint group_read(Table* table, Group* group, const Cell* objects, int32_t count) noexcept nogil:
    """Collect the keys of the objects and which stands before which; False if they are too many."""
    # Records mostly look like the one before: what followed the last key is tried first, and only a miss goes to the hash table.
    # A duplicate key stands before itself, so no order will be found for it.
    cdef int32_t i, at, end, id, before, guess
    cdef int64_t written = 0
    cdef const Node* node
    cdef const uint8_t* name
    cdef Py_ssize_t size
    cdef Key* key
    for i in range(count):
        at = objects[i].node + 1
        end = table.nodes[at - 1].next
        before = -1
        guess = group.first
        while at < end:
            node = table.nodes + at
            if node.flags & NODE_ESCAPED:
                table.scratch.size = 0
                string_decode(table.data + node.start, table.data + node.end, table.scratch)
                if table.scratch.failed:
                    return False
                name = table.scratch.data
                size = table.scratch.size
            else:
                name = table.data + node.start + 1
                size = node.end - node.start - 2
            if guess >= 0 and key_is(group.keys + guess, name, size):
                id = guess
            else:
                id = group_key(table, group, name, size, node.flags & NODE_ESCAPED)
                if id < 0:
                    return False
            key = group.keys + id
            key.count += 1
            if before < 0:
                group.first = id
            elif group.keys[before].follower != id:
                group.keys[before].follower = id
                if not group.keys[before].behind[id >> 6] >> (id & 63) & 1:
                    group.keys[before].behind[id >> 6] |= 1ULL << (id & 63)
                    key.waiting += 1
            group.sequence[written] = <uint8_t>id
            written += 1
            before = id
            guess = key.follower
            at = table.nodes[at + 1].next
    return True

cdef bint group_order(Group* group, uint8_t* order) noexcept nogil:
    """An order of the keys that every object follows, by first appearance where there is a choice. False if there is none."""
    cdef uint64_t ready[4]
    cdef uint64_t rest
    cdef int32_t id, other, placed = 0
    cdef int word, part
    memset(ready, 0, sizeof(ready))
    for id in range(group.size):
        if group.keys[id].waiting == 0:
            ready[id >> 6] |= 1ULL << (id & 63)
    word = 0
    while word < 4:
        if ready[word] == 0:
            word += 1
            continue
        id = 64 * word + headroom_lowest_bit(ready[word])
        ready[word] &= ready[word] - 1
        order[placed] = <uint8_t>id
        placed += 1
        for part in range(4):
            rest = group.keys[id].behind[part]
            while rest:
                other = 64 * part + headroom_lowest_bit(rest)
                rest &= rest - 1
                group.keys[other].waiting -= 1
                if group.keys[other].waiting == 0:
                    ready[part] |= 1ULL << (other & 63)
                    if part < word:
                        word = part
    return placed == group.size

cdef bint group_cells(Table* table, Group* group, const Cell* objects, int32_t count) noexcept nogil:
    """Give every key its cells."""
    cdef Cell* cells = <Cell*>arena_take(table.arena, group.members * sizeof(Cell))
    cdef int32_t i, at, end
    cdef int64_t read = 0
    cdef Key* key
    if cells == NULL:
        table.failed = True
        return False
    for i in range(group.size):
        group.keys[i].cells = cells
        cells += group.keys[i].count
        group.keys[i].count = 0
    for i in range(count):
        at = objects[i].node + 1
        end = table.nodes[at - 1].next
        while at < end:
            key = group.keys + group.sequence[read]
            read += 1
            key.cells[key.count].row = objects[i].row
            key.cells[key.count].node = at + 1
            key.count += 1
            at = table.nodes[at + 1].next
    return True

cdef bint spreads(
    const Table* table, const Group* group, const Cell* objects, int32_t count, Py_ssize_t path_size
) noexcept nogil:
    """Whether objects of one column are alike enough to become columns of their own."""
    # At most 1.6 times the mean number of keys plus one. And the path, which every part repeats, must not outweigh the values:
    # else the head could grow faster than the text it is made from.
    cdef int64_t bytes = 0
    cdef int32_t i
    if <int64_t>10 * group.size * count > 16 * group.members + <int64_t>10 * count:
        return False
    for i in range(count):
        bytes += table.nodes[objects[i].node].end - table.nodes[objects[i].node].start
    return <int64_t>path_size * group.size <= bytes

cdef bint group_columns(
    Table* table, const Cell* objects, int32_t count, const uint8_t* prefix, Py_ssize_t prefix_size
) noexcept nogil:
    """Add the columns of objects that stand under a path (none: the records). False if they can't be merged into one order."""
    # Calls itself once for every level of objects in objects, which the limit on nesting bounds.
    cdef Group group
    cdef uint8_t order[COLUMN_LIMIT]
    cdef uint8_t* path
    cdef Text name
    cdef Key* key
    cdef int32_t i
    if not group_open(table, &group, objects, count) or not group_read(table, &group, objects, count):
        return False
    if prefix_size and not spreads(table, &group, objects, count, prefix_size):
        return False
    if not group_order(&group, order) or not group_cells(table, &group, objects, count):
        return False
    for i in range(group.size):
        key = group.keys + order[i]
        name.data = key.name
        name.size = key.size
        name.marks = text_marks(name.data, name.size)
        table.spelled.size = 0
        if prefix_size:
            buffer_put(table.spelled, prefix, prefix_size)
            buffer_byte(table.spelled, 0x2E)
        put_key(name, table.spelled)
        path = <uint8_t*>arena_take(table.arena, table.spelled.size)
        if path == NULL or table.spelled.failed:
            table.failed = True
            return False
        memcpy(path, table.spelled.data, table.spelled.size)
        if not add_column(table, path, table.spelled.size, key.cells, key.count):
            return False
    return True

cdef bint add_leaf(Table* table, const uint8_t* path, Py_ssize_t path_size, Cell* cells, int32_t count) noexcept nogil:
    """Add one column that is not spread; False if the table gets too wide."""
    cdef Column* column
    if table.width == COLUMN_LIMIT:
        table.failed = True
        return False
    column = table.columns + table.width
    table.width += 1
    column.path = path
    column.path_size = path_size
    column.cells = cells
    column.count = count
    column.at = 0
    column.constant = False
    return True

cdef bint add_column(Table* table, const uint8_t* path, Py_ssize_t path_size, Cell* cells, int32_t count) noexcept nogil:
    """Add a column; one of objects as the columns of their keys, those of its other values before them."""
    cdef int32_t i, objects = 0, others = 0, width = table.width
    cdef Cell* parts = cells
    cdef Cell* rest = NULL
    cdef const Node* node
    for i in range(count):
        node = table.nodes + cells[i].node
        if node.count:
            if node.kind == KIND_ARRAY:
                return add_leaf(table, path, path_size, cells, count)
            objects += 1
    if objects == 0 or <int64_t>4 * objects < count:
        return add_leaf(table, path, path_size, cells, count)
    if objects < count:
        parts = <Cell*>arena_take(table.arena, count * sizeof(Cell))
        if parts == NULL:
            table.failed = True
            return False
        rest = parts + objects
        objects = 0
        for i in range(count):
            if table.nodes[cells[i].node].count:
                parts[objects] = cells[i]
                objects += 1
            else:
                rest[others] = cells[i]
                others += 1
        if not add_leaf(table, path, path_size, rest, others):
            return False
    if group_columns(table, parts, objects, path, path_size):
        return True
    table.width = width
    return not table.failed and add_leaf(table, path, path_size, cells, count)

cdef bint table_columns(Table* table, int32_t array) noexcept nogil:
    """Whether the array is a table (two or more objects, one order of keys, 40 % of the cells filled), and its columns."""
    cdef int32_t element = array + 1, i = 0
    cdef int64_t filled = 0
    cdef Cell* records
    cdef int32_t count = table.nodes[array].count
    table.width = 0
    table.failed = False
    table.rows = count
    if count < 2:
        return False
    while i < count:
        if table.nodes[element].kind != KIND_OBJECT or table.nodes[element].count == 0:
            return False
        element = table.nodes[element].next
        i += 1
    records = <Cell*>arena_take(table.arena, count * sizeof(Cell))
    table.columns = <Column*>arena_take(table.arena, COLUMN_LIMIT * sizeof(Column))
    if table.arena.failed:
        return False
    element = array + 1
    for i in range(count):
        records[i].row = i
        records[i].node = element
        element = table.nodes[element].next
    if not group_columns(table, records, count, NULL, 0) or table.failed:
        return False
    for i in range(table.width):
        filled += table.columns[i].count
    return 10 * filled >= <int64_t>4 * table.width * count
