# What the columns of a table have in common (constants, stems, tuples), and the cells that then stand in the rows.
#
# What other files use:
#   void find_forms(Table*)                     decide how every column stands
#   bint find_stem(Table*, Column*)             whether all its strings begin or end alike; FORM_STEM if so
#   void put_stem(Crush*, const Column*, out)   prefix * suffix
#   void put_cell(...), void put_formed_cell(...)

cdef enum:
    STEM_BYTES = 8  # shorter ones are no relief
    STEM_CELLS = 3
    TUPLE_LIMIT = 32  # keys; in longer tuples nobody finds the value of one

cdef inline bint is_json_cell(Text text) noexcept nogil:
    """Whether a string in a cell may be long JSON, which is better read below the row."""
    return starts_json(text)

cdef inline bint text_may_go_below(Text text) noexcept nogil:
    """Whether a string is perhaps not written in its cell: it has several lines, or is long and starts as JSON does."""
    return text.marks & TEXT_LF or is_json_cell(text)

cdef inline bint same_bytes(const Doc* doc, int32_t first, int32_t node) noexcept nogil:
    """Whether two values of a text are spelled alike."""
    return spelled_alike(doc.data, doc.nodes, first, node)

cdef bint same_scalar(const Table* table, int32_t first, Text text, int32_t node) noexcept nogil:
    """Whether two scalars or empty containers are the same, numbers by their spelling. `text`: the first one's, if a string."""
    cdef const Node* nodes = table.nodes
    cdef uint8_t kind = node_kind(nodes, first)
    if kind != node_kind(nodes, node) or node_count(nodes, first) != node_count(nodes, node):
        return False
    if kind == KIND_STRING:
        return string_equals(table.data, nodes + node, text.data, text.size, table.scratch)
    return kind != KIND_NUMBER or same_span(table, first, node)

cdef bint is_flow_constant(const Table* table, const Column* column) noexcept nogil:
    """Whether every record has a container of the same bytes, in which nothing is escaped, and no star would make it a stem."""
    cdef int32_t i, first = column.cells[0].node
    cdef const uint8_t* bytes = table.data + node_start(table.nodes, first)
    cdef Py_ssize_t size = node_size(table.nodes, first)
    for i in range(1, table.rows):
        if not same_span(table, first, column.cells[i].node):
            return False
    return memchr(bytes, 0x2A, size) == NULL and memchr(bytes, 0x5C, size) == NULL

cdef bint is_constant(const Table* table, const Column* column) noexcept nogil:
    """Whether every record has the key with the same value, and that value fits into the head."""
    cdef int32_t i, first = column.cells[0].node
    cdef Text text
    text.data = NULL
    text.size = text.marks = 0
    if column.count < table.rows:
        return False
    if node_count(table.nodes, first):
        return is_flow_constant(table, column)
    if node_kind(table.nodes, first) == KIND_STRING:
        text = text_of(table.data, table.nodes + first, table.spelled)
        if text_is_block(text) or table.spelled.failed:
            return False
    for i in range(1, table.rows):
        if not same_scalar(table, first, text, column.cells[i].node):
            return False
    return True

cdef inline Text content_of(const Table* table, int32_t node, Buffer* scratch) noexcept nogil:
    """The content of a STRING node, its marks not looked at; valid until the buffer is used again."""
    cdef Text text
    text.marks = 0
    if node_flags(table.nodes, node) & NODE_ESCAPED:
        scratch.size = 0
        string_decode(table.data + node_start(table.nodes, node), table.data + node_end(table.nodes, node), scratch)
        text.data = scratch.data
        text.size = scratch.size
    else:
        text.data = table.data + node_start(table.nodes, node) + 1
        text.size = node_size(table.nodes, node) - 2
    return text

cdef bint may_be_stem(const uint8_t* stem, Py_ssize_t size) noexcept nogil:
    """Whether a common part may be cut off: nothing in it that is looked up or copied, and nothing that a head could not hold."""
    cdef Py_ssize_t i
    if size == 0 or stem[0] == 0x22 or text_marks(stem, size) & TEXT_NEVER_BARE:
        return False
    for i in range(size):
        if 0x30 <= stem[i] <= 0x39 or stem[i] == 0x2A or stem[i] == 0x3D:
            return False
    return True

cdef bint common_ends(const Table* table, Column* column, Text first) noexcept nogil:
    """Find how many bytes all strings begin and end with, cut at a blank; False if some value is none, or they are too few."""
    cdef Py_ssize_t prefix = first.size, suffix = first.size, i
    cdef Text text
    cdef int32_t k
    for k in range(1, column.count):
        if node_kind(table.nodes, cell_node(column, k)) != KIND_STRING:
            return False
        text = content_of(table, cell_node(column, k), table.scratch)
        prefix = prefix if prefix < text.size else text.size
        suffix = suffix if suffix < text.size else text.size
        i = 0
        while i < prefix and first.data[i] == text.data[i]:
            i += 1
        while i > 0 and first.data[i - 1] != 0x20:
            i -= 1
        prefix = i
        i = 0
        while i < suffix and first.data[first.size - 1 - i] == text.data[text.size - 1 - i]:
            i += 1
        while i > 0 and first.data[first.size - i] != 0x20:
            i -= 1
        suffix = i
        if prefix + suffix < STEM_BYTES:
            return False
    column.prefix_size = prefix
    column.suffix_size = suffix
    return True

cdef bint is_number_word(Text text) noexcept nogil:
    """Whether a text is one word with a digit: what stands before it belongs to it then (ticket 4711), as a name to look up."""
    cdef Py_ssize_t i
    cdef bint digit = False
    for i in range(text.size):
        if text.data[i] == 0x20:
            return False
        digit |= 0x30 <= text.data[i] <= 0x39
    return digit

cdef bint find_stem(Table* table, Column* column) noexcept nogil:
    """Whether all values are strings of one line that begin or end alike: what they share stands in the head then."""
    cdef Text text
    cdef uint8_t* kept
    cdef int32_t k
    if column.count < STEM_CELLS or node_kind(table.nodes, cell_node(column, 0)) != KIND_STRING:
        return False
    text = content_of(table, cell_node(column, 0), table.spelled)
    if table.spelled.failed or is_json_cell(text) or not common_ends(table, column, text):
        return False
    kept = <uint8_t*>arena_take(table.arena, column.prefix_size + column.suffix_size)
    if kept == NULL:
        return False
    memcpy(kept, text.data, column.prefix_size)
    memcpy(kept + column.prefix_size, text.data + text.size - column.suffix_size, column.suffix_size)
    column.prefix = kept
    column.suffix = kept + column.prefix_size
    if kept[0] == 0x20 or not may_be_stem(column.prefix, column.prefix_size):
        column.prefix_size = 0
    if column.suffix_size and column.suffix[column.suffix_size - 1] == 0x20 or not may_be_stem(column.suffix, column.suffix_size):
        column.suffix_size = 0
    if column.prefix_size + column.suffix_size < STEM_BYTES:
        return False
    for k in range(column.count):
        text = content_of(table, cell_node(column, k), table.scratch)
        if text.size <= column.prefix_size + column.suffix_size or memchr(text.data, 0x0A, text.size) != NULL:
            return False
        text.data += column.prefix_size
        text.size -= column.prefix_size + column.suffix_size
        if text.data[0] == 0x20 or text.data[text.size - 1] == 0x20 or is_json_cell(text) or is_number_word(text):
            return False
    column.form = FORM_STEM
    return True

cdef int32_t tuple_keys(const Table* table, const Column* column) noexcept nogil:
    """The first record in lists of records whose keys are all alike; 0 if they are not, or there is none."""
    cdef const Node* nodes = table.nodes
    cdef int32_t first = 0, i, node, end
    for i in range(column.count):
        if node_kind(nodes, column.cells[i].node) != KIND_ARRAY:
            return 0
        node = node_child(nodes, column.cells[i].node)
        end = node_next(nodes, column.cells[i].node)
        while node < end:
            if not is_record(nodes, node):
                return 0
            if first == 0:
                first = node
                if not keys_are_distinct(table, first):
                    return 0
            elif not same_keys(table, first, node):
                return 0
            node = node_next(nodes, node)
    return first

cdef bint same_keys(const Table* table, int32_t first, int32_t record) noexcept nogil:
    """Whether two objects have the same keys in the same order."""
    cdef const Node* nodes = table.nodes
    cdef int32_t key = node_child(nodes, record), like = node_child(nodes, first), end = node_next(nodes, record)
    if node_count(nodes, record) != node_count(nodes, first):
        return False
    while key < end:
        if not same_span(table, like, key):
            return False
        key = node_next(nodes, node_next(nodes, key))
        like = node_next(nodes, node_next(nodes, like))
    return True

cdef bint keys_are_distinct(const Table* table, int32_t record) noexcept nogil:
    """Whether no key of an object stands twice in it, and none has an escape, which could hide that."""
    cdef const Node* nodes = table.nodes
    cdef int32_t key = node_child(nodes, record), end = node_next(nodes, record), other
    if node_count(nodes, record) > TUPLE_LIMIT:
        return False
    while key < end:
        if node_flags(nodes, key) & NODE_ESCAPED:
            return False
        other = node_next(nodes, node_next(nodes, key))
        while other < end:
            if same_span(table, key, other):
                return False
            other = node_next(nodes, node_next(nodes, other))
        key = node_next(nodes, node_next(nodes, key))
    return True

cdef bint every_row_has_cells(Table* table) noexcept nogil:
    """Whether no record has constants only."""
    cdef uint8_t* filled
    cdef Column* column
    cdef int32_t i, k, missing = table.rows
    if table.keys != NULL:
        return True
    for i in range(table.width):
        if table.columns[i].count == table.rows and table.columns[i].form != FORM_CONSTANT:
            return True
    filled = <uint8_t*>arena_take(table.arena, table.rows)
    if filled == NULL:
        return True
    memset(filled, 0, table.rows)
    for i in range(table.width):
        column = table.columns + i
        if column.form != FORM_CONSTANT:
            for k in range(column.count):
                missing -= 1 - filled[column.cells[k].row]
                filled[column.cells[k].row] = 1
    return missing == 0

cdef bint repeats(const Table* table, const Column* column) noexcept nogil:
    """Whether every record has the same scalar on one line in a column as in the one before it."""
    cdef const Node* nodes = table.nodes
    cdef int32_t i, node
    cdef uint8_t first
    if column.count < table.rows or column[-1].count < table.rows:
        return False
    for i in range(table.rows):
        node = column.cells[i].node
        if node_kind(nodes, node) != node_kind(nodes, column[-1].cells[i].node) or node_count(nodes, node):
            return False
        if not same_span(table, column[-1].cells[i].node, node):
            return False
        if node_kind(nodes, node) == KIND_STRING:
            # Without an escape there is no line feed; what starts as JSON may stand below the row.
            first = table.data[node_start(nodes, node) + 1]
            if node_flags(nodes, node) & NODE_ESCAPED or first == 0x7B or first == 0x5B:
                return False
    return True

cdef bint says_key(const Table* table, const Column* column) noexcept nogil:
    """Whether every record has the key under which it stands in a column."""
    cdef int32_t i
    if table.keys == NULL or column.count < table.rows:
        return False
    for i in range(column.count):
        if node_kind(table.nodes, column.cells[i].node) != KIND_STRING or not same_span(table, table.keys[i], column.cells[i].node):
            return False
    return True

cdef void find_forms(Table* table) noexcept nogil:
    """Decide how every column stands. If a row would be left without cells, the first constant is an ordinary column."""
    cdef Column* column
    cdef int32_t i
    for i in range(table.width):
        column = table.columns + i
        if column.form != FORM_PLAIN:
            continue
        if says_key(table, column):
            column.form = FORM_KEY
        elif is_constant(table, column):
            column.form = FORM_CONSTANT
        elif node_kind(table.nodes, column.cells[0].node) == KIND_ARRAY:
            column.record = tuple_keys(table, column)
            if column.record:
                column.form = FORM_TUPLES
        elif i > table.below and (column[-1].form == FORM_PLAIN or column[-1].form == FORM_SAME) and repeats(table, column):
            column.form = FORM_SAME
        elif not (table.below and i == 0):
            find_stem(table, column)
    if every_row_has_cells(table):
        return
    for i in range(table.width):
        if table.columns[i].form == FORM_CONSTANT:
            table.columns[i].form = FORM_PLAIN
            return

cdef void put_constant(Crush* crush, const Doc* doc, int32_t node) noexcept nogil:
    """Append the value of a constant."""
    if node_kind(doc.nodes, node) == KIND_STRING:
        put_string(text_of(doc.data, doc.nodes + node, &crush.scratch), PLACE_CONSTANT, &crush.out)
    else:
        put_flow(crush, doc, node)

cdef void put_stem(Crush* crush, const Column* column, Buffer* out) noexcept nogil:
    """Append what the strings of a column share, a star where the rows go on."""
    crush.stems = True
    buffer_put(out, column.prefix, column.prefix_size)
    buffer_byte(out, 0x2A)
    buffer_put(out, column.suffix, column.suffix_size)

cdef void put_tuple_keys(Crush* crush, const Doc* doc, const Column* column) noexcept nogil:
    """Append the keys of the records in a column's cells."""
    cdef int32_t key = node_child(doc.nodes, column.record)
    buffer_byte(&crush.out, 0x5B)
    while key < node_next(doc.nodes, column.record):
        if key > node_child(doc.nodes, column.record):
            buffer_text(&crush.out, b", ")
        put_key(text_of(doc.data, doc.nodes + key, &crush.scratch), &crush.out)
        key = node_next(doc.nodes, node_next(doc.nodes, key))
    buffer_byte(&crush.out, 0x5D)

cdef void put_tuples(Crush* crush, const Doc* doc, int32_t list) noexcept nogil:
    """Append the values of each record of a list."""
    cdef Buffer* out = &crush.out
    cdef int32_t record = node_child(doc.nodes, list), key
    while record < node_next(doc.nodes, list):
        buffer_text(out, b"(" if record == node_child(doc.nodes, list) else b" (")
        key = node_child(doc.nodes, record)
        while key < node_next(doc.nodes, record):
            if key > node_child(doc.nodes, record):
                buffer_text(out, b"," if node_kind(doc.nodes, node_next(doc.nodes, key)) == KIND_NUMBER else b", ")
            put_flow(crush, doc, node_next(doc.nodes, key))
            key = node_next(doc.nodes, node_next(doc.nodes, key))
        buffer_byte(out, 0x29)
        record = node_next(doc.nodes, record)

cdef inline void put_cell(Crush* crush, const Doc* doc, int32_t node, int indent, int depth) noexcept nogil:
    """Append a cell; a string of several lines, or of JSON, goes below the row."""
    cdef uint8_t kind = node_kind(doc.nodes, node)
    if kind > KIND_STRING:
        put_literal(crush, doc, node)
    elif kind < KIND_STRING:
        put_flow(crush, doc, node)
    else:
        put_string_cell(crush, doc, node, indent, depth)

cdef uint8_t CELL_STARTS[256]

cdef void fill_cell_starts() noexcept:
    """How a string of printable ASCII may begin that is bare in a cell, whatever follows but a blank at its end."""
    cdef int byte
    for byte in range(256):
        CELL_STARTS[byte] = 0x20 < byte < 0x7F and chr(byte) not in '"[{(-<0123456789NTFntf'

fill_cell_starts()

cdef inline bint is_bare_cell(const Doc* doc, int32_t node) noexcept nogil:
    """Whether a string is certainly bare in a cell; of most it shows at their ends."""
    cdef const uint8_t* text = doc.data + node_start(doc.nodes, node)
    return (
        not node_flags(doc.nodes, node) & (NODE_ESCAPED | NODE_HIGH)
        and CELL_STARTS[text[1]] and text[node_size(doc.nodes, node) - 2] != 0x20
    )

cdef inline void put_string_cell(Crush* crush, const Doc* doc, int32_t node, int indent, int depth) noexcept nogil:
    """Append a string as a cell, or a mark of the text below the row."""
    cdef Text text
    if is_bare_cell(doc, node):
        buffer_put(&crush.out, doc.data + node_start(doc.nodes, node) + 1, node_size(doc.nodes, node) - 2)
        return
    text = text_of(doc.data, doc.nodes + node, &crush.scratch)
    if not text_may_go_below(text) or not put_text_below(crush, text, indent, depth):
        put_string(text, PLACE_CELL, &crush.out)

cdef void put_formed_cell(Crush* crush, const Doc* doc, const Column* column) noexcept nogil:
    """Append the next cell of a column that is not plain."""
    cdef int32_t node = cell_node(column, column.at)
    cdef Text text
    if column.form == FORM_TUPLES and node_count(doc.nodes, node):
        put_tuples(crush, doc, node)
        return
    if column.form == FORM_TUPLES:
        put_flow(crush, doc, node)
        return
    if column.form == FORM_SAID:
        put_cell(crush, doc, first_value(doc.nodes, node), 0, 0)
        return
    text = text_of(doc.data, doc.nodes + node, &crush.scratch)
    text.data += column.prefix_size
    text.size -= column.prefix_size + column.suffix_size
    put_string(text, PLACE_TEXT, &crush.out)
