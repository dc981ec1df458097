# One table: its head with the constants, its rows, the texts below them; and the rows that are left out.

# Rows that were left out of one table.
cdef struct Part:
    Py_ssize_t start  # span in Crush.parts
    Py_ssize_t end
    int32_t rows
    bint gaps

# Everything one call of crush() works with.
cdef struct Crush:
    Buffer out  # the text behind its head, without refs
    Buffer scratch  # a decoded string
    Buffer other  # another one, or a path
    Buffer below  # the fenced texts of the current row
    Buffer rows  # the rows of a table, while some of them are left out
    Buffer parts  # bodies of the parts, one after the other
    Buffer part_list  # of Part
    Buffer marks  # of Py_ssize_t: where in `out` a ref belongs
    Buffer text  # the result: crush text with its head, or minified JSON
    Arena arena
    Needles needles
    Py_ssize_t head  # size of the head in `text`
    int strings  # that hold JSON and stand around the value being written
    bint gaps  # some cell is empty
    bint omit  # rows may be left out

# A scanned JSON text: the document, or a string of it.
cdef struct Doc:
    const uint8_t* data
    const Node* nodes

cdef inline void put_indent(int indent, Buffer* out) noexcept nogil:
    if indent > 0 and buffer_reserve(out, indent):
        memset(out.data + out.size, 0x20, indent)
        out.size += indent

cdef void put_int(int64_t value, Buffer* out) noexcept nogil:
    """Append a number that is not negative, in decimal digits."""
    cdef uint8_t digits[20]
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = <uint8_t>(0x30 + value % 10)
        value //= 10
        if value == 0:
            break
    buffer_put(out, digits + at, 20 - at)

cdef inline void put_raw(const Doc* doc, int32_t node, Buffer* out) noexcept nogil:
    """Append the bytes of a number or literal name."""
    buffer_put(out, doc.data + doc.nodes[node].start, doc.nodes[node].end - doc.nodes[node].start)

cdef void put_flow(Crush* crush, const Doc* doc, int32_t node) noexcept nogil:
    """Append a value in flow. Calls itself once for every level of nesting."""
    cdef const Node* value = doc.nodes + node
    cdef Buffer* out = &crush.out
    cdef int32_t at = node + 1
    cdef bint keyed = value.kind == KIND_OBJECT
    if value.kind == KIND_STRING:
        put_string(text_of(doc.data, value, &crush.scratch), PLACE_FLOW, out)
        return
    if value.kind > KIND_STRING:
        put_raw(doc, node, out)
        return
    buffer_byte(out, 0x7B if keyed else 0x5B)
    while at < value.next:
        if at > node + 1:
            buffer_byte(out, 0x2C)
            if keyed:
                buffer_byte(out, 0x20)
        if keyed:
            put_key(text_of(doc.data, doc.nodes + at, &crush.scratch), out)
            buffer_byte(out, 0x3A)
            at += 1
        if doc.nodes[at].kind != KIND_NUMBER and (keyed or at > node + 1):
            buffer_byte(out, 0x20)
        put_flow(crush, doc, at)
        at = doc.nodes[at].next
    buffer_byte(out, 0x7D if keyed else 0x5D)

cdef bint same_scalar(Crush* crush, const Doc* doc, int32_t first, Text text, int32_t node) noexcept nogil:
    """Whether two scalars or empty containers are the same, numbers by their spelling. `text`: the first one's, if a string."""
    cdef const Node* a = doc.nodes + first
    cdef const Node* b = doc.nodes + node
    if a.kind != b.kind or a.count != b.count:
        return False
    if a.kind == KIND_STRING:
        return string_equals(doc.data, b, text.data, text.size, &crush.scratch)
    return a.kind != KIND_NUMBER or (
        a.end - a.start == b.end - b.start and memcmp(doc.data + a.start, doc.data + b.start, a.end - a.start) == 0
    )

cdef bint is_constant(Crush* crush, const Doc* doc, const Column* column, int32_t rows) noexcept nogil:
    """Whether every record has the key with the same value, and that value fits into the head."""
    cdef int32_t i, first = column.cells[0].node
    cdef Text text
    text.data = NULL
    text.size = text.marks = 0
    if column.count < rows or doc.nodes[first].count:
        return False
    if doc.nodes[first].kind == KIND_STRING:
        text = text_of(doc.data, doc.nodes + first, &crush.other)
        if text_is_block(text) or crush.other.failed:
            return False
    for i in range(1, rows):
        if not same_scalar(crush, doc, first, text, column.cells[i].node):
            return False
    return True

cdef bint every_row_has_cells(Table* table) noexcept nogil:
    """Whether no record has constants only."""
    cdef uint8_t* filled
    cdef Column* column
    cdef int32_t i, k, missing = table.rows
    for i in range(table.width):
        if table.columns[i].count == table.rows and not table.columns[i].constant:
            return True
    filled = <uint8_t*>arena_take(table.arena, table.rows)
    if filled == NULL:
        return True
    memset(filled, 0, table.rows)
    for i in range(table.width):
        column = table.columns + i
        if not column.constant:
            for k in range(column.count):
                missing -= 1 - filled[column.cells[k].row]
                filled[column.cells[k].row] = 1
    return missing == 0

cdef void find_constants(Crush* crush, const Doc* doc, Table* table) noexcept nogil:
    """Tell constant columns from the others. If a row would be left without cells, the first constant is an ordinary column."""
    cdef int32_t i
    for i in range(table.width):
        table.columns[i].constant = is_constant(crush, doc, table.columns + i, table.rows)
    if every_row_has_cells(table):
        return
    for i in range(table.width):
        if table.columns[i].constant:
            table.columns[i].constant = False
            return

cdef void put_columns(Crush* crush, const Doc* doc, const Table* table) noexcept nogil:
    """Append the columns of the head, the values of constants with them, and LF."""
    cdef Buffer* out = &crush.out
    cdef const Column* column
    cdef int32_t i
    for i in range(table.width):
        column = table.columns + i
        if i:
            buffer_byte(out, 0x09)
        buffer_put(out, column.path, column.path_size)
        if column.constant:
            buffer_byte(out, 0x3D)
            put_cell(crush, doc, column.cells[0].node)
    buffer_byte(out, 0x0A)

cdef inline void put_cell(Crush* crush, const Doc* doc, int32_t node) noexcept nogil:
    """Append a cell; a string of several lines goes below the row."""
    cdef const Node* value = doc.nodes + node
    cdef Text text
    if value.kind > KIND_STRING:
        put_raw(doc, node, &crush.out)
    elif value.kind < KIND_STRING:
        put_flow(crush, doc, node)
    else:
        text = text_of(doc.data, value, &crush.scratch)
        if text_is_block(text):
            put_lines(text, put_mark(text, &crush.out), &crush.below)
        else:
            put_string(text, PLACE_CELL, &crush.out)

cdef bint put_row(Crush* crush, const Doc* doc, Column* columns, int32_t width, int32_t row) noexcept nogil:
    """Append the cells of a record and the texts below them; whether there was an empty cell."""
    cdef Column* column = columns
    cdef Column* end = columns + width
    cdef bint gaps = False
    crush.below.size = 0
    while column < end:
        if column > columns:
            buffer_byte(&crush.out, 0x09)
        if column.at < column.count and column.cells[column.at].row == row:
            put_cell(crush, doc, column.cells[column.at].node)
            column.at += 1
        else:
            gaps = True
        column += 1
    buffer_byte(&crush.out, 0x0A)
    buffer_put(&crush.out, crush.below.data, crush.below.size)
    return gaps

cdef int32_t drop_constants(Table* table) noexcept nogil:
    """Keep the columns that vary only; their number."""
    cdef int32_t i, kept = 0
    for i in range(table.width):
        if not table.columns[i].constant:
            table.columns[kept] = table.columns[i]
            kept += 1
    table.width = kept
    return kept

cdef void put_rows(Crush* crush, const Doc* doc, Table* table, int indent, Py_ssize_t head, Py_ssize_t head_size) noexcept nogil:
    """Append the rows, or those that are kept. `head`: where in the text the columns stand, for the part."""
    cdef Row* rows = NULL
    cdef Py_ssize_t start = crush.out.size
    cdef int32_t row
    cdef bint gaps, any_gaps = False
    drop_constants(table)
    if crush.omit and table.rows >= OMIT_ROWS:
        rows = <Row*>arena_take(table.arena, table.rows * sizeof(Row))
    for row in range(table.rows):
        put_indent(indent, &crush.out)
        gaps = put_row(crush, doc, table.columns, table.width, row)
        any_gaps |= gaps
        if rows != NULL:
            rows[row].end = crush.out.size - start
            rows[row].gaps = gaps
            rows[row].kept = False
    crush.gaps |= any_gaps
    if rows == NULL or crush.out.failed or estimate_tokens(crush.out.data + start, crush.out.size - start) < OMIT_TOKENS:
        return
    if choose_rows(table, rows, &crush.needles):
        leave_out(crush, table, rows, start, indent, head, head_size)

cdef bint put_table(Crush* crush, const Doc* doc, int32_t array, const char* before, int indent) noexcept nogil:
    """Append an array as a table whose rows stand at an indent, if it is one; `before`: what stands before its head."""
    cdef Table table
    cdef Py_ssize_t head
    cdef bint fits
    table.data = doc.data
    table.nodes = doc.nodes
    table.arena = &crush.arena
    table.scratch = &crush.scratch
    table.spelled = &crush.other
    fits = table_columns(&table, array)
    if fits:
        find_constants(crush, doc, &table)
        buffer_text(&crush.out, before)
        buffer_byte(&crush.out, 0x5B)
        put_int(table.rows, &crush.out)
        buffer_text(&crush.out, b"]: ")
        head = crush.out.size
        put_columns(crush, doc, &table)
        put_rows(crush, doc, &table, indent, head, crush.out.size - head)
    arena_reset(&crush.arena)
    return fits
