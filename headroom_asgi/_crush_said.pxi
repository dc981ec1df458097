# Objects that many records share: said once, in a table of their own, and called by their first member's value.
#
# What other files use:
#   bint say_once(Table*, path, ..., cells, ...)        add a column of such objects, if they are
#   bint spelled_alike(data, nodes, node, node)

cdef enum:
    SAID_MEMBERS = 3  # smaller objects are as short as columns
    SAID_BYTES = 128  # of a first member: a name, not a text
    SAID_PROBES = 64  # names that were made to collide are not worth the time
    SAID_COST = 40  # the head of the other table, and its share of the note

cdef struct Said:
    Table* table
    Cell* objects  # the different ones, in order of their first use
    int32_t count
    int32_t* slots  # hash table: number of an object by its first member, from 1
    uint32_t mask

cdef inline int32_t first_value(const Node* nodes, int32_t object) noexcept nogil:
    """The value of an object's first member."""
    return node_next(nodes, node_child(nodes, object))

cdef inline bint spelled_alike(const uint8_t* data, const Node* nodes, int32_t first, int32_t node) noexcept nogil:
    """Whether two values are the same bytes."""
    cdef int32_t size = node_size(nodes, first)
    return node_size(nodes, node) == size and memcmp(data + node_start(nodes, first), data + node_start(nodes, node), size) == 0

cdef inline bint same_span(const Table* table, int32_t first, int32_t node) noexcept nogil:
    """Whether two values of a table are spelled alike."""
    return spelled_alike(table.data, table.nodes, first, node)

cdef bint is_name(const Table* table, int32_t node) noexcept nogil:
    """Whether a value may stand for its object: a number, or a short string without escapes, so that a name has one spelling."""
    cdef uint8_t kind = node_kind(table.nodes, node)
    return (
        (kind == KIND_STRING or kind == KIND_NUMBER)
        and node_size(table.nodes, node) <= SAID_BYTES
        and not node_flags(table.nodes, node) & NODE_ESCAPED
    )

cdef bint said_grow(Said* said) noexcept nogil:
    """Make the hash table larger; False if there is no memory."""
    cdef uint32_t slots = 2 * (said.mask + 1) if said.mask else 64
    cdef uint32_t slot
    cdef int32_t i
    said.slots = <int32_t*>arena_take(said.table.arena, slots * sizeof(int32_t))
    if said.slots == NULL:
        said.table.failed = True
        return False
    memset(said.slots, 0, slots * sizeof(int32_t))
    said.mask = slots - 1
    for i in range(said.count):
        slot = name_hash(said.table, first_value(said.table.nodes, said.objects[i].node)) & said.mask
        while said.slots[slot]:
            slot = (slot + 1) & said.mask
        said.slots[slot] = i + 1
    return True

cdef inline uint32_t name_hash(const Table* table, int32_t node) noexcept nogil:
    """FNV-1a of a value's bytes, its high bits folded into the low ones."""
    cdef const uint8_t* at = table.data + node_start(table.nodes, node)
    cdef const uint8_t* end = table.data + node_end(table.nodes, node)
    cdef uint32_t code = 2166136261U
    while at < end:
        code = (code ^ at[0]) * 16777619U
        at += 1
    return code ^ code >> 15

cdef bint is_lines(Table* table, int32_t object) noexcept nogil:
    """Whether the object can stand on one line: what stands below a row would have to move with the table."""
    cdef int32_t at = object, end = node_next(table.nodes, object)
    while at < end:
        if node_kind(table.nodes, at) == KIND_STRING and text_may_go_below(
            text_of(table.data, table.nodes + at, table.scratch)
        ):
            return False
        at = node_step(table.nodes, at)
    return True

cdef bint said_add(Said* said, int32_t object) noexcept nogil:
    """Take in one object; False if its first member does not tell it from the others."""
    cdef Table* table = said.table
    cdef int32_t value = first_value(table.nodes, object), known
    cdef uint32_t slot, probes = 0
    if node_count(table.nodes, object) < SAID_MEMBERS or not is_name(table, value):
        return False
    slot = name_hash(table, value) & said.mask
    while said.slots[slot]:
        known = said.objects[said.slots[slot] - 1].node
        if same_span(table, first_value(table.nodes, known), value):
            return same_span(table, known, object)
        slot = (slot + 1) & said.mask
        probes += 1
        if probes == SAID_PROBES:
            return False
    if not is_lines(table, object):
        return False
    if said.count and not same_span(table, node_child(table.nodes, said.objects[0].node), node_child(table.nodes, object)):
        return False
    said.objects[said.count].row = said.count
    said.objects[said.count].node = object
    said.count += 1
    said.slots[slot] = said.count
    return 2 * <uint32_t>said.count <= said.mask or said_grow(said)

cdef Table* said_table(const Said* said) noexcept nogil:
    """The table of the different objects, or NULL if they make none."""
    cdef Table* table = <Table*>arena_take(said.table.arena, sizeof(Table))
    if table == NULL:
        said.table.failed = True
        return NULL
    table[0] = said.table[0]
    table.keys = table.groups = NULL
    table.group_count = 0
    table.below = True
    if not table_from(table, said.objects, said.count):
        return NULL
    find_forms(table)
    return table

cdef bint said_pays(const Table* table, int32_t count, Py_ssize_t path_size) noexcept nogil:
    """Whether columns would be longer than `count` names and a table of the objects."""
    # Every use but the first of an object saves what its row holds beside the name, on the average.
    cdef int64_t names = 0, values = 0
    cdef const Column* column
    cdef int32_t i, k
    for i in range(table.width):
        column = table.columns + i
        for k in range(column.count if column.form != FORM_CONSTANT else 0):
            if i:
                values += node_size(table.nodes, column.cells[k].node) + 1
            else:
                names += node_size(table.nodes, column.cells[k].node)
    return (count - table.rows) * values > table.rows * (names + path_size + SAID_COST)

cdef bint say_once(
    Table* table, const uint8_t* path, Py_ssize_t path_size, Cell* cells, int32_t count, int32_t depth
) noexcept nogil:
    """Add a column of objects that are said once, if that is shorter than columns of their keys: they are few, and have names."""
    cdef Said said
    cdef Table* objects
    cdef Column* column
    cdef ArenaMark mark = arena_mark(table.arena)
    cdef int32_t i
    if table.below or count < 4:
        return False
    said.table = table
    said.count = 0
    said.mask = 0
    said.objects = <Cell*>arena_take(table.arena, (count // 2 + 1) * sizeof(Cell))
    if said.objects == NULL:
        table.failed = True
        return False
    if not said_grow(&said):
        return False
    for i in range(count):
        if not said_add(&said, cells[i].node) or said.count > count // 2:
            arena_back(table.arena, mark)
            return False
    objects = said_table(&said) if said.count > 1 else NULL
    if objects == NULL or not said_pays(objects, count, path_size):
        arena_back(table.arena, mark)
        return False
    column = add_leaf(table, path, path_size, cells, count, depth)
    if column == NULL:
        return False
    column.form = FORM_SAID
    column.said = objects
    return True
