# What the marker of an omission says about its rows: from where to where ids and times go, what numbers there are, how often each
# value occurs. Often that answers the question, and nothing has to be asked for.
#
#   id 1045 to 1256; ts 2026-05-01T10:00:00Z to 2026-05-01T13:31:00Z; latency_ms 3 to 88, mean 21.4; level info ×205, warn ×7
#
# What other files use:
#   void summary_open(Summary*, Table*)
#   void put_summary(Summary*, Crush*, first row, end)      ": ..." or nothing. Calls in order of the rows

cdef enum:
    SUMMARY_COLUMNS = 4
    SUMMARY_ALIKE = 2  # of one kind at first
    SUMMARY_TOKENS = 60  # two times to the millisecond are 42
    SUMMARY_ROWS = 8  # shorter runs say ids and times only
    SUMMARY_VALUES = 6
    SUMMARY_BYTES = 40  # of a name or a value; longer ones are not shown

# The columns that are told, in their order, and how far they have been read.
cdef struct Summary:
    const Table* table
    int32_t columns[SUMMARY_COLUMNS]
    int32_t at[SUMMARY_COLUMNS]
    int32_t count

cdef inline int rank_of(int holds) noexcept nogil:
    """What is told first."""
    if holds == HOLDS_ORDER or holds == HOLDS_TIME:
        return 0
    return 1 if holds == HOLDS_NUMBERS else 2 if holds == HOLDS_VALUES else 3 if holds == HOLDS_LABELS else 4

cdef bint may_stand(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Whether a text may stand in a marker as it is."""
    cdef Py_ssize_t i
    if size > SUMMARY_BYTES:
        return False
    for i in range(size):
        if text[i] < 0x20 or text[i] == 0x3E or text[i] == 0x5C or text[i] == 0x7F:
            return False
    return True

cdef void summary_open(Summary* summary, const Table* table) noexcept nogil:
    """Choose the columns: ids and times, then numbers, then values, then labels; two of each first, and more if there is room."""
    cdef int32_t i, rank, most = SUMMARY_ALIKE, room = SUMMARY_COLUMNS
    cdef int32_t taken[4]
    cdef bint chosen[COLUMN_LIMIT]
    memset(chosen, 0, sizeof(chosen))
    memset(taken, 0, sizeof(taken))
    while most <= SUMMARY_COLUMNS:
        for rank in range(4):
            for i in range(table.width):
                if rank_of(table.columns[i].holds) != rank or chosen[i] or room == 0 or taken[rank] == most:
                    continue
                if may_stand(table.columns[i].path, table.columns[i].path_size):
                    chosen[i] = True
                    taken[rank] += 1
                    room -= 1
        most += SUMMARY_COLUMNS - SUMMARY_ALIKE
    summary.count = 0
    for i in range(table.width):
        if chosen[i]:
            summary.columns[summary.count] = i
            summary.at[summary.count] = 0
            summary.count += 1
    summary.table = table

cdef bint tell_plain(const Table* table, int32_t node, Buffer* out) noexcept nogil:
    """Append a value without its quotes; False, and nothing, if it may not stand in a marker."""
    cdef const uint8_t* text = table.data + node_start(table.nodes, node)
    cdef Py_ssize_t size = node_size(table.nodes, node)
    if table.printed and node_kind(table.nodes, node) > KIND_NUMBER:
        put_printed(text[0], out)
        return True
    if node_kind(table.nodes, node) == KIND_STRING:
        text += 1
        size -= 2
    if not may_stand(text, size):
        return False
    buffer_put(out, text, size)
    return True

cdef bint tell_end(const Table* table, int32_t node, Buffer* out) noexcept nogil:
    """Append a value, with its quotes if it may be several words: what an output says must not read as if we did."""
    cdef const uint8_t* text = table.data + node_start(table.nodes, node)
    cdef Py_ssize_t size = node_size(table.nodes, node), i
    for i in range(size):
        if text[i] == 0x20 or text[i] >= 0x80:
            if not may_stand(text, size):
                return False
            buffer_put(out, text, size)
            return True
    return tell_plain(table, node, out)

cdef bint tell_two(const Table* table, int32_t first, int32_t last, Buffer* out) noexcept nogil:
    """Append the first and the last of some values, or the one that is both."""
    if not tell_end(table, first, out):
        return False
    if first == last:
        return True
    buffer_text(out, b" to ")
    return tell_end(table, last, out)

cdef bint tell_times(const Table* table, const Column* column, int32_t at, int32_t end, Buffer* out) noexcept nogil:
    """Append the earliest and the latest of times of one spelling."""
    cdef int32_t i, first = cell_node(column, at), last = first, node, size = node_size(table.nodes, first)
    for i in range(at + 1, end):
        node = cell_node(column, i)
        if memcmp(table.data + node_start(table.nodes, node), table.data + node_start(table.nodes, first), size) < 0:
            first = node
        elif memcmp(table.data + node_start(table.nodes, node), table.data + node_start(table.nodes, last), size) > 0:
            last = node
    # All of a time is known, so it needs no quotes.
    if not tell_plain(table, first, out):
        return False
    if first == last:
        return True
    buffer_text(out, b" to ")
    return tell_plain(table, last, out)

cdef void tell_mean(int64_t total, int64_t count, int decimals, Buffer* out) noexcept nogil:
    """Append a mean, rounded to three digits or to the unit, whichever is finer; halves away from zero."""
    # total / (count * 10 ** decimals), with as many places as needed. The caller leaves room for a factor of 128.
    cdef int places = 0
    cdef int64_t value = 0, divisor, unit
    if total < 0:
        total = -total
        buffer_byte(out, 0x2D)
    while True:
        if places <= decimals:
            divisor = count * POWERS[decimals - places]
            value = (total + divisor // 2) // divisor
        else:
            value = (total * POWERS[places - decimals] + count // 2) // count
        if value >= 100 or places == decimals + 2 or places == DECIMAL_LIMIT:
            break
        places += 1
    while places and value % 10 == 0:
        value //= 10
        places -= 1
    unit = POWERS[places]
    put_int(value // unit, out)
    if places:
        buffer_byte(out, 0x2E)
        value %= unit
        while places:
            places -= 1
            buffer_byte(out, <uint8_t>(0x30 + value // POWERS[places] % 10))

cdef bint tell_numbers(const Table* table, const Column* column, int32_t at, int32_t end, Buffer* out) noexcept nogil:
    """Append the least and the greatest number, and the mean unless they are labels."""
    cdef int32_t i, node, least = -1, greatest = -1, decimals = 0, numbers = 0
    cdef int64_t value = 0, low = 0, high = 0, total = 0, limit
    cdef const uint8_t* text
    cdef bint mean = column.holds == HOLDS_NUMBERS
    limit = (1LL << 55) // (end - at)
    for i in range(at, end):
        node = cell_node(column, i)
        if column.numbers != NULL:
            value = column.numbers[i]
        elif node_kind(table.nodes, node) != KIND_NUMBER:
            continue
        else:
            text = table.data + node_start(table.nodes, node)
            fixed_read(table.data, text, text + node_size(table.nodes, node), &value, &decimals)
            value *= POWERS[column.decimals - decimals]
        if least < 0 or value < low:
            least = node
            low = value
        if greatest < 0 or value > high:
            greatest = node
            high = value
        mean &= -limit < value < limit
        if mean:
            total += value
        numbers += 1
    if least < 0 or not tell_two(table, least, least if low == high else greatest, out):
        return False
    if mean and low < high:
        buffer_text(out, b", mean ")
        tell_mean(total, numbers, column.decimals, out)
    return True

cdef bint tell_counts(const Table* table, const Column* column, int32_t at, int32_t end, Buffer* out) noexcept nogil:
    """Append how often each value occurs, the most frequent first; beyond a few, the sum of the others."""
    cdef int32_t nodes[VALUES_LIMIT]
    cdef int32_t counts[VALUES_LIMIT]
    cdef int32_t i, k, best, node, found = 0, size, shown = 0, rest = end - at
    cdef const uint8_t* text
    for i in range(at, end):
        node = cell_node(column, i)
        text = table.data + node_start(table.nodes, node)
        size = node_size(table.nodes, node)
        k = 0
        while k < found and not (
            node_size(table.nodes, nodes[k]) == size and memcmp(table.data + node_start(table.nodes, nodes[k]), text, size) == 0
        ):
            k += 1
        if k == found:
            nodes[k] = node
            counts[k] = 0
            found += 1
        counts[k] += 1
    while rest:
        best = 0
        for k in range(1, found):
            if counts[k] > counts[best]:
                best = k
        if shown:
            buffer_text(out, b", ")
        if shown == SUMMARY_VALUES:
            buffer_text(out, b"others \xc3\x97")
            put_int(rest, out)
            return True
        if not tell_value(table, nodes[best], out):
            return False
        buffer_text(out, b" \xc3\x97")
        put_int(counts[best], out)
        rest -= counts[best]
        counts[best] = 0
        shown += 1
    return True

cdef bint tell_value(const Table* table, int32_t node, Buffer* out) noexcept nogil:
    """Append a value, with its quotes unless it is one word."""
    cdef const uint8_t* text = table.data + node_start(table.nodes, node)
    cdef Py_ssize_t size = node_size(table.nodes, node), i
    for i in range(1, size - 1):
        if not (is_token(text[i]) or text[i] == 0x5F or text[i] == 0x2D or text[i] == 0x2E or text[i] == 0x2F):
            if not may_stand(text, size):
                return False
            buffer_put(out, text, size)
            return True
    if size == 2 and text[0] == 0x22:
        buffer_put(out, text, size)
        return True
    return tell_plain(table, node, out)

cdef void tell_name(const Column* column, Buffer* out) noexcept nogil:
    """Append a column's name, in quotes if it is several words."""
    cdef bint several = memchr(column.path, 0x20, column.path_size) != NULL and memchr(column.path, 0x22, column.path_size) == NULL
    if several:
        buffer_byte(out, 0x22)
    buffer_put(out, column.path, column.path_size)
    if several:
        buffer_byte(out, 0x22)

cdef bint tell_column(Summary* summary, int32_t k, int32_t first, int32_t end, Buffer* out) noexcept nogil:
    """Append what one column says of a run of rows; False if there is nothing, or it may not stand there."""
    cdef const Table* table = summary.table
    cdef const Column* column = table.columns + summary.columns[k]
    cdef int32_t at = summary.at[k], stop
    while at < column.count and cell_row(column, at) < first:
        at += 1
    stop = at
    while stop < column.count and cell_row(column, stop) < end:
        stop += 1
    summary.at[k] = stop
    if stop == at or (end - first < SUMMARY_ROWS and rank_of(column.holds)):
        return False
    if column.path_size:
        tell_name(column, out)
        buffer_byte(out, 0x20)
    elif table.width > 1:
        buffer_byte(out, 0x5B)
        put_int(summary.columns[k], out)
        buffer_text(out, b"] ")
    if column.holds == HOLDS_ORDER:
        return tell_two(table, cell_node(column, at), cell_node(column, stop - 1), out)
    if column.holds == HOLDS_TIME:
        return tell_times(table, column, at, stop, out)
    if column.holds == HOLDS_VALUES:
        return tell_counts(table, column, at, stop, out)
    return tell_numbers(table, column, at, stop, out)

cdef void put_summary(Summary* summary, Crush* crush, int32_t first, int32_t end) noexcept nogil:
    """Append what the columns say of a run of rows, a colon before it; nothing where they say nothing, or too much."""
    cdef Buffer* out = &crush.out
    cdef Py_ssize_t start = out.size, piece
    cdef int32_t k
    for k in range(summary.count):
        piece = out.size
        buffer_text(out, b": " if piece == start else b"; ")
        if not tell_column(summary, k, first, end, out) or estimate_tokens(out.data + start, out.size - start) > SUMMARY_TOKENS:
            out.size = piece
