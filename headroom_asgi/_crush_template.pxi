# Templates: lines, or records of several lines, that differ only in what stands in columns below a head.
#
#     [2025-11-14T*] [INFO] *
#      19:30:01.2Z⇥started
#      19:30:04.9Z⇥connected
#
# What other files use:
#   int  template_choose(Window*, Template*, Buffer*, int64_t* gain)     the best one for lines from here on, or 0; what it saves
#   bint template_match(Template*, data, size, Filled*)     whether a line or record is of it, and what stands in its holes
#   void template_put(Template*, Buffer*), cells_put(Template*, Filled*, Buffer*)     the head, a row; without line feeds

cdef enum:
    LOOK_LINES = 16  # by which a template is chosen
    LOOK_RECORDS = 8
    LOOK_LEAST = 3
    RECORD_LINES = 12
    TEMPLATE_GAIN = 6 * TOKEN  # what those looked at must save
    # And of how many tokens one: lines that stay as they are can be compared with those of other texts.
    SHARE = 8
    TABLE_SHARE = 10
    STRONG_SHARE = 5  # one that saves less is looked at again: further down another one may fit
    BY_RECORDS = 256  # beside the ways to split a line

cdef struct Filled:
    const uint8_t* data
    Py_ssize_t size

# Of a line or record

cdef inline Py_ssize_t character_end(const uint8_t* data, Py_ssize_t at, Py_ssize_t size, int32_t count) noexcept nogil:
    """Where so many characters end, or -1 if there are fewer."""
    while count and at < size:
        at += 1
        while at < size and data[at] & 0xC0 == 0x80:
            at += 1
        count -= 1
    return at if count == 0 else -1

cdef Py_ssize_t cell_end(const Template* t, const uint8_t* data, Py_ssize_t at, Py_ssize_t size, const Piece* piece) noexcept nogil:
    """Where a cell as wide as its content ends that starts there, before the text that follows; -1 if that is not there."""
    cdef const Piece* next = piece + 1
    cdef const uint8_t* text = t.text + next.start
    cdef int cells = piece.joined
    cdef Py_ssize_t stop = at + HOLE_BYTES if at + HOLE_BYTES < size else size
    cdef uint8_t sign = 0x2C if t.mode == BY_COMMAS else 0x3B
    cdef const uint8_t* found
    cdef bint quoted = False
    if t.mode >= BY_COMMAS and text[0] == sign:
        while at < stop and (quoted or data[at] != sign or cells):
            cells -= not quoted and data[at] == sign
            quoted ^= data[at] == 0x22
            at += 1
        return at if at < stop else -1
    while at < stop:
        found = <const uint8_t*>memchr(data + at, text[0], stop - at)
        if found == NULL or found - data + next.size > size:
            return -1
        if memcmp(found, text, next.size) == 0:
            return found - data
        at = found - data + 1
    return -1

cdef inline bint cell_fits(const Template* t, const Filled* cell, int number) noexcept nogil:
    """Whether it may stand in a row, and is what the holes are for: not the last one with tabs, a word where words are told apart."""
    cdef const uint8_t* data = cell.data
    cdef Py_ssize_t size = cell.size
    if memchr(data, 0x0A, size) != NULL:
        return False
    if number == t.holes - 1:
        return True
    if memchr(data, 0x09, size) != NULL:
        return False
    if t.mode != BY_WORDS or t.pieces[number].phrase:
        return True
    while number == 0 and size and data[0] == 0x20:
        data += 1
        size -= 1
    return size > 0 and (memchr(data, 0x20, size) == NULL or ((data - 1)[0] == 0x22 and number > 0))

cdef bint template_match(const Template* t, const uint8_t* data, Py_ssize_t size, Filled* cells) noexcept nogil:
    """Whether a line or record is of a template, and what stands in its holes."""
    cdef Py_ssize_t at = 0, end
    cdef const Piece* piece = t.pieces
    cdef const Piece* next
    cdef int i
    cdef int32_t width
    for i in range(t.holes):
        next = piece + 1
        if size - at < piece.size + next.size or memcmp(data + at, t.text + piece.start, piece.size) != 0:
            return False
        at += piece.size
        width = piece.width
        if i == t.holes - 1:
            end = size - next.size
            # A wider cell at the end is as it is.
            if end < at or (width and character_end(data, at, end, width) < 0):
                return False
            width = width if width and character_end(data, at, end, width) == end else 0
        elif width:
            end = character_end(data, at, size, width)
        else:
            end = cell_end(t, data, at, size, piece)
        if end < at:
            return False
        cells[i].data = data + at
        cells[i].size = end - at
        while width and piece.right and cells[i].size and cells[i].data[0] == 0x20:
            cells[i].data += 1
            cells[i].size -= 1
        while width and not piece.right and cells[i].size and cells[i].data[cells[i].size - 1] == 0x20:
            cells[i].size -= 1
        if not cell_fits(t, cells + i, i):
            return False
        # What is wider than its column would lose nothing, but this reader says no.
        if piece.width and width == 0 and piece.right and cells[i].data[0] == 0x20:
            return False
        at = end
        piece = next
    return size - at == piece.size and memcmp(data + at, t.text + piece.start, piece.size) == 0

cdef void cells_put(const Template* t, const Filled* cells, Buffer* out) noexcept nogil:
    """Append a row: a blank, and what stands in the holes."""
    cdef int i
    for i in range(t.holes):
        buffer_byte(out, 0x09 if i else 0x20)
        buffer_put(out, cells[i].data, cells[i].size)

cdef inline void put_signs(uint8_t sign, int32_t count, Buffer* out) noexcept nogil:
    """Append a sign so many times."""
    if count > 0 and buffer_reserve(out, count):
        memset(out.data + out.size, sign, count)
        out.size += count

cdef void template_put(const Template* t, Buffer* out) noexcept nogil:
    """Append the head."""
    cdef const Piece* piece
    cdef Py_ssize_t at
    cdef bint leading = True
    cdef int i
    for i in range(t.holes + 1):
        piece = t.pieces + i
        for at in range(piece.start, piece.start + piece.size):
            leading = leading and t.text[at] == 0x20
            if leading:
                buffer_byte(out, 0x5F)
            elif t.text[at] == 0x0A:
                buffer_text(out, b"\\n")
            else:
                buffer_byte(out, t.text[at])
        leading = False
        if i < t.holes:
            put_signs(0x5F, piece.width - 1 if piece.right else 0, out)
            buffer_byte(out, 0x2A)
            for at in range(piece.joined):
                buffer_text(out, b",*" if t.mode == BY_COMMAS else b";*")
            put_signs(0x5F, 0 if piece.right else piece.width - 1, out)

cdef int template_notes(const Template* t) noexcept nogil:
    """What a reader has to be told about the head."""
    cdef int notes = GROUPS_HOLES if t.holes > 1 or t.pieces[0].joined or t.pieces[t.holes].size else GROUPS_STARTS, i
    if t.lines > 1:
        notes |= GROUPS_RECORDS
    if t.size and t.text[0] == 0x20:
        notes |= GROUPS_WIDTHS
    for i in range(t.holes):
        if t.pieces[i].width:
            notes |= GROUPS_WIDTHS
    return notes

# Choosing one

cdef bint has_sign(const Template* t) noexcept nogil:
    """Whether a sign stands before the only hole: what begins with the same words may be a sentence, or code."""
    cdef Py_ssize_t end = t.size
    while end and t.text[end - 1] == 0x20:
        end -= 1
    return t.holes > 1 or t.pieces[1].size > 0 or (end > 0 and memchr(b":=[](){}|,;>", t.text[end - 1], 12) != NULL)

cdef bint template_fits(const Template* t) noexcept nogil:
    """Whether a head can say it: no * in its text, nor what looks like the width of a hole or a line feed; and worth a head."""
    cdef const Piece* piece
    cdef Py_ssize_t at = 0, end
    cdef int i
    if t.holes == 0 or memchr(t.text, 0x2A, t.size) != NULL:
        return False
    while at < t.size and t.text[at] == 0x20:
        at += 1
    if at < t.size and t.text[at] == 0x5F:
        return False
    for i in range(t.holes + 1):
        piece = t.pieces + i
        end = piece.start + piece.size
        if piece.size and (t.text[piece.start] == 0x5F or (t.text[end - 1] == 0x5F and i < t.holes)):
            return False
        for at in range(piece.start, end - 1):
            if t.text[at] == 0x5C and t.text[at + 1] == 0x6E:
                return False
    return t.mode != BY_WORDS or (has_word(t.text, t.size) and has_sign(t))

cdef int64_t template_gain(Template* t, Window* window, Buffer* scratch) noexcept nogil:
    """What it saves in the lines looked at, scaled to as many as a window of lines has; 0 if there are too few of it."""
    cdef Filled cells[HOLE_LIMIT]
    cdef int at = 0, rows = 0, line, limit = LOOK_LINES if t.lines == 1 else LOOK_RECORDS
    cdef int64_t gain, least, strong
    cdef const uint8_t* start = window.data + window.glances.start
    cdef const uint8_t* end = start
    cdef const Line* last
    scratch.size = 0
    template_put(t, scratch)
    while rows < limit and window_has(window, at + t.lines):
        line = at
        while line < at + t.lines and not stands_alone(window.lines[line]):
            line += 1
        if line < at + t.lines:
            break
        last = &window.lines[at + t.lines - 1]
        if not template_match(t, window.lines[at].data, last.data + last.size - window.lines[at].data, cells):
            break
        buffer_byte(scratch, 0x0A)
        cells_put(t, cells, scratch)
        end = last.data + last.size
        at += t.lines
        rows += 1
    if rows < LOOK_LEAST or scratch.failed:
        return 0
    gain = cost_of(start, end - start)
    least = gain // (SHARE if t.lines > 1 or t.mode == BY_WORDS else TABLE_SHARE)
    strong = gain // STRONG_SHARE
    gain -= cost_of(scratch.data, scratch.size) + TOKEN
    t.weak = gain < strong
    if gain < least:
        return 0
    return gain * LOOK_LINES // at if at > LOOK_LINES else gain

cdef int64_t rows_gain(Template* t, Window* window, Buffer* scratch) noexcept nogil:
    """What more rows of a template save below its head; 0 if there are too few."""
    cdef int64_t gain = template_gain(t, window, scratch)
    if gain == 0:
        return 0
    scratch.size = 0
    template_put(t, scratch)
    return gain + cost_of(scratch.data, scratch.size)

cdef inline bint ends_with(Line line, const char* signs, Py_ssize_t count) noexcept nogil:
    """Whether a line ends with one of these."""
    cdef Py_ssize_t end = line.size
    if end and line.data[end - 1] == 0x0D:
        end -= 1
    return end > 0 and memchr(signs, line.data[end - 1], count) != NULL

cdef inline bint opens_value(Line line) noexcept nogil:
    """Whether it opens a value that goes on below."""
    return ends_with(line, b"{[", 2)

cdef inline bint stands_alone(Line line) noexcept nogil:
    """Whether it is in no group: it opens a value, or says a run of lines (docs/repeats.md)."""
    return opens_value(line) or is_reference(line.data, line.size)

cdef inline bint ends_code(Line line) noexcept nogil:
    """Whether it ends as lines of code do."""
    return ends_with(line, b"{[(;,\\", 6)

cdef bint is_promising(const Pattern* pattern, const Costs* costs, int mode) noexcept nogil:
    """Whether enough is the same in the lines compared so far."""
    cdef int64_t same = pattern.tail * TOKEN // 4
    cdef int i
    for i in range(pattern.count):
        if pattern.same[i] & SAME_WORD:
            same += costs.word[i]
    return (same if mode == BY_WORDS else 2 * same) >= TOKEN

cdef bint template_of_lines(Window* window, int mode, Template* t) noexcept nogil:
    """The template for lines from the first one on, split in one way."""
    cdef Pattern pattern
    cdef Costs costs
    cdef Plan best
    cdef int rows = 1
    best.gain = 0
    pattern_open(&pattern, window.lines[0], mode)
    costs_of(&pattern, &costs)
    while rows < LOOK_LINES and window_has(window, rows + 1):
        if window.lines[rows].size == 0 or opens_value(window.lines[rows]):
            break
        pattern_add(&pattern, window.lines[rows], mode)
        rows += 1
        if not is_promising(&pattern, &costs, mode):
            break
        if rows >= LOOK_LEAST:
            plan_pattern(&pattern, &costs, mode, rows, &best)
    if best.gain == 0:
        return False
    memset(&t.pieces[0], 0, sizeof(Piece))
    t.size = t.holes = 0
    t.lines = 1
    t.mode = mode
    return put_plan(t, &pattern, &best) and template_fits(t)

cdef bint template_of_records(Window* window, int lines, int limit, Template* t) noexcept nogil:
    """The template for records of so many lines, by so many of them at the most."""
    cdef Pattern pattern
    cdef Costs costs
    cdef Plan best
    cdef int records = 1, line, record
    cdef bint same
    while records < limit and window_has(window, (records + 1) * lines):
        records += 1
    if records < LOOK_LEAST:
        return False
    memset(&t.pieces[0], 0, sizeof(Piece))
    t.size = t.holes = 0
    t.lines = lines
    t.mode = BY_COLUMNS  # a cell may be a sentence
    for line in range(lines):
        if ends_code(window.lines[line]) or stands_alone(window.lines[line]) or (line and not text_put(t, b"\n", 1)):
            return False
        pattern_open(&pattern, window.lines[line], BY_WORDS)
        costs_of(&pattern, &costs)
        same = True
        for record in range(1, records):
            pattern_add(&pattern, window.lines[line + record * lines], BY_WORDS)
            same &= equal_bytes(pattern.line.data, pattern.line.size, window.lines[line + record * lines].data,
                               window.lines[line + record * lines].size)
        best.gain = -INT64_MAX
        if not same:
            plan_pattern(&pattern, &costs, BY_WORDS, records, &best)
            if best.gain == -INT64_MAX or not put_plan(t, &pattern, &best):
                return False
        elif not text_put(t, pattern.line.data, pattern.line.size):
            return False
    return template_fits(t)

cdef int record_lines(const Window* window) noexcept nogil:
    """How many lines make a record, by how those of the first one and the next ones begin; 0 if none do."""
    cdef const Glance* glances = window.glances
    cdef int lines, line
    if window.total < 2 or glances[0].beginning == glances[1].beginning:
        return 0
    for lines in range(2, RECORD_LINES + 1):
        if 2 * lines >= window.total:
            return 0
        if glances[0].beginning != glances[lines].beginning or glances[0].beginning != glances[2 * lines].beginning:
            continue
        line = 1
        while line < lines and glances[line].beginning == glances[lines + line].beginning:
            line += 1
        if line == lines:
            return lines if begins_record(glances, lines) else 0
    return 0

cdef bint is_hit(Line line, Py_ssize_t first) noexcept nogil:
    """Whether it is a line of a file with its path or number before it, as searches print it."""
    cdef Py_ssize_t seams[GROUP_SEAMS + 2]
    cdef Py_ssize_t digits = digits_end(line.data, first, line.size)
    if digits > first and digits + 1 < line.size and (line.data[digits] == 0x3A or line.data[digits] == 0x2D):
        return not is_digit(line.data[digits + 1])
    return path_seams(line.data, line.size, seams) > 0 and (seams[0] < 2 or memcmp(line.data + seams[0] - 2, b"::", 2) != 0)

cdef int line_modes(Line line) noexcept nogil:
    """Bits of the ways to split a line, by what stands in it, and of whether a record may begin with it."""
    cdef int commas = 0, semicolons = 0, modes = 1 << BY_WORDS | BY_RECORDS, by = BY_COMMAS
    cdef Py_ssize_t at, size = line.size if line.size < LINE_BYTES else LINE_BYTES, first = 0
    cdef uint8_t byte
    while first < size and line.data[first] == 0x20:
        first += 1
    # JSON has forms of its own.
    if first == size or stands_alone(line) or memchr(b"{}\"", line.data[first], 3) != NULL:
        return 0
    # An element does not begin with the end of another.
    if line.data[first] == 0x3C and first + 1 < size and line.data[first + 1] == 0x2F:
        modes = 1 << BY_WORDS
    if size < GROUP_LEAST:
        return modes & BY_RECORDS
    for at in range(first, size):
        byte = line.data[at]
        commas += byte == 0x2C
        semicolons += byte == 0x3B
        if byte == 0x09 or (byte == 0x20 and at > first and line.data[at - 1] == 0x20) or bar_size(line.data, at, size):
            modes |= 1 << BY_COLUMNS
    if semicolons > commas:
        by = BY_SEMICOLONS
    # What ends like code is code, unless the last cell of a row is empty. The text of a hit stays whole.
    if ends_code(line) or is_hit(line, first):
        modes = 0
    if (commas > 1 or semicolons > 1) and (modes or line.data[line.size - 1] == (0x2C if by == BY_COMMAS else 0x3B)):
        modes |= 1 << by
    return modes

cdef int template_choose(Window* window, Template* best, Buffer* scratch, int64_t* gain) noexcept nogil:
    """The template that saves most in the lines of a window; how many lines a record of it has, or 0 if none is worth it."""
    cdef Template template
    cdef int modes = 0, mode, lines = record_lines(window), limit = LOOK_RECORDS if lines else 0
    cdef int64_t saved
    cdef bint alike = window.total >= LOOK_LEAST and look_alike(window.glances, window.glances + 1, window.glances + 2)
    gain[0] = TEMPLATE_GAIN - 1
    best.lines = 0
    if alike or lines:
        modes = line_modes(window.lines[0]) if window_has(window, 1) else 0
    for mode in range(4):
        if alike and modes >> mode & 1 and template_of_lines(window, mode, &template):
            saved = template_gain(&template, window, scratch)
            if saved > gain[0]:
                gain[0] = saved
                best[0] = template
    while modes & BY_RECORDS and limit:
        if template_of_records(window, lines, limit, &template):
            saved = template_gain(&template, window, scratch)
            if saved > gain[0]:
                gain[0] = saved
                best[0] = template
        limit = LOOK_LEAST if limit > LOOK_LEAST else 0
    return best.lines
