# One table: its head with what it says about the rows, what is said once, the rows and what stands below them.
#
# What other files use:
#   void table_open(Crush*, doc, Table*)
#   void put_records(Crush*, doc, Table*, ...)     head, what is said once, rows: of a table whose columns are known
#   void put_rows(Crush*, doc, Table*, ...)        the rows only, or those that are kept; then `width` is that of the rows
#   void put_next(...), void seek_row(Table*, row) the next row; which that is

# Rows that were left out of one table.
cdef struct Part:
    Py_ssize_t start  # span in Crush.parts
    Py_ssize_t end
    int32_t rows
    bint gaps
    int style  # of the text that the table stands in

# The first rows of a table, written before it is known which of them stay.
cdef struct Drawn:
    Buffer text
    int32_t rows
    Buffer ends  # of Py_ssize_t: where each row of several cells ends; negative if one of them is empty

# Everything one call of crush() works with.
cdef struct Crush:
    Buffer out  # the text behind its head, without refs
    Buffer scratch  # a decoded string
    Buffer other  # another one, or a path
    Buffer below  # what stands below the current row
    Buffer parts  # bodies of the parts, one after the other
    Buffer part_list  # of Part
    Buffer marks  # of Py_ssize_t: where in `out` a ref belongs
    Buffer head  # the first line of the text
    Arena arena
    Needles needles
    int strings  # that hold JSON and stand around the value being written
    int style  # of the innermost one, or of the text below the head
    bint gaps  # some cell is empty
    bint stems  # some column has one
    bint said  # some column is said once
    bint raws  # a text has re-laid parts
    int groups  # GROUPS_ bits: what the groups of the text below the head need to be said of them
    bint styled  # a string of JSON stands below the row being written, or written last
    int depth  # most containers open at once in the document being written
    bint omit  # rows may be left out
    bint exact  # the text of an envelope stays as it is, and nothing but an envelope is taken off
    bint anyway  # a form with more tokens will do

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

cdef inline void put_literal(Crush* crush, const Doc* doc, int32_t node) noexcept nogil:
    """Append a number as it is spelled, or a constant in the word that its text has for it."""
    if is_printed(crush.style) and node_kind(doc.nodes, node) > KIND_NUMBER:
        put_printed(doc.data[node_start(doc.nodes, node)], &crush.out)
    else:
        buffer_put(&crush.out, doc.data + node_start(doc.nodes, node), node_size(doc.nodes, node))

cdef void put_columns(Crush* crush, const Doc* doc, Table* table) noexcept nogil:
    """Append the columns of the head, with what they say about the rows, and LF."""
    cdef Buffer* out = &crush.out
    cdef Column* column = table.columns
    cdef Column* end = column + table.width
    while column < end:
        if column > table.columns:
            buffer_byte(out, 0x09)
        buffer_put(out, column.path, column.path_size)
        if column.form == FORM_CONSTANT:
            while column + 1 < end and shares_constant(doc, column):
                column += 1
                buffer_text(out, b", ")
                buffer_put(out, column.path, column.path_size)
            buffer_byte(out, 0x3D)
            put_constant(crush, doc, column.cells[0].node)
        elif column.form == FORM_PLAIN:
            while column + 1 < end and column[1].form == FORM_SAME:
                column += 1
                buffer_text(out, b", ")
                buffer_put(out, column.path, column.path_size)
        elif column.form == FORM_KEY:
            buffer_text(out, b"=(key)")
        elif column.form == FORM_STEM:
            buffer_byte(out, 0x3D)
            put_stem(crush, column, out)
        elif column.form == FORM_SAID:
            crush.said = True
            buffer_byte(out, 0x28)
            put_key(text_of(doc.data, doc.nodes + node_child(doc.nodes, column.cells[0].node), &crush.scratch), out)
            buffer_byte(out, 0x29)
        elif column.form == FORM_TUPLES:
            put_tuple_keys(crush, doc, column)
        column += 1
    buffer_byte(out, 0x0A)

cdef inline bint shares_constant(const Doc* doc, const Column* column) noexcept nogil:
    """Whether the column behind a constant is the same constant."""
    return (
        column[1].form == FORM_CONSTANT
        and node_count(doc.nodes, column.cells[0].node) == 0
        and node_kind(doc.nodes, column.cells[0].node) == node_kind(doc.nodes, column[1].cells[0].node)
        and same_bytes(doc, column.cells[0].node, column[1].cells[0].node)
    )

cdef void put_said(Crush* crush, const Doc* doc, Table* table, int indent, int depth) noexcept nogil:
    """Append the tables of what is said once; nothing is left out of them."""
    cdef Table objects
    cdef const Column* column
    cdef bint omit = crush.omit, gaps = crush.gaps
    cdef int32_t i
    crush.gaps = False
    for i in range(table.width):
        column = table.columns + i
        if column.form == FORM_SAID:
            objects = column.said[0]
            put_indent(indent, &crush.out)
            buffer_put(&crush.out, column.path, column.path_size)
            buffer_text(&crush.out, b" [")
            put_int(objects.rows, &crush.out)
            buffer_text(&crush.out, b"]: ")
            put_columns(crush, doc, &objects)
            crush.omit = False
            put_rows(crush, doc, &objects, indent + 1, depth + column.depth, 0)
            crush.omit = omit
    table.gaps = crush.gaps
    crush.gaps |= gaps

cdef void put_row(Crush* crush, const Doc* doc, Table* table, int32_t row, int indent, int depth) noexcept nogil:
    """Append the cells of a record and what stands below them.

    `indent`: that of the row, not yet written; `depth`: containers the list of records stands in, which counts.
    """
    cdef Column* column = table.columns
    cdef Column* end = column + table.width
    cdef Py_ssize_t below = crush.below.size
    crush.styled = False
    put_indent(indent, &crush.out)
    if table.keys != NULL:
        put_string(text_of(doc.data, doc.nodes + table.keys[row], &crush.scratch), PLACE_TEXT, &crush.out)
        if table.width:
            buffer_byte(&crush.out, 0x09)
    while column < end:
        if column > table.columns:
            buffer_byte(&crush.out, 0x09)
        if column.at < column.count and column.cells[column.at].row == row:
            if column.form == FORM_PLAIN:
                put_cell(crush, doc, column.cells[column.at].node, indent, depth + column.depth)
            else:
                put_formed_cell(crush, doc, column)
            column.at += 1
        else:
            crush.gaps = True
        column += 1
    buffer_byte(&crush.out, 0x0A)
    # Rows are written inside of rows, in what stands below those.
    if crush.below.size > below:
        buffer_put(&crush.out, crush.below.data + below, crush.below.size - below)
        crush.below.size = below

cdef inline bint is_listed(const Table* table) noexcept nogil:
    """Whether every row is one cell, and nothing else."""
    return table.width == 1 and table.keys == NULL and table.groups == NULL and table.columns[0].count == table.rows

cdef inline void put_line(const uint8_t* text, Py_ssize_t size, int indent, Buffer* out) noexcept nogil:
    """Append a line of its own at an indent."""
    cdef Py_ssize_t at
    if buffer_reserve(out, indent + size + 1):
        for at in range(out.size, out.size + indent):
            out.data[at] = 0x20
        copy_bytes(out.data + out.size + indent, text, size)
        out.size += indent + size + 1
        out.data[out.size - 1] = 0x0A

cdef inline void put_listed(Crush* crush, const Doc* doc, Column* column, int32_t row, int indent, int depth) noexcept nogil:
    """Append a row of one cell, and what stands below it."""
    cdef int32_t node = cell_node(column, row)
    cdef uint8_t kind = node_kind(doc.nodes, node)
    cdef Py_ssize_t below
    if column.form == FORM_PLAIN:
        if kind == KIND_NUMBER:
            put_line(doc.data + node_start(doc.nodes, node), node_size(doc.nodes, node), indent, &crush.out)
            return
        if kind == KIND_STRING and is_bare_cell(doc, node):
            put_line(doc.data + node_start(doc.nodes, node) + 1, node_size(doc.nodes, node) - 2, indent, &crush.out)
            return
    below = crush.below.size
    crush.styled = False
    put_indent(indent, &crush.out)
    column.at = row
    if column.form == FORM_PLAIN:
        put_cell(crush, doc, node, indent, depth + column.depth)
    else:
        put_formed_cell(crush, doc, column)
    buffer_byte(&crush.out, 0x0A)
    if crush.below.size > below:
        buffer_put(&crush.out, crush.below.data + below, crush.below.size - below)
        crush.below.size = below

cdef void seek_row(Table* table, int32_t row) noexcept nogil:
    """Make a row the next one to be written, groups aside."""
    cdef Column* column
    cdef int32_t i, low, high, middle
    for i in range(table.width):
        column = table.columns + i
        low = 0
        high = column.count
        while low < high:
            middle = (low + high) // 2
            if cell_row(column, middle) < row:
                low = middle + 1
            else:
                high = middle
        column.at = low

cdef bint drop_constants(Table* table) noexcept nogil:
    """Keep the columns that have cells only, in a new array; False if there is no memory."""
    cdef Column* kept = <Column*>arena_take(table.arena, table.width * sizeof(Column))
    cdef int32_t i, width = 0
    if kept == NULL:
        return False
    for i in range(table.width):
        if table.columns[i].form != FORM_CONSTANT and table.columns[i].form != FORM_SAME and table.columns[i].form != FORM_KEY:
            kept[width] = table.columns[i]
            width += 1
    table.columns = kept
    table.width = width
    return True

cdef void open_groups(Crush* crush, Table* table, int indent) noexcept nogil:
    """Append the line of the group that the next row begins, and those of the empty groups before it."""
    while table.group_left == 0 and table.group < table.group_count:
        table.group_left = table.groups[table.group]
        table.group += 1
        put_indent(indent, &crush.out)
        buffer_byte(&crush.out, 0x5B)
        put_int(table.group_left, &crush.out)
        buffer_text(&crush.out, b"]\n")

cdef inline void put_next(Crush* crush, const Doc* doc, Table* table, int32_t row, int indent, int depth, bint listed) noexcept nogil:
    """Append the next row, one that is `listed` or not."""
    if listed:
        put_listed(crush, doc, table.columns, row, indent, depth)
        return
    if table.groups != NULL:
        open_groups(crush, table, indent)
        table.group_left -= 1
    put_row(crush, doc, table, row, indent, depth)

cdef bint put_some(Crush* crush, const Doc* doc, Table* table, int indent, int depth, Drawn* drawn) noexcept nogil:
    """Append rows until they are worth asking for; False if all of them are not."""
    cdef Py_ssize_t start = crush.out.size, at = start
    cdef Estimate estimate = estimate_open()
    cdef bint listed = is_listed(table), gaps = crush.gaps, worth = False
    cdef Py_ssize_t end
    while drawn.rows < table.rows and not worth:
        crush.gaps = False
        put_next(crush, doc, table, drawn.rows, indent, depth, listed)
        drawn.rows += 1
        if not listed:
            end = start - crush.out.size if crush.gaps else crush.out.size - start
            buffer_put(&drawn.ends, <uint8_t*>&end, sizeof(Py_ssize_t))
        gaps |= crush.gaps
        if crush.out.size - at >= ESTIMATE_PIECE or drawn.rows == table.rows:
            estimate_add(&estimate, crush.out.data + at, crush.out.size - at)
            at = crush.out.size
            worth = at - start >= LARGE_BYTES or estimate_total(&estimate) >= OMIT_TOKENS
    crush.gaps = gaps
    return worth

cdef inline bint put_drawn(Crush* crush, const Drawn* drawn, int32_t row, int margin) noexcept nogil:
    """Append a row as it was written, without so many blanks at its left; False, and nothing, if it has to be written anew."""
    cdef const Py_ssize_t* ends = <const Py_ssize_t*>drawn.ends.data
    cdef const uint8_t* text = drawn.text.data
    cdef Py_ssize_t start, end
    if row >= drawn.ends.size // <Py_ssize_t>sizeof(Py_ssize_t) or drawn.ends.failed or drawn.text.failed:
        return False
    start = margin + (llabs(ends[row - 1]) if row else 0)
    end = llabs(ends[row])
    if margin and memchr(text + start, 0x0A, end - start) != text + end - 1:
        return False
    crush.gaps |= ends[row] < 0
    buffer_put(&crush.out, text + start, end - start)
    return True

cdef void put_rest(Crush* crush, const Doc* doc, Table* table, int32_t row, int indent, int depth) noexcept nogil:
    """Append the rows from one on, and the lines of the empty groups behind them."""
    cdef bint listed = is_listed(table)
    for row in range(row, table.rows):
        put_next(crush, doc, table, row, indent, depth, listed)
    open_groups(crush, table, indent)

cdef void put_rows(Crush* crush, const Doc* doc, Table* table, int indent, int depth, Py_ssize_t head) noexcept nogil:
    """Append the rows, or those that are kept. `head`: where in the text the head goes on behind the count, for the part."""
    # Rows are chosen by their values, before they are written; only whether there is enough to choose from shows in the text.
    cdef Py_ssize_t start = crush.out.size
    cdef int32_t written = 0
    cdef Drawn drawn
    # These rows may stand below another, which is still being written.
    cdef bint styled = crush.styled
    if not drop_constants(table):
        return
    if crush.omit and table.rows >= OMIT_ROWS:
        memset(&drawn, 0, sizeof(Drawn))
        written = table.rows
        if put_some(crush, doc, table, indent, depth, &drawn):
            written = leave_out(crush, doc, table, start, &drawn, indent, depth, head)
        crush.out.failed |= drawn.text.failed or drawn.ends.failed
        buffer_close(&drawn.text)
        buffer_close(&drawn.ends)
    put_rest(crush, doc, table, written, indent, depth)
    crush.styled = styled

cdef void table_open(Crush* crush, const Doc* doc, Table* table) noexcept nogil:
    """A table without columns, of values in a text."""
    memset(table, 0, sizeof(Table))
    table.data = doc.data
    table.nodes = doc.nodes
    table.arena = &crush.arena
    table.scratch = &crush.scratch
    table.spelled = &crush.other
    table.printed = is_printed(crush.style)

cdef void put_records(Crush* crush, const Doc* doc, Table* table, int indent, int depth, Py_ssize_t head) noexcept nogil:
    """Append the columns of a table, LF, what is said once and the rows. `head`: see put_rows."""
    find_forms(table)
    put_columns(crush, doc, table)
    put_said(crush, doc, table, indent, depth)
    put_rows(crush, doc, table, indent, depth, head)
