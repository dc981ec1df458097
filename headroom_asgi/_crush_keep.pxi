# Which rows of a large table stay when the rest may be left out. Fixed rules on the values: no share, no percentile, nothing that
# another document or another moment could change.

cdef enum:
    # Below, first and last rows and what stands out are half of the table already.
    OMIT_ROWS = 24
    # About what it costs to ask for the rows: the call, the answer's frame, the prompt read once more at a tenth of its price.
    OMIT_TOKENS = 1200
    KEEP_FIRST = 8
    KEEP_LAST = 4
    KEEP_LIMIT = 60  # what is kept at most, before short runs are closed
    KEEP_RUN = 4  # the marker is as long as a few rows; shorter runs stay
    VALUES_LIMIT = 12  # more values are no longer kinds of something
    VALUE_BYTES = 32

# Why a row is kept, most important first.
cdef enum:
    SIGN_ERROR = 1
    SIGN_NEEDLE = 2
    SIGN_EXTREME = 4
    SIGN_VALUE = 8
    SIGN_SHAPE = 16
    SIGN_END = 32

cdef struct Row:
    Py_ssize_t end  # in bytes from the start of the first row
    uint64_t shape  # digest of the columns it has
    uint8_t signs
    bint gaps
    bint kept

# Words are known by a 64-bit hash of their lower-case letters (FNV-1a).

cdef enum:
    WORD_SLOTS = 128

cdef uint64_t ERROR_WORDS[WORD_SLOTS]
cdef uint64_t WORD_TIMED
cdef uint64_t WORD_OUT

cdef inline uint64_t word_add(uint64_t word, uint8_t letter) noexcept nogil:
    return (word ^ (letter | 0x20)) * 1099511628211ULL

cdef uint64_t word_hash(bytes word) noexcept:
    cdef uint64_t code = 14695981039346656037ULL
    cdef uint8_t letter
    for letter in word:
        code = word_add(code, letter)
    return code

cdef inline bint is_error_word(uint64_t word) noexcept nogil:
    cdef uint32_t slot = word & (WORD_SLOTS - 1)
    while ERROR_WORDS[slot]:
        if ERROR_WORDS[slot] == word:
            return True
        slot = (slot + 1) & (WORD_SLOTS - 1)
    return False

cdef void fill_error_words() noexcept:
    """The table of words that tell of an error."""
    cdef uint32_t slot
    memset(ERROR_WORDS, 0, sizeof(ERROR_WORDS))
    for word in (
        b"error errors exception exceptions fail fails failed failing failure failures fatal critical panic panicked denied"
        b" refused rejected forbidden unauthorized timeout timeouts crash crashed crashes abort aborted traceback unreachable"
        b" unavailable corrupt corrupted overflow killed segfault"
    ).split():
        slot = word_hash(word) & (WORD_SLOTS - 1)
        while ERROR_WORDS[slot]:
            slot = (slot + 1) & (WORD_SLOTS - 1)
        ERROR_WORDS[slot] = word_hash(word)

fill_error_words()
WORD_TIMED = word_hash(b"timed")
WORD_OUT = word_hash(b"out")

cdef inline bint is_upper(uint8_t byte) noexcept nogil:
    return 0x41 <= byte <= 0x5A

cdef inline bint is_lower(uint8_t byte) noexcept nogil:
    return 0x61 <= byte <= 0x7A

cdef bint has_error_word(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Whether a word that tells of an error stands in a text, on its own or as part of a name (payment_failed, ValueError)."""
    cdef uint64_t word, before = 0
    cdef Py_ssize_t i = 0
    while i < size:
        if not is_upper(text[i]) and not is_lower(text[i]):
            i += 1
            continue
        word = 14695981039346656037ULL
        while True:
            word = word_add(word, text[i])
            i += 1
            if i == size or not (is_upper(text[i]) or is_lower(text[i])):
                break
            if is_upper(text[i]) and (is_lower(text[i - 1]) or (i + 1 < size and is_lower(text[i + 1]))):
                break
        if is_error_word(word) or (word == WORD_OUT and before == WORD_TIMED):
            return True
        before = word
    return False

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

cdef void sign_extremes(const Table* table, const Column* column, Row* rows) noexcept nogil:
    """Sign the first row with the least and the first with the greatest number of a column of numbers (null aside)."""
    cdef int32_t i, least = -1, greatest = -1
    cdef Decimal number, low, high
    cdef const Node* node
    for i in range(column.count):
        node = table.nodes + column.cells[i].node
        if node.kind == KIND_NULL:
            continue
        if node.kind != KIND_NUMBER:
            return
        number = read_decimal(table.data + node.start, table.data + node.end)
        if least < 0 or is_less(number, low):
            least = i
            low = number
        if greatest < 0 or is_less(high, number):
            greatest = i
            high = number
    if least >= 0:
        rows[column.cells[least].row].signs |= SIGN_EXTREME
        rows[column.cells[greatest].row].signs |= SIGN_EXTREME

cdef void sign_values(const Table* table, const Column* column, Row* rows) noexcept nogil:
    """Sign the first row of every value of a column with a few short ones."""
    cdef const Node* values[VALUES_LIMIT]
    cdef int32_t firsts[VALUES_LIMIT]
    cdef const Node* node
    cdef int32_t i, k, count = 0
    for i in range(column.count):
        node = table.nodes + column.cells[i].node
        if node.kind < KIND_STRING or node.end - node.start > VALUE_BYTES:
            return
        k = 0
        while k < count and not (
            values[k].end - values[k].start == node.end - node.start
            and memcmp(table.data + values[k].start, table.data + node.start, node.end - node.start) == 0
        ):
            k += 1
        if k == count:
            if count == VALUES_LIMIT:
                return
            values[k] = node
            firsts[k] = column.cells[i].row
            count += 1
    for k in range(count):
        rows[firsts[k]].signs |= SIGN_VALUE

cdef void sign_texts(Table* table, const Column* column, Row* rows, Needles* needles) noexcept nogil:
    """Sign the rows whose cells in a column tell of an error or hold a needle. Keys inside a cell do not count."""
    cdef int32_t i, at
    cdef const Node* node
    cdef const uint8_t* text
    cdef Py_ssize_t size
    cdef uint8_t* signs
    for i in range(column.count):
        signs = &rows[column.cells[i].row].signs
        for at in range(column.cells[i].node, table.nodes[column.cells[i].node].next):
            node = table.nodes + at
            text = table.data + node.start
            size = node.end - node.start
            if node.kind == KIND_STRING and not node.flags & NODE_KEY:
                text += 1
                size -= 2
                if node.flags & NODE_ESCAPED:
                    table.scratch.size = 0
                    string_decode(text - 1, text + size + 1, table.scratch)
                    text = table.scratch.data
                    size = table.scratch.size
                if not signs[0] & SIGN_ERROR and has_error_word(text, size):
                    signs[0] |= SIGN_ERROR
            elif node.kind != KIND_NUMBER:
                continue
            if not signs[0] & SIGN_NEEDLE and needles_hit(needles, text, size):
                signs[0] |= SIGN_NEEDLE

cdef void sign_shapes(Row* rows, int32_t count) noexcept nogil:
    """Sign the first row of every set of keys; more sets than may be kept are not looked for."""
    cdef uint64_t known[2 * KEEP_LIMIT + 8]
    cdef int32_t i, found = 0
    cdef uint32_t slot
    memset(known, 0, sizeof(known))
    for i in range(count):
        slot = rows[i].shape % (2 * KEEP_LIMIT + 8)
        while known[slot] and known[slot] != rows[i].shape:
            slot = (slot + 1) % (2 * KEEP_LIMIT + 8)
        if known[slot] == 0:
            known[slot] = rows[i].shape
            rows[i].signs |= SIGN_SHAPE
            found += 1
            if found == KEEP_LIMIT:
                return

cdef bint choose_rows(Table* table, Row* rows, Needles* needles) noexcept nogil:
    """Mark the rows to keep; False if that leaves less than half of them to leave out."""
    cdef int32_t i, k, run = 0, kept = 0, last = table.rows
    cdef int sign = SIGN_ERROR
    cdef Column* column
    for i in range(last):
        rows[i].shape = 14695981039346656037ULL
        rows[i].signs = 0
        rows[i].kept = i < KEEP_FIRST or i >= last - KEEP_LAST
        kept += rows[i].kept
    for i in range(table.width):
        column = table.columns + i
        for k in range(column.count):
            rows[column.cells[k].row].shape = (rows[column.cells[k].row].shape ^ (i + 1)) * 1099511628211ULL
        sign_texts(table, column, rows, needles)
        sign_extremes(table, column, rows)
        sign_values(table, column, rows)
    sign_shapes(rows, last)
    while sign < SIGN_END:
        for i in range(last):
            if rows[i].signs & sign and not rows[i].kept and kept < KEEP_LIMIT:
                rows[i].kept = True
                kept += 1
        sign *= 2
    # The last rows are kept, so every run ends before one that is.
    for i in range(last):
        if not rows[i].kept:
            run += 1
            continue
        if run < KEEP_RUN:
            for k in range(i - run, i):
                rows[k].kept = True
            kept += run
        run = 0
    return 2 * (last - kept) >= last
