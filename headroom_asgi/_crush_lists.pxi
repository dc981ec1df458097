# Arrays, and objects as long as lists, in the form that repeats least: flow, or one of the tables.
#
# What other files use:
#   bint put_array(crush, doc, array, entry, indent, depth)     False, and nothing, if the array is a list of items
#   bint put_map(crush, doc, object, entry, indent, depth)      False, and nothing, if the object is a list of members
#
# `indent` is that of what stands in the value (members, items, rows), `depth` the number of containers that stands in.
# Every check ends at the first child that speaks against it.

cdef enum:
    # A long list of long strings is hard to read on one line; short ones only cost a line each. From the second blank on the
    # indent is a token of its own.
    LIST_ROWS = 24
    LIST_BYTES = 16  # of an element, on average
    DEEP_LIST_BYTES = 32
    MAP_ROWS = 3  # two records do not repay the line of their keys
    PROBE_LIMIT = 64  # slots looked at for one key; only keys that were made to collide need so many

cdef inline Py_ssize_t open_table(
    Crush* crush, uint8_t bracket, int32_t count, int entry, int* indent
) noexcept nogil:
    """Append what stands before a table, its bracket and count; where the count ends. Below a row the rows move in by one."""
    cdef Buffer* out = &crush.out
    if entry == ENTRY_BELOW:
        put_indent(indent[0], out)
        indent[0] += 1
    elif entry != ENTRY_TOP:
        buffer_text(out, b"- " if entry == ENTRY_ITEM else b" ")
    buffer_byte(out, bracket)
    put_int(count, out)
    return out.size

cdef bint put_array(Crush* crush, const Doc* doc, int32_t array, int entry, int indent, int depth) noexcept nogil:
    """Append an array in flow or as a table, if it is one."""
    cdef ArenaMark mark = arena_mark(&crush.arena)
    cdef int32_t first = node_child(doc.nodes, array)
    cdef uint8_t kind = node_kind(doc.nodes, first)
    cdef bint fits
    if kind > KIND_ARRAY:
        if entry == ENTRY_BELOW:
            fits = put_list(crush, doc, array, entry, indent, depth)
        else:
            fits = put_scalars(crush, doc, array, entry, indent, depth)
    elif kind == KIND_OBJECT:
        fits = put_list_of_records(crush, doc, array, entry, indent, depth)
    elif node_count(doc.nodes, first) and node_kind(doc.nodes, node_child(doc.nodes, first)) > KIND_ARRAY:
        fits = put_matrix(crush, doc, array, entry, indent, depth)
    else:
        fits = put_groups(crush, doc, array, entry, indent, depth)
    arena_back(&crush.arena, mark)
    return fits

# Records: tables with columns.

cdef bint put_list_of_records(Crush* crush, const Doc* doc, int32_t array, int entry, int indent, int depth) noexcept nogil:
    """Append an array of records as a table, if they make one."""
    cdef Table table
    cdef Py_ssize_t head
    cdef int grouped = put_keyed_groups(crush, doc, array, entry, indent, depth)
    if grouped:
        return grouped > 0
    table_open(crush, doc, &table)
    if not table_columns(&table, array):
        return False
    head = open_table(crush, 0x5B, table.rows, entry, &indent)
    buffer_text(&crush.out, b"]: ")
    put_records(crush, doc, &table, indent, depth, head)
    return True

cdef inline int32_t group_of(const Node* nodes, int32_t element, bint keyed) noexcept nogil:
    """The list of records that an element is, or is all of."""
    return node_next(nodes, node_child(nodes, element)) if keyed else element

cdef int32_t count_grouped(const Doc* doc, int32_t array, bint keyed) noexcept nogil:
    """The number of records in a list of lists of records, each of them alone in an object under the same key or not; -1: it is none."""
    cdef const Node* nodes = doc.nodes
    cdef int32_t element = node_child(nodes, array), end = node_next(nodes, array), record, behind, total = 0
    cdef int32_t key = node_child(nodes, element) if keyed else -1
    while element < end:
        if keyed and not (is_record(nodes, element) and node_count(nodes, element) == 1 and same_bytes(doc, key, node_child(nodes, element))):
            return -1
        record = group_of(nodes, element, keyed)
        if node_kind(nodes, record) != KIND_ARRAY:
            return -1
        behind = node_next(nodes, record)
        record = node_child(nodes, record)
        while record < behind:
            if not is_record(nodes, record):
                return -1
            total += 1
            record = node_next(nodes, record)
        element = node_next(nodes, element)
    return total

cdef bint open_groups_table(Crush* crush, const Doc* doc, Table* table, int32_t array, int32_t total, bint keyed) noexcept nogil:
    """Whether so many records in lists make one table; its columns and groups."""
    cdef const Node* nodes = doc.nodes
    cdef int32_t count = node_count(nodes, array), element = node_child(nodes, array), record, i, k
    cdef int32_t* sizes = <int32_t*>arena_take(&crush.arena, count * sizeof(int32_t))
    cdef Cell* records = <Cell*>arena_take(&crush.arena, total * sizeof(Cell))
    if crush.arena.failed:
        return False
    table_open(crush, doc, table)
    table.groups = sizes
    table.group_count = count
    total = 0
    for i in range(count):
        record = group_of(nodes, element, keyed)
        sizes[i] = node_count(nodes, record)
        record = node_child(nodes, record)
        for k in range(sizes[i]):
            records[total].row = total
            records[total].node = record
            total += 1
            record = node_next(nodes, record)
        element = node_next(nodes, element)
    return table_from(table, records, total)

cdef bint put_groups(Crush* crush, const Doc* doc, int32_t array, int entry, int indent, int depth) noexcept nogil:
    """Append an array of arrays of records as one table, if they make one."""
    cdef int32_t total = count_grouped(doc, array, False) if node_count(doc.nodes, array) > 1 else -1
    cdef Table table
    cdef Py_ssize_t head
    if total < 2 or not open_groups_table(crush, doc, &table, array, total, False):
        return False
    head = open_table(crush, 0x5B, table.group_count, entry, &indent)
    buffer_text(&crush.out, b"][]: ")
    table.group_head = 2
    put_records(crush, doc, &table, indent, depth, head)
    return True

cdef bint differ(const Doc* doc, int32_t array) noexcept nogil:
    """Whether the records in lists, each list alone in an object, have other keys or hold more than scalars: no tuples, then."""
    cdef const Node* nodes = doc.nodes
    cdef int32_t element = node_child(nodes, array), end = node_next(nodes, array), record, behind, value, first = 0
    cdef Table table
    table.data = doc.data
    table.nodes = nodes
    while element < end:
        record = group_of(nodes, element, True)
        behind = node_next(nodes, record)
        record = node_child(nodes, record)
        while record < behind:
            first = first if first else record
            if not same_keys(&table, first, record):
                return True
            value = node_child(nodes, record)
            while value < node_next(nodes, record):
                value = node_next(nodes, value)
                if node_count(nodes, value):
                    return True
                value = node_next(nodes, value)
            record = node_next(nodes, record)
        element = node_next(nodes, element)
    return False

cdef int put_keyed_groups(Crush* crush, const Doc* doc, int32_t array, int entry, int indent, int depth) noexcept nogil:
    """Append an array of objects that are each a list of two records or more, on average, under the same key, as one table.

    0 if it is none such; -1 where the records do not make one table, so that each list should be its own.
    """
    cdef int32_t count = node_count(doc.nodes, array), total = count_grouped(doc, array, True) if count > 1 else -1
    cdef Table table
    cdef Py_ssize_t head
    if total < 2 * <int64_t>count or not differ(doc, array):
        return 0
    if not open_groups_table(crush, doc, &table, array, total, True):
        return -1
    head = open_table(crush, 0x5B, count, entry, &indent)
    buffer_text(&crush.out, b"].")
    put_key(text_of(doc.data, doc.nodes + node_child(doc.nodes, node_child(doc.nodes, array)), &crush.scratch), &crush.out)
    buffer_text(&crush.out, b"[]: ")
    table.group_head = crush.out.size - head - 3
    put_records(crush, doc, &table, indent, depth + 1, head)
    return 1

cdef bint put_map(Crush* crush, const Doc* doc, int32_t object, int entry, int indent, int depth) noexcept nogil:
    """Append an object of records as a table that begins each row with the record's key, if they make one."""
    cdef ArenaMark mark = arena_mark(&crush.arena)
    cdef bint fits = is_map(doc.nodes, object) and put_keyed(crush, doc, object, entry, indent, depth)
    arena_back(&crush.arena, mark)
    return fits

cdef bint is_map(const Node* nodes, int32_t object) noexcept nogil:
    """Whether an object has records only, and enough of them."""
    cdef int32_t key = node_child(nodes, object), end = node_next(nodes, object), value
    if node_count(nodes, object) < MAP_ROWS:
        return False
    while key < end:
        value = node_next(nodes, key)
        if not is_record(nodes, value):
            return False
        key = node_next(nodes, value)
    return True

cdef bint put_keyed(Crush* crush, const Doc* doc, int32_t object, int entry, int indent, int depth) noexcept nogil:
    """Append an object of records as a table, if they make one and their keys differ."""
    cdef int32_t count = node_count(doc.nodes, object), key = node_child(doc.nodes, object), i
    cdef int32_t* keys = <int32_t*>arena_take(&crush.arena, count * sizeof(int32_t))
    cdef Cell* records = <Cell*>arena_take(&crush.arena, count * sizeof(Cell))
    cdef Table table
    cdef Py_ssize_t head
    if crush.arena.failed:
        return False
    for i in range(count):
        keys[i] = key
        records[i].row = i
        records[i].node = node_next(doc.nodes, key)
        key = node_next(doc.nodes, records[i].node)
    table_open(crush, doc, &table)
    table.keys = keys
    if not table_from(&table, records, count) or not keys_differ(crush, doc, keys, count):
        return False
    head = open_table(crush, 0x7B, count, entry, &indent)
    buffer_text(&crush.out, b"}: (key)\t")
    put_records(crush, doc, &table, indent, depth, head)
    return True

cdef bint keys_differ(Crush* crush, const Doc* doc, const int32_t* keys, int32_t count) noexcept nogil:
    """Whether no two keys are the same. Also False if they collide so often that telling would take long."""
    cdef uint32_t mask = 7, code, slot
    cdef int32_t* slots  # index + 1 of a key, or 0
    cdef int32_t i, probes
    cdef Py_ssize_t at
    cdef Text text
    while mask < <uint32_t>2 * count:
        mask = 2 * mask + 1
    slots = <int32_t*>arena_take(&crush.arena, (<Py_ssize_t>mask + 1) * sizeof(int32_t))
    if slots == NULL:
        return False
    memset(slots, 0, (<Py_ssize_t>mask + 1) * sizeof(int32_t))
    for i in range(count):
        text = text_of(doc.data, doc.nodes + keys[i], &crush.other)
        code = 2166136261U  # FNV-1a
        for at in range(text.size):
            code = (code ^ text.data[at]) * 16777619U
        slot = (code ^ code >> 15) & mask
        probes = 0
        while slots[slot]:
            if probes == PROBE_LIMIT:
                return False
            if string_equals(doc.data, doc.nodes + keys[slots[slot] - 1], text.data, text.size, &crush.scratch):
                return False
            slot = (slot + 1) & mask
            probes += 1
        slots[slot] = i + 1
    return True

# Scalars: flow, or tables without columns.

cdef inline bint is_plain(Crush* crush, const Doc* doc, int32_t node) noexcept nogil:
    """Whether a value is a scalar, and no string of several lines."""
    if node_kind(doc.nodes, node) < KIND_STRING:
        return False
    # Without an escape there is no line feed.
    return not node_flags(doc.nodes, node) & NODE_ESCAPED or not text_is_block(
        text_of(doc.data, doc.nodes + node, &crush.scratch)
    )

cdef bint is_long(const Doc* doc, int32_t array, int32_t limit) noexcept nogil:
    """Whether a longer array starts with that many strings, no neighbors alike: flow would give it up there."""
    cdef int32_t at = node_child(doc.nodes, array), after, i
    for i in range(limit):
        after = node_next(doc.nodes, at)
        if node_kind(doc.nodes, at) != KIND_STRING or follows_alike(doc, at, after):
            return False
        at = after
    return True

cdef int32_t flat_size(const Node* nodes, int32_t array) noexcept nogil:
    """Bytes of an array without the white space between its elements: how a text is spaced changes no choice."""
    cdef int32_t at = node_child(nodes, array), end = node_next(nodes, array), size = 1 + node_count(nodes, array)
    while at < end:
        size += node_size(nodes, at)
        at = node_next(nodes, at)
    return size

cdef bint put_scalars(Crush* crush, const Doc* doc, int32_t array, int entry, int indent, int depth) noexcept nogil:
    """Append an array of scalars as a list where rows are left out or it reads better, else in flow; False if it is no such array."""
    cdef Buffer* out = &crush.out
    cdef Py_ssize_t start = out.size
    cdef int32_t count = node_count(doc.nodes, array), size = flat_size(doc.nodes, array)
    cdef Flow seen
    memset(&seen, 0, sizeof(Flow))
    seen.limit = LIST_ROWS if size >= <int64_t>count * (LIST_BYTES if indent < 2 else DEEP_LIST_BYTES) else 0x7FFFFFFF
    if count > seen.limit and is_long(doc, array, seen.limit):
        return put_list(crush, doc, array, entry, indent, depth)
    if crush.omit and count >= OMIT_ROWS and size >= OMIT_TOKENS:
        if put_short_list(crush, doc, array, entry, indent, depth):
            return True
    before_inline(entry, False, out)
    put_flow_array(crush, doc, array, &seen)
    if (
        seen.mixed or seen.nested or seen.long
        or (count > 1 and <int64_t>4 * seen.quoted > count and size >= <int64_t>count * LIST_BYTES)
    ):
        out.size = start
        return (not seen.mixed or count >= LIST_ROWS) and put_list(crush, doc, array, entry, indent, depth)
    buffer_byte(out, 0x0A)
    return True

cdef bint put_short_list(Crush* crush, const Doc* doc, int32_t array, int entry, int indent, int depth) noexcept nogil:
    """Append an array of scalars as a list if rows of it are left out; else False, and nothing."""
    cdef ArenaMark mark = arena_mark(&crush.arena)
    cdef Py_ssize_t start = crush.out.size, parts = crush.part_list.size
    cdef bint stems = crush.stems
    if put_list(crush, doc, array, entry, indent, depth) and crush.part_list.size > parts:
        return True
    crush.out.size = start
    crush.stems = stems
    arena_back(&crush.arena, mark)
    return False

cdef inline void fill_column(Column* column, Cell* cells, int32_t first, int32_t count) noexcept nogil:
    """Make a column without a name, a cell in every row."""
    memset(column, 0, sizeof(Column))
    column.cells = cells
    column.first = first
    column.count = count

cdef bint list_open(Crush* crush, const Doc* doc, int32_t array, Table* table) noexcept nogil:
    """A table of one column, a row for each element; False if one is no scalar, or, in a short list, a string of several lines."""
    cdef int32_t count = node_count(doc.nodes, array), first = node_child(doc.nodes, array), i
    # Only a scalar has one slot, and only one of 128 MiB has two, as containers have.
    if count < 2 or node_next(doc.nodes, array) - first != count:
        return False
    if count < LIST_ROWS:
        for i in range(first, first + count):
            if not is_plain(crush, doc, i):
                return False
    table_open(crush, doc, table)
    table.columns = <Column*>arena_take(&crush.arena, sizeof(Column))
    if table.columns == NULL:
        return False
    table.rows = count
    table.width = 1
    fill_column(table.columns, NULL, first, count)
    return True

cdef bint put_list(Crush* crush, const Doc* doc, int32_t array, int entry, int indent, int depth) noexcept nogil:
    """Append an array of scalars, one in each row; False, and nothing, if it is no such array."""
    cdef Table table
    cdef Py_ssize_t head
    if not list_open(crush, doc, array, &table):
        return False
    head = open_table(crush, 0x5B, table.rows, entry, &indent)
    buffer_text(&crush.out, b"]=")
    if find_stem(&table, table.columns):
        put_stem(crush, table.columns, &crush.out)
    buffer_byte(&crush.out, 0x0A)
    put_rows(crush, doc, &table, indent, depth, head)
    return True

cdef bint is_matrix(const Node* nodes, int32_t array) noexcept nogil:
    """Whether an array is two or more arrays of as many scalars each, not too many."""
    cdef int32_t count = node_count(nodes, array), line = node_child(nodes, array), width = node_count(nodes, line), at, i
    if count < 2 or not 1 <= width <= COLUMN_LIMIT:
        return False
    for i in range(count):
        if node_kind(nodes, line) != KIND_ARRAY or node_count(nodes, line) != width:
            return False
        at = node_child(nodes, line)
        line = node_next(nodes, line)
        while at < line:
            if node_kind(nodes, at) < KIND_STRING:
                return False
            at = node_next(nodes, at)
    return True

cdef bint fill_matrix(Table* table, int32_t array) noexcept nogil:
    """Fill a table with a matrix, a column for each place in its rows; False if there is no memory."""
    cdef const Node* nodes = table.nodes
    cdef int32_t count = node_count(nodes, array), line = node_child(nodes, array), width = node_count(nodes, line), at, i, k
    cdef Cell* cells = <Cell*>arena_take(table.arena, <Py_ssize_t>count * width * sizeof(Cell))
    table.columns = <Column*>arena_take(table.arena, width * sizeof(Column))
    if table.arena.failed:
        return False
    table.rows = count
    table.width = width
    for k in range(width):
        fill_column(table.columns + k, cells + <Py_ssize_t>k * count, 0, count)
    for i in range(count):
        at = node_child(nodes, line)
        for k in range(width):
            cells[<Py_ssize_t>k * count + i].row = i
            cells[<Py_ssize_t>k * count + i].node = at
            at = node_next(nodes, at)
        line = node_next(nodes, line)
    return True

cdef bint find_fixed(Table* table) noexcept nogil:
    """Make the columns of a matrix constant that are; False, and none, if that takes less from the rows than their numbers need."""
    cdef int32_t fixed = 0, k
    for k in range(table.width):
        if is_constant(table, table.columns + k):
            table.columns[k].form = FORM_CONSTANT
            fixed += 1
    if fixed == table.width:
        table.columns[0].form = FORM_PLAIN
        fixed -= 1
    if <int64_t>fixed * (table.rows - 1) >= 2 * table.width:
        return True
    for k in range(table.width):
        table.columns[k].form = FORM_PLAIN
    return False

cdef void put_fixed(Crush* crush, const Doc* doc, Table* table) noexcept nogil:
    """Append the columns of a matrix by their numbers, with what stands in every row."""
    cdef Buffer numbers
    cdef int32_t k
    buffer_open(&numbers)
    for k in range(table.width):
        table.columns[k].path_size = numbers.size
        put_int(k + 1, &numbers)
        table.columns[k].path_size = numbers.size - table.columns[k].path_size
    if not numbers.failed:
        table.columns[0].path = numbers.data
        for k in range(1, table.width):
            table.columns[k].path = table.columns[k - 1].path + table.columns[k - 1].path_size
        put_columns(crush, doc, table)
    # In what says which rows are left out, a number would be taken for a value.
    for k in range(table.width):
        table.columns[k].path = NULL
        table.columns[k].path_size = 0
    crush.out.failed |= numbers.failed
    buffer_close(&numbers)

cdef bint put_matrix(Crush* crush, const Doc* doc, int32_t array, int entry, int indent, int depth) noexcept nogil:
    """Append an array of arrays of as many scalars each, one array in each row; False, and nothing, if it is no such array."""
    cdef Table table
    cdef Py_ssize_t head
    if not is_matrix(doc.nodes, array):
        return False
    table_open(crush, doc, &table)
    if not fill_matrix(&table, array):
        return False
    head = open_table(crush, 0x5B, table.rows, entry, &indent)
    buffer_text(&crush.out, b"][")
    put_int(table.width, &crush.out)
    buffer_text(&crush.out, b"]:")
    if find_fixed(&table):
        buffer_byte(&crush.out, 0x20)
        put_fixed(crush, doc, &table)
    else:
        buffer_byte(&crush.out, 0x0A)
    put_rows(crush, doc, &table, indent, depth, head)
    return True
