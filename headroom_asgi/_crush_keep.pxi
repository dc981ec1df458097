# Which rows of a large table stay when the rest may be left out. Fixed rules on the values: what shows in a row decides, not its share.
#
# The budget is a sixteenth of the rows, but 24 at least and 60 at most; rows that hold a needle come on top (as many as 40), and so do
# runs too short for a marker. First and last rows take 12 of it. Of the rest every kind of sign may take a quarter, then the more
# important signs take what is left; within a sign the first rows win.
#
# What a longer array does not change: a row that was kept stays kept if the rows behind it bear no sign of their own, save the last
# rows, and those that were kept because a run was short. The budget only grows with the rows. Signs are given up in three cases: more
# than TALLY_ROWS rows of a column share an error word or a needle (a few of the first stay), a column turns out to have more values
# than kinds of something, or a value turns out not to be rare.
#
# What other files use:
#   int32_t choose_rows(Table*, Row*, Needles*)  mark the rows to keep, say what the columns hold; how many are left out, 0 if too few
#   bint repays(bytes, runs, all)                whether that is worth it

cdef enum:
    # Below, first and last rows and what stands out are half of the table already.
    OMIT_ROWS = 24
    # About what it costs to ask for the rows: the call, the answer's frame, the prompt read once more at a tenth of its price.
    OMIT_TOKENS = 2500
    LARGE_BYTES = 16 * OMIT_TOKENS  # as hardly a token has 16 bytes, these need not be estimated
    KEEP_FIRST = 8
    KEEP_LAST = 4
    KEEP_LEAST = 24
    KEEP_MOST = 60
    KEEP_SHARE = 16
    KEEP_NEEDLES = 40  # on top of those
    KEEP_RUN = 4  # the marker is as long as a few rows; shorter runs stay
    MARKER_BYTES = 160  # with its summary
    COVER_FIRST = 64  # this row, and each with twice the number of the one before
    START_BYTES = 24  # where the first word of a text is looked for, and so much of it; texts with the same one are of one kind
    PLACE_LETTERS = 3
    PLACE_DIGITS = 7
    SHEET_SHARE = 3  # of a sheet's cells one in so many at least goes on in the line of the one before
    STEADY_RUN = 16  # a value that so many rows had is a state; another one that a few have is a change of it

# What the values of a column are, for the summary.
cdef enum:
    HOLDS_TEXT = 0
    HOLDS_ORDER = 1  # ids, numbers or times, each greater than the one before or each less
    HOLDS_TIME = 2
    HOLDS_NUMBERS = 3
    HOLDS_LABELS = 4  # numbers whose mean says nothing
    HOLDS_VALUES = 5  # few different ones
    HOLDS_CELLS = 6  # the places of a sheet's cells: a row is no record, and the others do not speak for it

# What is learned of one column, cell by cell.
cdef struct Look:
    Kinds values
    Kinds starts  # first words
    Tally errors  # by the meaning of the column's name
    Series series
    int meaning
    int32_t numbers
    int32_t strings
    int32_t nulls
    const uint8_t* before  # the last string
    Py_ssize_t before_size
    bint rising  # strings only: longer ones are greater
    bint falling
    bint digits  # every string holds one
    bint times  # every string is a time of the same spelling
    bint places  # every string is the place of a cell in a sheet
    int32_t lines  # of the sheet
    const uint8_t* place  # the last one
    Py_ssize_t place_size
    Py_ssize_t place_letters
    int32_t run  # cells in a row with the last value
    int32_t state  # the kind that lasted, or -1
    int32_t changed  # the first cell of another kind behind it
    int32_t changes

cdef inline bint is_time(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Whether a text begins as 2026-05-01 and, if it goes on, T10:00."""
    if size < 10 or size > 40 or text[4] != 0x2D or text[7] != 0x2D or not is_digit(text[0]) or not is_digit(text[8]):
        return False
    return size == 10 or (size >= 16 and (text[10] == 0x54 or text[10] == 0x20) and text[13] == 0x3A)

cdef inline bint is_offset(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Whether a time ends with an offset from UTC: times with different ones cannot be compared as texts."""
    return size >= 22 and (text[size - 6] == 0x2B or text[size - 6] == 0x2D)

cdef void look_order(Look* look, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Compare a string with the one before."""
    cdef Py_ssize_t i = size
    cdef int order
    if look.times:
        look.times = is_time(text, size) and (look.before == NULL or size == look.before_size)
        if look.times and look.before != NULL and is_offset(text, size):
            look.times = memcmp(text + size - 6, look.before + size - 6, 6) == 0
    if look.rising or look.falling:
        while i > 0 and not is_digit(text[i - 1]):
            i -= 1
        if look.before != NULL:
            order = 1 if size > look.before_size else -1 if size < look.before_size else memcmp(text, look.before, size)
            look.rising &= order > 0
            look.falling &= order < 0
        if i == 0:
            look.rising = look.falling = False
    look.before = text
    look.before_size = size

cdef void look_place(Look* look, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """See whether a string is the place of another cell, as B12, and whether the line of cells goes on."""
    cdef Py_ssize_t letters = 0, end
    while letters < size and letters < PLACE_LETTERS and is_upper(text[letters]):
        letters += 1
    end = letters
    while end < size and end - letters < PLACE_DIGITS and is_digit(text[end]):
        end += 1
    look.places = letters > 0 and end == size and end > letters and text[letters] != 0x30
    if not look.places:
        return
    if look.place_size == size and memcmp(look.place, text, size) == 0:
        look.places = False
    elif (
        look.place_size - look.place_letters != size - letters
        or memcmp(look.place + look.place_letters, text + letters, size - letters) != 0
    ):
        look.lines += 1
    look.place = text
    look.place_size = size
    look.place_letters = letters

cdef void look_state(Look* look, int32_t cell, int32_t same, const Column* column, Row* rows) noexcept nogil:
    """Sign where one value that lasted gives way to another that lasts. `same`: the kind of the cell before."""
    cdef int32_t now = look.values.same
    if now == same and cell:
        look.run += 1
    else:
        if look.run >= STEADY_RUN:
            look.state = same
            look.changed = cell
        look.run = 1
    if look.run == CLUSTER_GAP and look.state >= 0 and look.state != now and look.changed == cell + 1 - CLUSTER_GAP:
        if look.changes < CHANGE_LIMIT:
            rows[cell_row(column, look.changed - 1)].signs |= SIGN_CHANGE
            rows[cell_row(column, look.changed)].signs |= SIGN_CHANGE
        look.changes += 1

cdef void look_inside(Table* table, int32_t node, int32_t row, Needles* needles) noexcept nogil:
    """Look at all strings and numbers of a container. Its keys do not count."""
    cdef int32_t at = node, end = node_next(table.nodes, node)
    while at < end:
        if node_kind(table.nodes, at) == KIND_STRING:
            if not node_flags(table.nodes, at) & NODE_KEY:
                look_string(table, at, row, needles)
        elif node_kind(table.nodes, at) == KIND_NUMBER:
            needles_whole(needles, table.data + node_start(table.nodes, at), node_size(table.nodes, at), row)
        at = node_step(table.nodes, at)

cdef inline Py_ssize_t look_string(Table* table, int32_t node, int32_t row, Needles* needles) noexcept nogil:
    """Look at a string; whether it has no escape."""
    cdef const uint8_t* text = table.data + node_start(table.nodes, node)
    cdef Py_ssize_t size = node_size(table.nodes, node)
    if not node_flags(table.nodes, node) & NODE_ESCAPED:
        needles_look(needles, text + 1, size - 2, row)
        return True
    table.scratch.size = 0
    string_decode(text, text + size, table.scratch)
    needles_look(needles, table.scratch.data, table.scratch.size, row)
    return False

cdef void look_at(Table* table, Look* look, int32_t node, int32_t row, Needles* needles) noexcept nogil:
    """Learn from one cell."""
    cdef uint8_t kind = node_kind(table.nodes, node)
    cdef const uint8_t* text = table.data + node_start(table.nodes, node)
    cdef Py_ssize_t size = node_size(table.nodes, node), start = 0
    if kind >= KIND_STRING:
        kinds_add(&look.values, text, size, row)
    else:
        look.values.closed = True
    if kind == KIND_NUMBER:
        look.numbers += 1
        series_add(&look.series, table.data, text, text + size, row)
        if needles.count:
            needles_whole(needles, text, size, row)
    elif kind < KIND_STRING:
        look_inside(table, node, row, needles)
    elif kind == KIND_STRING:
        look.strings += 1
        text += 1
        size -= 2
        if look_string(table, node, row, needles):
            if look.rising or look.falling or look.times:
                look_order(look, text, size)
            if look.places:
                look_place(look, text, size)
        else:
            look.rising = look.falling = look.times = look.places = False
        if not look.starts.closed:
            while start < size and start < START_BYTES and not is_letter(text[start]):
                start += 1
            text += start
            size = size - start if size - start < START_BYTES else START_BYTES
            start = 0
            while start < size and is_letter(text[start]):
                start += 1
            kinds_add(&look.starts, text, start, row)
    else:
        look.nulls += kind == KIND_NULL
    if look.meaning & ~NAME_LABEL and tells_error(look.meaning, kind, text, size):
        tally_add(&look.errors, row)

cdef void look_open(Look* look, const Column* column) noexcept nogil:
    """Nothing learned yet."""
    kinds_open(&look.values)
    kinds_open(&look.starts)
    look.errors.count = look.numbers = look.strings = look.nulls = look.run = look.changes = 0
    series_open(&look.series)
    look.meaning = name_meaning(column.path, column.path_size)
    look.before = look.place = NULL
    look.before_size = look.place_size = look.place_letters = look.lines = 0
    look.rising = look.falling = look.times = look.places = True
    look.state = look.changed = -1

cdef void look_column(Table* table, Column* column, Look* look, Row* rows, Needles* needles) noexcept nogil:
    """Sign the rows that stand out in a column, and say what the column holds."""
    cdef int32_t i, same
    cdef bint strict
    for i in range(column.count):
        same = look.values.same
        look_at(table, look, cell_node(column, i), cell_row(column, i), needles)
        if not look.values.closed:
            look_state(look, i, same, column, rows)
    needles_settle(needles, rows)
    tally_sign(&look.errors, rows, SIGN_ERROR)
    kinds_sign(&look.values, SIGN_VALUE, rows)
    column.decimals = <uint8_t>look.series.decimals
    column.numbers = look.series.values if is_listed(table) and look.series.count == column.count else NULL
    column.holds = HOLDS_TEXT
    if look.strings and look.strings == column.count:
        if look.values.closed:
            kinds_sign(&look.starts, SIGN_START, rows)
        strict = look.rising or look.falling
        column.holds = HOLDS_TIME if look.times else HOLDS_ORDER if strict else HOLDS_TEXT
        if look.places and SHEET_SHARE * (column.count - look.lines) >= column.count:
            column.holds = HOLDS_CELLS
    elif look.numbers and look.numbers + look.nulls == column.count:
        if look.series.wild:
            sign_wild_extremes(table, column, rows)
        elif series_is_strict(&look.series):
            column.holds = HOLDS_LABELS if look.nulls else HOLDS_ORDER
        else:
            column.holds = HOLDS_LABELS if look.meaning & NAME_LABEL or is_label(&look.series) else HOLDS_NUMBERS
            if look.values.closed or look.values.count > VALUES_LIMIT:
                series_sign(&look.series, rows)
    if not look.values.closed and look.values.count <= VALUES_LIMIT and column.holds != HOLDS_ORDER and column.holds != HOLDS_TIME:
        if column.holds != HOLDS_NUMBERS or look.values.count <= VALUES_LIMIT // 2:
            column.holds = HOLDS_VALUES

cdef inline bint is_label(const Series* series) noexcept nogil:
    """Whether numbers look like ids or times: whole ones of ten digits and more."""
    return series.decimals == 0 and series.count > 0 and distance(series.values[0], 0) >= 1000000000

cdef bint sign_shapes(const Table* table, Row* rows) noexcept nogil:
    """Sign the first row of every set of keys; more sets than may be kept are not looked for. False if there is no memory."""
    # A row's shape is a digest of its columns among those that not all rows have.
    cdef uint64_t known[KIND_SLOTS]
    cdef uint64_t* shapes = <uint64_t*>arena_take(table.arena, table.rows * sizeof(uint64_t))
    cdef const Column* column
    cdef int32_t i, k, found = 0
    cdef uint32_t slot
    if shapes == NULL:
        return False
    for i in range(table.rows):
        shapes[i] = 14695981039346656037ULL
    for i in range(table.width):
        column = table.columns + i
        if column.count < table.rows:
            for k in range(column.count):
                shapes[column.cells[k].row] = (shapes[column.cells[k].row] ^ (i + 1)) * 1099511628211ULL
    memset(known, 0, sizeof(known))
    for i in range(table.rows):
        slot = shapes[i] & (KIND_SLOTS - 1)
        while known[slot] and known[slot] != shapes[i]:
            slot = (slot + 1) & (KIND_SLOTS - 1)
        if known[slot] == 0:
            known[slot] = shapes[i]
            rows[i].signs |= SIGN_SHAPE
            found += 1
            if found == KEEP_MOST:
                break
    return True

cdef bint sign_rows(Table* table, Row* rows, Needles* needles) noexcept nogil:
    """Sign the rows that stand out, and say what the columns hold. False if all stay: they are cells, or there is no memory."""
    cdef int32_t i
    cdef int64_t* values = <int64_t*>arena_take(table.arena, table.rows * sizeof(int64_t))
    cdef ArenaMark mark = arena_mark(table.arena)
    cdef Look* look = <Look*>arena_take(table.arena, sizeof(Look))
    cdef bint gaps = False, cells = False
    cdef Column keys
    if table.arena.failed or not needles_open(needles):
        return False
    look.series.arena = table.arena
    look.series.values = values
    look.series.rows = NULL
    look.series.most = table.rows
    for i in range(table.width):
        look_open(look, table.columns + i)
        look_column(table, table.columns + i, look, rows, needles)
        gaps |= table.columns[i].count < table.rows
        cells |= table.columns[i].holds == HOLDS_CELLS
    if table.keys != NULL:
        memset(&keys, 0, sizeof(Column))
        keys.cells = <Cell*>arena_take(table.arena, table.rows * sizeof(Cell))
        if keys.cells == NULL:
            return False
        keys.count = table.rows
        for i in range(table.rows):
            keys.cells[i].row = i
            keys.cells[i].node = table.keys[i]
        look_open(look, &keys)
        look_column(table, &keys, look, rows, needles)
        cells |= keys.holds == HOLDS_CELLS
    i = COVER_FIRST
    while i < table.rows:
        rows[i].signs |= SIGN_COVER
        i = 2 * i if i < 1 << 29 else table.rows
    gaps = gaps and not sign_shapes(table, rows)
    # Numbers of a column that is alone are told in the summary as well.
    arena_back(table.arena, mark)
    return not gaps and not cells

cdef int32_t keep_signed(Row* rows, const int32_t* signed, int32_t count, int sign, int32_t most) noexcept nogil:
    """Keep the first of some rows that bear a sign, so many at most; how many there were."""
    cdef int32_t i, kept = 0
    cdef Row* row
    for i in range(count):
        if kept >= most:
            break
        row = rows + signed[i]
        if row.signs & sign and not row.kept:
            row.kept = True
            kept += 1
    return kept

cdef bint keep_rows(Table* table, Row* rows) noexcept nogil:
    """Keep the most important of the rows that bear signs; False if there is no memory."""
    cdef int32_t i, part, count = 0, room = table.rows // KEEP_SHARE
    cdef int sign = SIGN_ERROR
    cdef int32_t* signed
    for i in range(table.rows):
        count += rows[i].signs != 0
    signed = <int32_t*>arena_take(table.arena, count * sizeof(int32_t))
    if signed == NULL:
        return False
    count = 0
    for i in range(table.rows):
        if rows[i].signs:
            signed[count] = i
            count += 1
    keep_signed(rows, signed, count, SIGN_NEEDLE, KEEP_NEEDLES)
    room = (KEEP_LEAST if room < KEEP_LEAST else KEEP_MOST if room > KEEP_MOST else room) - KEEP_FIRST - KEEP_LAST
    part = room // 4
    while sign < SIGN_END:
        room -= keep_signed(rows, signed, count, sign, part if part < room else room)
        sign *= 2
    sign = SIGN_ERROR
    while sign < SIGN_START:
        room -= keep_signed(rows, signed, count, sign, room)
        sign *= 2
    return True

cdef void close_runs(Row* rows, int32_t count) noexcept nogil:
    """Keep the rows of runs that are too short for a marker. The last rows are kept, so every run ends before one that is."""
    cdef int32_t i, k, run = 0
    for i in range(count):
        if rows[i].kept or rows[i].opens:
            if run < KEEP_RUN:
                for k in range(i - run, i):
                    rows[k].kept = True
            run = 0
        run += not rows[i].kept

cdef int32_t choose_rows(Table* table, Row* rows, Needles* needles) noexcept nogil:
    """Mark the rows to keep; how many are left out, 0 if it is less than half of them."""
    cdef int32_t i, group = 0, left = 0, count = table.rows
    memset(rows, 0, count * sizeof(Row))
    rows[0].opens = True
    for i in range(KEEP_FIRST):
        rows[i].kept = True
    for i in range(count - KEEP_LAST, count):
        rows[i].kept = True
    if table.groups != NULL:
        i = 0
        while i < count:
            rows[i].opens = True
            i += table.groups[group]
            group += 1
    if not sign_rows(table, rows, needles) or not keep_rows(table, rows):
        return 0
    close_runs(rows, count)
    for i in range(count):
        left += not rows[i].kept
    return left if 2 * left >= count else 0

cdef inline bint begins_run(const Row* rows, int32_t row) noexcept nogil:
    """Whether a row that is left out is the first of a run."""
    return row == 0 or rows[row - 1].kept or rows[row].opens

cdef inline bint ends_run(const Row* rows, int32_t row, int32_t count) noexcept nogil:
    """Whether a row that is left out is the last of a run."""
    return row + 1 == count or rows[row + 1].kept or rows[row + 1].opens

cdef inline bint repays(Py_ssize_t left, int32_t runs, Py_ssize_t all) noexcept nogil:
    """Whether, markers and all, a third of the bytes is left out. `left`: bytes left out, in so many runs."""
    return 3 * (left - runs * MARKER_BYTES) >= all
