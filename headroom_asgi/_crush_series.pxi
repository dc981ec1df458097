# The numbers of a column, in order of the rows, as integers of one scale: extremes, spikes, clusters of spikes, and where the level
# changes. Integers only, and the windows are fixed blocks of rows: what is found in one place depends on its neighborhood alone.
#
# What other files use:
#   bint fixed_read(data, text, end, value*, decimals*)    a JSON number of `data` as an integer and how many of its digits are decimals
#   void series_open(Series*), series_add(Series*, data, text, end, row)
#   bint series_is_strict(Series*)                         every number greater than the one before, or every one less
#   void series_sign(Series*, Row*)
#   void sign_wild_extremes(Table*, Column*, Row*)         of numbers of any size

cdef enum:
    BLOCK_ROWS = 16
    DECIMAL_LIMIT = 9  # more decimals are cut off
    SPIKE_FACTOR = 10  # spreads (what the middle half of a block spans) away from the middle
    CHANGE_FACTOR = 6  # a steady slope moves by less than five of its spreads in two blocks
    SPIKE_LIMIT = 4  # the sharpest of a column
    CHANGE_LIMIT = 4  # the first ones of a column
    CLUSTER_GAP = 4  # spikes nearer to each other are one cluster

cdef int64_t FIXED_LIMIT = 100000000000000000LL  # 10 ** 17: ten times the difference of two such numbers is still one
cdef int64_t[10] POWERS
POWERS[:] = [1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000]
cdef int64_t[10] LIMITS  # what may be multiplied by that power
LIMITS[:] = [FIXED_LIMIT // POWERS[i] for i in range(10)]

cdef struct Series:
    Arena* arena
    int32_t most  # room
    int64_t* values
    int32_t* rows  # of the numbers; NULL until it is needed
    int32_t count
    int32_t decimals
    bint gaps  # some row has no number; until then the numbers are those of the first rows
    bint wild  # some number is too long

cdef extern from *:
    """
    #include <stdint.h>
    /* Where the lowest byte is of those that have their top bit set. */
    static inline int headroom_lowest_byte(uint64_t marked) { return __builtin_ctzll(marked) >> 3; }

    /* Sixteen numbers in their order: Green's network of sixty comparisons. No branch would be guessed wrong, as there is none. */
    static const unsigned char headroom_network[60][2] = {
        {0, 1}, {2, 3}, {4, 5}, {6, 7}, {8, 9}, {10, 11}, {12, 13}, {14, 15},
        {0, 2}, {1, 3}, {4, 6}, {5, 7}, {8, 10}, {9, 11}, {12, 14}, {13, 15},
        {0, 4}, {1, 5}, {2, 6}, {3, 7}, {8, 12}, {9, 13}, {10, 14}, {11, 15},
        {0, 8}, {1, 9}, {2, 10}, {3, 11}, {4, 12}, {5, 13}, {6, 14}, {7, 15},
        {5, 10}, {6, 9}, {3, 12}, {13, 14}, {4, 8}, {7, 11}, {1, 2},
        {1, 4}, {7, 13}, {2, 8}, {11, 14},
        {2, 4}, {5, 6}, {9, 10}, {11, 13}, {3, 8}, {7, 12},
        {6, 8}, {10, 12}, {3, 5}, {7, 9},
        {3, 4}, {5, 6}, {7, 8}, {9, 10}, {11, 12},
        {6, 7}, {8, 9},
    };
    static inline void headroom_sort_sixteen(int64_t *numbers) {
        int i;
    #if defined(__GNUC__)
    #pragma GCC unroll 60
    #endif
        for (i = 0; i < 60; i++) {
            int64_t *a = numbers + headroom_network[i][0], *b = numbers + headroom_network[i][1];
            int64_t low = *a < *b ? *a : *b, high = *a < *b ? *b : *a;
            *a = low;
            *b = high;
        }
    }
    """
    int lowest_byte "headroom_lowest_byte" (uint64_t) noexcept nogil
    void sort_sixteen "headroom_sort_sixteen" (int64_t*) noexcept nogil

# A block of numbers: the middle one, and what its middle half spans.
cdef struct Block:
    int64_t middle
    int64_t spread

cdef struct Cluster:
    int32_t first  # places in the series
    int32_t last
    int32_t peak
    int64_t height  # in spreads

cdef inline int64_t short_read(const uint8_t* at, const uint8_t* end, int32_t* decimals) noexcept nogil:
    """Read one to eight characters, if they are digits and at most a point, with the bytes before them; else -1."""
    # All at once, as a loop over two or three digits is guessed wrong often. The first character is the lowest byte.
    cdef uint64_t word = little_endian(end - 8), before = (1ULL << 8 * (8 - (end - at))) - 1, point
    word ^= (word ^ 0x3030303030303030ULL) & before
    point = word ^ 0x2E2E2E2E2E2E2E2EULL
    point = (point - 0x0101010101010101ULL) & ~point & 0x8080808080808080ULL
    decimals[0] = 0
    if point:
        # The digits before the point move up to those behind it.
        decimals[0] = 7 - lowest_byte(point)
        before = ((point & -point) >> 7) - 1
        word = (word & ~(before << 8 | 0xFF)) | (word & before) << 8 | 0x30
    if (word & 0xF0F0F0F0F0F0F0F0ULL) != 0x3030303030303030ULL:
        return -1
    if (word + 0x0606060606060606ULL & 0xF0F0F0F0F0F0F0F0ULL) != 0x3030303030303030ULL:
        return -1
    # Neighbors are joined: to pairs of digits, to fours, to the number.
    word = (word & 0x0F0F0F0F0F0F0F0FULL) * (10 << 8 | 1) >> 8
    word = (word & 0x00FF00FF00FF00FFULL) * (100 << 16 | 1) >> 16
    return <int64_t>((word & 0x0000FFFF0000FFFFULL) * (10000ULL << 32 | 1) >> 32)

cdef inline bint fixed_read(
    const uint8_t* data, const uint8_t* at, const uint8_t* end, int64_t* value, int32_t* decimals
) noexcept nogil:
    """Read a JSON number as an integer and a number of decimals (to DECIMAL_LIMIT, the rest cut off); False if it is too long."""
    cdef bint minus = at[0] == 0x2D
    cdef int64_t number
    if end - at - minus <= 8 and end - data >= 8:
        number = short_read(at + minus, end, decimals)
        if number >= 0:
            value[0] = -number if minus else number
            if number == 0:
                decimals[0] = 0
            return True
    return long_read(at, end, value, decimals)

cdef bint long_read(const uint8_t* at, const uint8_t* end, int64_t* value, int32_t* decimals) noexcept nogil:
    """The same of a number of any length and spelling."""
    cdef int64_t number = 0
    cdef int32_t scale = 0, power = 0
    cdef const uint8_t* stop = end if end - at <= 17 else at
    cdef bint minus = at[0] == 0x2D, point = False, down
    at += minus
    # Few digits need no care.
    while at < stop and is_digit(at[0]):
        number = 10 * number + at[0] - 0x30
        at += 1
    if at < stop and at[0] == 0x2E:
        point = True
        at += 1
        stop = at
        while at < end and is_digit(at[0]):
            number = 10 * number + at[0] - 0x30
            at += 1
        scale = <int32_t>(at - stop)
    while at < end and at[0] | 0x20 != 0x65:
        if at[0] == 0x2E:
            point = True
        elif not point or scale < DECIMAL_LIMIT + 8:
            if number >= FIXED_LIMIT // 10:
                # Digits that would be cut off anyway may be many.
                if not point or scale < DECIMAL_LIMIT:
                    return False
            else:
                number = 10 * number + at[0] - 0x30
                scale += point
        at += 1
    if at < end:
        at += 1
        down = at[0] == 0x2D
        at += down or at[0] == 0x2B
        while at < end:
            if power < 1000:
                power = 10 * power + at[0] - 0x30
            at += 1
        scale += power if down else -power
    while scale > DECIMAL_LIMIT and number:
        number //= 10
        scale -= 1
    while scale < 0 and number:
        if number >= FIXED_LIMIT // 10:
            return False
        number *= 10
        scale += 1
    value[0] = -number if minus else number
    decimals[0] = scale if number else 0
    return True

cdef inline void series_open(Series* series) noexcept nogil:
    """No numbers yet, in the room that there is."""
    series.count = series.decimals = 0
    series.gaps = series.wild = False

cdef void series_gap(Series* series) noexcept nogil:
    """From here on the rows of the numbers are noted."""
    cdef int32_t i
    if series.rows == NULL:
        series.rows = <int32_t*>arena_take(series.arena, series.most * sizeof(int32_t))
    series.gaps = series.rows != NULL
    series.wild = not series.gaps
    for i in range(series.count if series.gaps else 0):
        series.rows[i] = i

cdef bint series_scale(Series* series, int32_t decimals) noexcept nogil:
    """Give all numbers more decimals; False if one gets too long."""
    cdef int64_t power = POWERS[decimals - series.decimals], limit = LIMITS[decimals - series.decimals]
    cdef int32_t i
    for i in range(series.count):
        if series.values[i] >= limit or series.values[i] <= -limit:
            return False
        series.values[i] *= power
    series.decimals = decimals
    return True

cdef inline void series_add(Series* series, const uint8_t* data, const uint8_t* text, const uint8_t* end, int32_t row) noexcept nogil:
    """Add a number of `data`; all of them are brought to the same scale."""
    cdef int64_t value = 0, limit
    cdef int32_t decimals = 0
    if series.wild:
        return
    if not fixed_read(data, text, end, &value, &decimals):
        series.wild = True
        return
    if decimals > series.decimals:
        if not series_scale(series, decimals):
            series.wild = True
            return
    else:
        limit = LIMITS[series.decimals - decimals]
        if value >= limit or value <= -limit:
            series.wild = True
            return
        value *= POWERS[series.decimals - decimals]
    if not series.gaps and row != series.count:
        series_gap(series)
        if series.wild:
            return
    series.values[series.count] = value
    if series.gaps:
        series.rows[series.count] = row
    series.count += 1

cdef inline int32_t series_row(const Series* series, int32_t i) noexcept nogil:
    """The row of a number."""
    return series.rows[i] if series.gaps else i

cdef bint series_is_strict(const Series* series) noexcept nogil:
    """Whether every number is greater than the one before, or every one less."""
    cdef int32_t i
    cdef bint rising = True, falling = True
    for i in range(1, series.count):
        rising &= series.values[i - 1] < series.values[i]
        falling &= series.values[i - 1] > series.values[i]
        if not rising and not falling:
            return False
    return True

cdef inline int64_t distance(int64_t a, int64_t b) noexcept nogil:
    return a - b if a > b else b - a

cdef inline int64_t middle_of(int64_t a, int64_t b, int64_t c) noexcept nogil:
    """The one in the middle of three numbers."""
    cdef int64_t low = a if a < b else b, high = b if a < b else a
    return low if c < low else high if c > high else c

cdef inline int64_t spread_of(int64_t a, int64_t b, int64_t middle) noexcept nogil:
    """The greater of two spreads, and at least one sixty-fourth of the level: less is no difference to speak of."""
    cdef int64_t floor = distance(middle, 0) >> 6
    a = a if a > b else b
    a = a if a > floor else floor
    return a if a > 1 else 1

cdef inline Block block_of(const int64_t* values) noexcept nogil:
    """Middle and spread of sixteen numbers."""
    cdef int64_t sorted[BLOCK_ROWS]
    cdef Block block
    memcpy(sorted, values, sizeof(sorted))
    sort_sixteen(sorted)
    block.middle = sorted[BLOCK_ROWS // 2]
    block.spread = sorted[BLOCK_ROWS * 3 // 4 - 1] - sorted[BLOCK_ROWS // 4]
    return block

cdef void keep_cluster(Cluster* best, int* count, Cluster cluster) noexcept nogil:
    """Put a cluster among the highest ones; of equals the first ones stay."""
    cdef int i, lowest = 0
    if count[0] < SPIKE_LIMIT:
        best[count[0]] = cluster
        count[0] += 1
        return
    for i in range(1, SPIKE_LIMIT):
        if best[i].height <= best[lowest].height:
            lowest = i
    if cluster.height > best[lowest].height:
        best[lowest] = cluster

cdef void sign_spikes(const Series* series, const Block* blocks, int32_t count, Row* rows) noexcept nogil:
    """Sign the numbers that are far from the middle of the blocks around them; of neighbors the farthest, the first and the last."""
    # Middle and spread are those in the middle of three blocks, so that a cluster of spikes does not hide itself.
    cdef Cluster best[SPIKE_LIMIT]
    cdef Cluster cluster
    cdef int found = 0, i
    cdef int32_t at, block = -1, left, right
    cdef int64_t middle = 0, spread = 1, height
    cluster.first = -1
    for at in range(series.count):
        if at // BLOCK_ROWS > block and block + 1 < count:
            block = at // BLOCK_ROWS
            left = block - 1 if block else 2
            right = block + 1 if block + 1 < count else count - 3
            middle = middle_of(blocks[left].middle, blocks[block].middle, blocks[right].middle)
            spread = middle_of(blocks[left].spread, blocks[block].spread, blocks[right].spread)
            spread = spread_of(spread, spread, middle)
        height = distance(series.values[at], middle)
        if height <= SPIKE_FACTOR * spread:
            continue
        height //= spread
        if cluster.first >= 0 and at - cluster.last <= CLUSTER_GAP:
            cluster.last = at
            if height > cluster.height:
                cluster.height = height
                cluster.peak = at
            continue
        if cluster.first >= 0:
            keep_cluster(best, &found, cluster)
        cluster.first = cluster.last = cluster.peak = at
        cluster.height = height
    if cluster.first >= 0:
        keep_cluster(best, &found, cluster)
    for i in range(found):
        rows[series_row(series, best[i].peak)].signs |= SIGN_SPIKE
        rows[series_row(series, best[i].first)].signs |= SIGN_CHANGE
        rows[series_row(series, best[i].last)].signs |= SIGN_CHANGE

cdef void sign_changes(const Series* series, const Block* blocks, int32_t count, Row* rows) noexcept nogil:
    """Sign where the level changes, the row before and the row after: blocks on both sides differ by much more than they spread."""
    cdef int32_t block, at, near, found = 0, last = -1
    cdef int64_t before, after, spread
    for block in range(1, count - 1):
        before = blocks[block - 1].middle
        after = blocks[block + 1].middle
        spread = spread_of(blocks[block - 1].spread, blocks[block + 1].spread, before)
        if distance(before, after) <= CHANGE_FACTOR * spread:
            continue
        # The first of three in a row that are nearer to the new level.
        near = 0
        at = (block - 1) * BLOCK_ROWS
        while near < 3 and at < (block + 2) * BLOCK_ROWS:
            near = near + 1 if distance(series.values[at], after) < distance(series.values[at], before) else 0
            at += 1
        at -= near
        if at > 0 and at != last:
            rows[series_row(series, at - 1)].signs |= SIGN_CHANGE
            rows[series_row(series, at)].signs |= SIGN_CHANGE
            last = at
            found += 1
            if found == CHANGE_LIMIT:
                return

cdef void series_sign(const Series* series, Row* rows) noexcept nogil:
    """Sign extremes, spikes and changes of numbers that are all of one scale."""
    cdef int32_t i, least = 0, greatest = 0, count = series.count // BLOCK_ROWS
    cdef Block* blocks
    for i in range(1, series.count):
        if series.values[i] < series.values[least]:
            least = i
        if series.values[i] > series.values[greatest]:
            greatest = i
    rows[series_row(series, least)].signs |= SIGN_EXTREME
    rows[series_row(series, greatest)].signs |= SIGN_EXTREME
    if count < 3:
        return
    blocks = <Block*>arena_take(series.arena, count * sizeof(Block))
    if blocks == NULL:
        return
    for i in range(count):
        blocks[i] = block_of(series.values + BLOCK_ROWS * i)
    sign_spikes(series, blocks, count, rows)
    sign_changes(series, blocks, count, rows)

# A number as its decimal digits, so that numbers of any size compare exactly.
cdef struct Decimal:
    int sign
    int64_t exponent  # of the first digit that is not zero
    const uint8_t* digits  # from that digit on, a point among them
    const uint8_t* end

cdef Decimal read_decimal(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Take a JSON number apart."""
    cdef Decimal number
    cdef const uint8_t* mark = at
    cdef int64_t power = 0
    cdef bint down = False, point = False
    number.sign = 1
    number.exponent = 0
    if at[0] == 0x2D:
        number.sign = -1
        at += 1
    while mark < end and mark[0] | 0x20 != 0x65:
        mark += 1
    number.end = mark
    if mark < end:
        mark += 1
        down = mark[0] == 0x2D
        mark += down or mark[0] == 0x2B
        while mark < end:
            # Beyond this, more digits change nothing: no text is long enough to make up for it.
            if power < 1000000000000LL:
                power = 10 * power + mark[0] - 0x30
            mark += 1
    while at < number.end and (at[0] == 0x30 or at[0] == 0x2E):
        number.exponent -= point
        point |= at[0] == 0x2E
        at += 1
    number.digits = at
    if at == number.end:
        number.sign = 0
    if not point:
        while at < number.end and at[0] != 0x2E:
            number.exponent += 1
            at += 1
    number.exponent += -power if down else power
    return number

cdef inline uint8_t next_digit(const uint8_t** at, const uint8_t* end) noexcept nogil:
    """The next digit of a number; zeros behind the last."""
    cdef uint8_t digit = 0x30
    if at[0] < end and at[0][0] == 0x2E:
        at[0] += 1
    if at[0] < end:
        digit = at[0][0]
        at[0] += 1
    return digit

cdef bint is_less(Decimal a, Decimal b) noexcept nogil:
    """Whether one number is less than another."""
    cdef uint8_t x, y
    if a.sign != b.sign or a.sign == 0:
        return a.sign < b.sign
    if a.exponent != b.exponent:
        return (a.exponent < b.exponent) == (a.sign > 0)
    while a.digits < a.end or b.digits < b.end:
        x = next_digit(&a.digits, a.end)
        y = next_digit(&b.digits, b.end)
        if x != y:
            return (x < y) == (a.sign > 0)
    return False

cdef void sign_wild_extremes(const Table* table, const Column* column, Row* rows) noexcept nogil:
    """Sign the first row with the least and the first with the greatest number of a column of numbers (null aside) of any size."""
    cdef int32_t i, least = -1, greatest = -1
    cdef Decimal number, low, high
    cdef int32_t node
    for i in range(column.count):
        node = cell_node(column, i)
        if node_kind(table.nodes, node) == KIND_NULL:
            continue
        if node_kind(table.nodes, node) != KIND_NUMBER:
            return
        number = read_decimal(table.data + node_start(table.nodes, node), table.data + node_end(table.nodes, node))
        if least < 0 or is_less(number, low):
            least = i
            low = number
        if greatest < 0 or is_less(high, number):
            greatest = i
            high = number
    if least >= 0:
        rows[cell_row(column, least)].signs |= SIGN_EXTREME
        rows[cell_row(column, greatest)].signs |= SIGN_EXTREME
