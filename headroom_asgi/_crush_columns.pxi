# Records to columns: one order of keys that every record follows, objects in records spread into columns of their own.
#
# What other files use:
#   bint  table_columns(Table*, array)          whether the array is a table; fills the columns
#   bint  table_from(Table*, records, count)    the same of records that were collected elsewhere; they must stay

cdef enum:
    # Wider tables cannot be read by column any more; key sets up to here fit into four machine words, which keeps merging linear.
    COLUMN_LIMIT = 256

cdef struct Cell:
    int32_t row
    int32_t node

# How the values of a column stand in the rows.
cdef enum:
    FORM_PLAIN = 0
    FORM_CONSTANT = 1  # not at all: the head says the value
    FORM_STEM = 2  # without what they have in common, which the head says
    FORM_SAID = 3  # by the first member of each object; the objects stand below the head
    FORM_TUPLES = 4  # without the keys of their records, which the head says
    FORM_SAME = 5  # not at all: they are those of the column before
    FORM_KEY = 6  # not at all: each is the key before its record

cdef struct Column:
    const uint8_t* path  # as it stands in the head
    Py_ssize_t path_size
    Cell* cells  # the records that have it, in order; NULL: all of them, and their values are neighbors on the tape
    int32_t first  # then, the first of these
    int32_t count
    int32_t at  # the next cell to write
    int32_t depth  # containers between the value and the list of records, which counts
    int form
    const uint8_t* prefix  # of a stem
    const uint8_t* suffix
    Py_ssize_t prefix_size
    Py_ssize_t suffix_size
    Table* said  # the objects that are said once
    int32_t record  # one with the keys of tuples
    uint8_t holds  # HOLDS_: what the values are, where rows may be left out
    uint8_t decimals  # of its numbers, at most
    const int64_t* numbers  # NULL, or the value of each cell, with so many decimals

cdef struct Table:
    const uint8_t* data
    const Node* nodes
    Arena* arena
    Buffer* scratch
    Buffer* spelled
    Column* columns
    int32_t width
    int32_t rows
    const int32_t* keys  # NULL, or the key before each record: its row begins with it
    const int32_t* groups  # NULL, or the number of rows in each group: a line stands before them
    int32_t group_count
    int32_t group  # the next one to open
    int32_t group_left  # rows to be written into the one before
    Py_ssize_t group_head  # bytes between the count in the head and the bracket that a table without groups has behind its own
    bint printed  # Python's words stand for its constants
    bint below  # it holds objects that another table says once
    bint gaps  # some cell of what it says once is empty
    bint failed  # no memory, or too wide

cdef inline int32_t cell_node(const Column* column, int32_t i) noexcept nogil:
    """The value of a cell."""
    return column.first + i if column.cells == NULL else column.cells[i].node

cdef inline int32_t cell_row(const Column* column, int32_t i) noexcept nogil:
    """The row of a cell."""
    return i if column.cells == NULL else column.cells[i].row

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
        group.members += node_count(table.nodes, objects[i].node)
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
    cdef bint decoded
    cdef const uint8_t* name
    cdef Py_ssize_t size
    cdef Key* key
    for i in range(count):
        at = node_child(table.nodes, objects[i].node)
        end = node_next(table.nodes, objects[i].node)
        before = -1
        guess = group.first
        while at < end:
            decoded = node_flags(table.nodes, at) & NODE_ESCAPED
            if decoded:
                table.scratch.size = 0
                string_decode(
                    table.data + node_start(table.nodes, at), table.data + node_end(table.nodes, at), table.scratch
                )
                if table.scratch.failed:
                    return False
                name = table.scratch.data
                size = table.scratch.size
            else:
                name = table.data + node_start(table.nodes, at) + 1
                size = node_size(table.nodes, at) - 2
            if guess >= 0 and key_is(group.keys + guess, name, size):
                id = guess
            else:
                id = group_key(table, group, name, size, decoded)
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
            at = node_next(table.nodes, node_next(table.nodes, at))
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
        at = node_child(table.nodes, objects[i].node)
        end = node_next(table.nodes, objects[i].node)
        while at < end:
            key = group.keys + group.sequence[read]
            read += 1
            at = node_next(table.nodes, at)
            key.cells[key.count].row = objects[i].row
            key.cells[key.count].node = at
            key.count += 1
            at = node_next(table.nodes, at)
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
        bytes += node_size(table.nodes, objects[i].node)
    return <int64_t>path_size * group.size <= bytes

cdef const uint8_t* spell_path(
    Table* table, const uint8_t* parent, Py_ssize_t parent_size, const Key* key, Py_ssize_t* size
) noexcept nogil:
    """The path of a key under a parent (none: size 0; its element: key NULL); NULL if there is no memory."""
    cdef Buffer* out = table.spelled
    cdef uint8_t* path
    cdef Text name
    out.size = 0
    buffer_put(out, parent, parent_size)
    if key == NULL:
        buffer_text(out, b"[0]")
    else:
        if parent_size:
            buffer_byte(out, 0x2E)
        name.data = key.name
        name.size = key.size
        name.marks = text_marks(name.data, name.size)
        put_key(name, out)
    size[0] = out.size
    path = <uint8_t*>arena_take(table.arena, out.size)
    if path == NULL or out.failed:
        table.failed = True
        return NULL
    memcpy(path, out.data, out.size)
    return path

cdef bint group_columns(
    Table* table, const Cell* objects, int32_t count, const uint8_t* prefix, Py_ssize_t prefix_size, int32_t depth
) noexcept nogil:
    """Add the columns of objects that stand under a path (none: the records). False if they can't be merged into one order."""
    # Calls itself once for every level of objects in objects, which the limit on nesting bounds.
    cdef Group group
    cdef uint8_t order[COLUMN_LIMIT]
    cdef const uint8_t* path
    cdef Py_ssize_t path_size
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
        path = spell_path(table, prefix, prefix_size, key, &path_size)
        if path == NULL or not add_column(table, path, path_size, key.cells, key.count, depth + 1):
            return False
    return True

cdef Column* add_leaf(
    Table* table, const uint8_t* path, Py_ssize_t path_size, Cell* cells, int32_t count, int32_t depth
) noexcept nogil:
    """Add one column that is not spread; NULL if the table gets too wide."""
    cdef Column* column
    if table.width == COLUMN_LIMIT:
        table.failed = True
        return NULL
    column = table.columns + table.width
    table.width += 1
    memset(column, 0, sizeof(Column))
    column.path = path
    column.path_size = path_size
    column.cells = cells
    column.count = count
    column.depth = depth
    return column

cdef inline bint is_record(const Node* nodes, int32_t node) noexcept nogil:
    """Whether a value is an object with members."""
    return node_kind(nodes, node) == KIND_OBJECT and node_count(nodes, node) > 0

cdef bint has_parts(const Table* table, const Cell* cells, int32_t count, int32_t* objects, bint* listed) noexcept nogil:
    """Whether all values with parts are objects, or all are lists of one object each, and at least a quarter of them have any."""
    cdef const Node* nodes = table.nodes
    cdef int32_t i, node
    cdef bint inside
    objects[0] = 0
    listed[0] = False
    for i in range(count):
        node = cells[i].node
        if node_count(nodes, node) == 0:
            continue
        inside = node_kind(nodes, node) == KIND_ARRAY
        if inside and (node_count(nodes, node) > 1 or not is_record(nodes, node_child(nodes, node))):
            return False
        if objects[0] == 0:
            listed[0] = inside
        elif inside != listed[0]:
            return False
        objects[0] += 1
    return objects[0] > 0 and <int64_t>4 * objects[0] >= count

cdef bint add_column(
    Table* table, const uint8_t* path, Py_ssize_t path_size, Cell* cells, int32_t count, int32_t depth
) noexcept nogil:
    """Add a column; one of objects as the columns of their keys (or said once), those of its other values before them."""
    cdef const Node* nodes = table.nodes
    cdef int32_t i, objects, others = 0, width = table.width
    cdef bint listed
    cdef const uint8_t* parent = path
    cdef Py_ssize_t parent_size = path_size
    cdef Cell* parts = cells
    cdef Cell* rest
    if not has_parts(table, cells, count, &objects, &listed):
        return add_leaf(table, path, path_size, cells, count, depth) != NULL
    if objects < count or listed:
        parts = <Cell*>arena_take(table.arena, count * sizeof(Cell))
        if parts == NULL:
            table.failed = True
            return False
        rest = parts + objects
        objects = 0
        for i in range(count):
            if node_count(nodes, cells[i].node) == 0:
                rest[others] = cells[i]
                others += 1
                continue
            parts[objects].row = cells[i].row
            parts[objects].node = node_child(nodes, cells[i].node) if listed else cells[i].node
            objects += 1
        if others and add_leaf(table, path, path_size, rest, others, depth) == NULL:
            return False
    if listed:
        parent = spell_path(table, path, path_size, NULL, &parent_size)
        if parent == NULL:
            return False
    if say_once(table, parent, parent_size, parts, objects, depth + listed):
        return True
    if not table.failed and group_columns(table, parts, objects, parent, parent_size, depth + listed):
        return True
    table.width = width
    return not table.failed and add_leaf(table, path, path_size, cells, count, depth) != NULL

cdef bint table_from(Table* table, const Cell* records, int32_t count) noexcept nogil:
    """Whether records (non-empty objects, row i the i-th) have one order of keys and fill 40 % of the cells; their columns."""
    cdef int64_t filled = 0
    cdef int32_t i
    table.width = 0
    table.failed = False
    table.rows = count
    table.columns = <Column*>arena_take(table.arena, COLUMN_LIMIT * sizeof(Column))
    if table.columns == NULL:
        return False
    if not group_columns(table, records, count, NULL, 0, 1) or table.failed:
        return False
    for i in range(table.width):
        filled += table.columns[i].count
    return 10 * filled >= <int64_t>4 * table.width * count

cdef bint table_columns(Table* table, int32_t array) noexcept nogil:
    """Whether the array is a table: two or more objects that make one."""
    cdef const Node* nodes = table.nodes
    cdef int32_t element = node_child(nodes, array), i, count = node_count(nodes, array)
    cdef Cell* records
    if count < 2:
        return False
    for i in range(count):
        if node_kind(nodes, element) != KIND_OBJECT or node_count(nodes, element) == 0:
            return False
        element = node_next(nodes, element)
    records = <Cell*>arena_take(table.arena, count * sizeof(Cell))
    if records == NULL:
        return False
    element = node_child(nodes, array)
    for i in range(count):
        records[i].row = i
        records[i].node = element
        element = node_next(nodes, element)
    return table_from(table, records, count)
