# Patterns: what neighboring lines have in common, and what differs between them in columns.
#
# What other files use:
#   void pattern_open(Pattern*, Line, mode), pattern_add(Pattern*, Line, mode)     compare lines
#   void plan_pattern(Pattern*, Costs*, rows, Plan*)      what of it is worth being said once
#   bint put_plan(Template*, Pattern*, Plan*)             that as the text and holes of a template
#
# A line is split into atoms: words, columns that two blanks or a bar part, or the cells of CSV. The atoms that are the same in all
# lines looked at are the text; what differs stands in columns; what comes behind the last atom worth it is one column more, the
# rest of the line.

# What is the same in all lines compared. The gap before an atom is blanks, a core that starts and ends with none, and blanks; where
# it is nothing but blanks, they stand on both sides of an empty core.
cdef enum:
    SAME_WORD = 1
    SAME_CORE = 2
    SAME_BEFORE = 4  # blanks before the core
    SAME_BEHIND = 8  # blanks behind it
    SAME_LEFT = 16  # those before it and the word before them, in characters
    SAME_RIGHT = 32  # those behind it and the word behind them
    SAME_BOTH = 64  # blanks, and the words on both sides
    SAME_ALL = 127
    SAME_GAP = SAME_CORE | SAME_BEFORE | SAME_BEHIND

# A line, and what those compared with it share.
cdef struct Pattern:
    Line line
    Atom atoms[ATOM_LIMIT]
    uint8_t same[ATOM_LIMIT]
    int32_t widest[ATOM_LIMIT]  # in characters
    int32_t least[ATOM_LIMIT]  # blanks before it
    int count
    bint whole  # all have that many atoms, and nothing else behind them
    Py_ssize_t tail  # bytes at the end that are the same

# Text of a head, and the hole behind it.
cdef struct Piece:
    Py_ssize_t start  # in the template's text
    Py_ssize_t size
    int32_t width  # of the column, in characters; 0: as wide as the cell
    bint right  # the blanks stand before the cell
    int joined  # cells of CSV behind the first that stand in this hole, too
    bint phrase  # several words

cdef struct Template:
    uint8_t text[TEXT_BYTES]
    Py_ssize_t size
    Piece pieces[HOLE_LIMIT + 1]  # the last one has no hole behind it
    int holes
    int lines  # of one record
    int mode
    bint weak  # it saves little in the lines that it was chosen by

# Comparing lines

cdef inline bint is_blank(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether there are blanks, and nothing else."""
    cdef Py_ssize_t i
    for i in range(size):
        if data[i] != 0x20:
            return False
    return size > 0

cdef void pattern_open(Pattern* pattern, Line line, int mode) noexcept nogil:
    """Of one line, which is like itself."""
    cdef int i
    pattern.line = line
    pattern.count = split_line(line, mode, pattern.atoms)
    pattern.whole = pattern.count < ATOM_LIMIT and line.size < LINE_BYTES
    pattern.tail = line.size
    memset(pattern.same, SAME_ALL, pattern.count)
    for i in range(pattern.count):
        pattern.widest[i] = pattern.atoms[i].width
        pattern.least[i] = pattern.atoms[i].before

cdef inline bint equal_bytes(const uint8_t* one, Py_ssize_t size, const uint8_t* other, Py_ssize_t length) noexcept nogil:
    return size == length and memcmp(one, other, size) == 0

cdef inline uint8_t compare_atom(const uint8_t* data, const Atom* atoms, const uint8_t* other, const Atom* others, int i) noexcept nogil:
    """What is the same of an atom and the gap before it in two lines."""
    cdef const Atom* atom = atoms + i
    cdef const Atom* like = others + i
    cdef int32_t width = atoms[i - 1].width if i else 0, width_like = others[i - 1].width if i else 0
    cdef uint8_t same = 0
    if equal_bytes(data + atom.start, atom.end - atom.start, other + like.start, like.end - like.start):
        same |= SAME_WORD
    if equal_bytes(data + gap_start(atoms, i) + atom.before, atom.core, other + gap_start(others, i) + like.before, like.core):
        same |= SAME_CORE
    if atom.before == like.before:
        same |= SAME_BEFORE
    if atom.behind == like.behind:
        same |= SAME_BEHIND
    if width + atom.before == width_like + like.before:
        same |= SAME_LEFT
    if atom.behind + atom.width == like.behind + like.width:
        same |= SAME_RIGHT
    if width + atom.before + atom.width == width_like + like.before + like.width:
        same |= SAME_BOTH
    return same

cdef void pattern_add(Pattern* pattern, Line line, int mode) noexcept nogil:
    """Compare with one line more."""
    cdef Atom atoms[ATOM_LIMIT]
    cdef int count = split_line(line, mode, atoms), i
    cdef Py_ssize_t tail = 0
    cdef const uint8_t* end = line.data + line.size - 1
    cdef const uint8_t* own = pattern.line.data + pattern.line.size - 1
    pattern.whole = pattern.whole and count == pattern.count and line.size < LINE_BYTES
    if count < pattern.count:
        pattern.count = count
    for i in range(pattern.count):
        pattern.same[i] &= compare_atom(line.data, atoms, pattern.line.data, pattern.atoms, i)
        if atoms[i].width > pattern.widest[i]:
            pattern.widest[i] = atoms[i].width
        if atoms[i].before < pattern.least[i]:
            pattern.least[i] = atoms[i].before
    while tail < pattern.tail and tail < line.size and (end - tail)[0] == (own - tail)[0]:
        tail += 1
    pattern.tail = tail

# What comes of it

cdef enum:
    TEXT_AS_IT_IS = 0
    HOLE_PLAIN = 1
    HOLE_LEFT = 2
    HOLE_RIGHT = 3

# How many atoms of a pattern are used, and as what.
cdef struct Plan:
    uint8_t kind[ATOM_LIMIT]
    bint left[ATOM_LIMIT]  # blanks before the core of the gap belong to the column before it
    bint right[ATOM_LIMIT]  # those behind it to the column behind it
    bint joins[ATOM_LIMIT]  # it stands in the same hole as the atom before it, and the gap with it
    int32_t width[ATOM_LIMIT]
    int count
    bint rest  # what stands behind them is one more hole
    bint blank  # which starts behind a blank, in the middle of a gap
    bint more  # there is an atom where they end
    Py_ssize_t tail  # bytes of text behind that
    int64_t gain

# What the atoms of a line cost, with and without the gap before them, added up.
cdef struct Costs:
    int64_t gap[ATOM_LIMIT + 1]
    int64_t word[ATOM_LIMIT + 1]

cdef int64_t cost_of(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """What the estimate adds up for it."""
    cdef Estimate estimate = estimate_open()
    estimate_add(&estimate, data, size)
    return <int64_t>estimate.sum

cdef void costs_of(const Pattern* pattern, Costs* costs) noexcept nogil:
    """What each atom and the gap before it cost on the pattern's line."""
    cdef Estimate estimate = estimate_open()
    cdef Py_ssize_t gap
    cdef uint64_t before
    cdef int i
    for i in range(pattern.count):
        before = estimate.sum
        gap = gap_start(pattern.atoms, i)
        estimate_add(&estimate, pattern.line.data + gap, pattern.atoms[i].start - gap)
        costs.gap[i] = <int64_t>(estimate.sum - before)
        before = estimate.sum
        estimate_add(&estimate, pattern.line.data + pattern.atoms[i].start, pattern.atoms[i].end - pattern.atoms[i].start)
        costs.word[i] = <int64_t>(estimate.sum - before)

cdef inline bint is_column(const Plan* plan, int i) noexcept nogil:
    """Whether an atom is alone in a hole that may get a width."""
    return plan.kind[i] == HOLE_PLAIN and not plan.joins[i]

cdef bint plan_blanks(const Pattern* pattern, Plan* plan, int i) noexcept nogil:
    """Say to which columns the blanks before an atom belong, where they differ; False if that is not to be told."""
    cdef const Atom* atom = pattern.atoms + i
    cdef uint8_t same = pattern.same[i]
    cdef int32_t before = pattern.atoms[i - 1].width if i else 0
    # One blank is between two columns.
    if i and same & SAME_LEFT and is_column(plan, i - 1):
        plan.left[i] = True
        plan.width[i - 1] = before + atom.before - 1
    elif same & SAME_WORD:
        return False
    elif same & SAME_RIGHT:
        plan.right[i] = True
        plan.width[i] = atom.before + atom.width - (i > 0)
    elif i and same & SAME_BOTH and is_column(plan, i - 1):
        plan.left[i] = plan.right[i] = True
        plan.width[i - 1] = pattern.widest[i - 1]
        plan.width[i] = before + atom.before + atom.width - pattern.widest[i - 1] - 1
    else:
        return False
    return not plan.right[i] or plan.width[i] >= pattern.widest[i]

cdef bint plan_gap(const Pattern* pattern, Plan* plan, int mode, int i) noexcept nogil:
    """Say what the gap before an atom is; False if it differs between the lines and no column's width says how."""
    cdef const Atom* atom = pattern.atoms + i
    cdef uint8_t same = pattern.same[i]
    plan.kind[i] = TEXT_AS_IT_IS if same & SAME_WORD else HOLE_PLAIN
    plan.left[i] = plan.right[i] = False
    # The name of a value is text.
    if i and plan.kind[i - 1] != TEXT_AS_IT_IS and pattern.line.data[atom.start - atom.behind - atom.core] == 0x3D:
        return False
    plan.joins[i] = i > 0 and same & SAME_GAP == SAME_GAP and plan.kind[i] == HOLE_PLAIN and plan.kind[i - 1] == HOLE_PLAIN and (
        atom.start - pattern.atoms[i - 1].end == 1 and (atom.before == 1 if mode == BY_WORDS else mode >= BY_COMMAS)
    )
    if same & SAME_GAP != SAME_GAP:
        if not same & SAME_CORE:
            return False
        if atom.core == 0:
            if not plan_blanks(pattern, plan, i):
                return False
        else:
            if not same & SAME_BEFORE:
                if not i or not same & SAME_LEFT or not is_column(plan, i - 1):
                    return False
                plan.left[i] = True
                plan.width[i - 1] = pattern.atoms[i - 1].width + atom.before
            if not same & SAME_BEHIND:
                if not same & SAME_RIGHT or same & SAME_WORD:
                    return False
                plan.right[i] = True
                plan.width[i] = atom.behind + atom.width
        if plan.left[i]:
            plan.kind[i - 1] = HOLE_LEFT
        if plan.right[i]:
            plan.kind[i] = HOLE_RIGHT
    return True

cdef Py_ssize_t tail_of(const Pattern* pattern) noexcept nogil:
    """How many bytes at the end of all lines may stand in the head."""
    cdef Py_ssize_t at = pattern.line.size - pattern.tail
    cdef const uint8_t* data = pattern.line.data
    while at < pattern.line.size and not ATOM_ENDS[data[at]]:
        at += 1
    return pattern.line.size - at if at < pattern.line.size else 0

cdef inline void plan_better(const Pattern* pattern, const Plan* plan, Plan* best, int count, int64_t gain) noexcept nogil:
    """Keep a plan that ends before an atom, if it saves more."""
    if gain > best.gain:
        best[0] = plan[0]
        best.count = count
        best.more = count < pattern.count
        best.gain = gain

cdef inline bint opens_rest(const Pattern* pattern, const Plan* plan, int i) noexcept nogil:
    """Whether a bracket or quote opens before an atom, and the rest of the line closes it."""
    cdef Py_ssize_t start = pattern.atoms[i].start
    return plan.tail == 0 and start > gap_start(pattern.atoms, i) and memchr(b"([{<\"", pattern.line.data[start - 1], 5) != NULL

cdef void plan_pattern(const Pattern* pattern, const Costs* costs, int mode, int rows, Plan* best) noexcept nogil:
    """The plan that saves most in so many lines; `best` has the one to be beaten."""
    cdef Plan plan
    cdef int64_t text = 0, padded = 0, tail = 0, tabs = 0
    cdef int i, holes = 0
    cdef bint fits
    plan.rest = True
    plan.blank = False
    plan.tail = tail_of(pattern)
    if plan.tail:
        tail = cost_of(pattern.line.data + pattern.line.size - plan.tail, plan.tail)
    for i in range(pattern.count):
        fits = plan_gap(pattern, &plan, mode, i)
        # Where there is a blank in all lines, the rest begins behind it.
        if not fits and not (i and pattern.same[i] & SAME_CORE and pattern.atoms[i].before and pattern.least[i]):
            return
        plan.blank = not fits
        if fits:
            padded += PADDING * (plan.left[i] + plan.right[i])
            text += 0 if plan.joins[i] else costs.gap[i] if not plan.left[i] and not plan.right[i] else TOKEN * (pattern.atoms[i].core > 0)
        # The rest of the line may be a hole from here on.
        if plan.blank or (plan.kind[i] == HOLE_PLAIN and not plan.right[i] and not opens_rest(pattern, &plan, i)):
            plan_better(pattern, &plan, best, i, (rows - 1) * (text + tail) + rows * (padded - tabs))
        if plan.blank or holes == HOLE_LIMIT:
            return
        if plan.kind[i] == TEXT_AS_IT_IS:
            text += costs.word[i]
        else:
            holes += 1
            if not plan.joins[i]:
                tabs += PARTING if i + 1 < pattern.count and pattern.atoms[i + 1].core else TOKEN
    if pattern.whole and holes and pattern.tail >= pattern.line.size - gap_start(pattern.atoms, pattern.count):
        plan.rest = False
        # Of two that save as much the one that shows all columns.
        plan_better(pattern, &plan, best, pattern.count, (rows - 1) * text + rows * (padded - tabs + TOKEN) + 1)

# Writing it down

cdef inline bint text_put(Template* t, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Text of a template; False if there is too much of it."""
    if t.size + size > TEXT_BYTES:
        return False
    memcpy(t.text + t.size, data, size)
    t.size += size
    t.pieces[t.holes].size += size
    return True

cdef inline bint hole_put(Template* t, int32_t width, bint right) noexcept nogil:
    """A hole, and the text behind it begins; False if there are too many, or there is no text between two."""
    if t.holes == HOLE_LIMIT or (t.holes and t.pieces[t.holes].size == 0):
        return False
    # Blanks before the first hole belong to it.
    if t.holes == 0 and is_blank(t.text, t.size):
        width += <int32_t>t.size if width else 0
        t.size = t.pieces[0].size = 0
    t.pieces[t.holes].width = width if width > 1 else 0
    t.pieces[t.holes].right = right
    t.holes += 1
    memset(&t.pieces[t.holes], 0, sizeof(Piece))
    t.pieces[t.holes].start = t.size
    return True

cdef inline bint may_end(const Template* t, uint8_t byte) noexcept nogil:
    """Whether text behind the rest of a line may start with it: what ends a word, and closes nothing that was opened in the rest."""
    cdef const Piece* piece = &t.pieces[t.holes]
    if memchr(b")]}>", byte, 4) != NULL:
        return memchr(t.text + piece.start, byte - 1 - (byte != 0x29), piece.size) != NULL
    return ATOM_ENDS[byte]

cdef bint gap_put(Template* t, const Pattern* pattern, const Plan* plan, int i) noexcept nogil:
    """The gap before an atom, but for the blanks that belong to columns; False if it does not fit."""
    cdef const Atom* atom = pattern.atoms + i
    cdef Py_ssize_t start = gap_start(pattern.atoms, i), end = atom.start
    if atom.core == 0 and (plan.left[i] or plan.right[i]):
        return i == 0 or text_put(t, b" ", 1)
    if plan.left[i]:
        start += atom.before
    if plan.right[i]:
        end -= atom.behind
    return text_put(t, pattern.line.data + start, end - start)

cdef bint put_plan(Template* t, const Pattern* pattern, const Plan* plan) noexcept nogil:
    """The text and holes of one line; False if they do not fit."""
    cdef const uint8_t* data = pattern.line.data
    cdef const Atom* atoms = pattern.atoms
    cdef Py_ssize_t start = 0, tail
    cdef int i
    for i in range(plan.count):
        if plan.joins[i]:
            t.pieces[t.holes - 1].joined += t.mode >= BY_COMMAS
            t.pieces[t.holes - 1].phrase |= t.mode == BY_WORDS
            continue
        if not gap_put(t, pattern, plan, i):
            return False
        if plan.kind[i] == TEXT_AS_IT_IS:
            if not text_put(t, data + atoms[i].start, atoms[i].end - atoms[i].start):
                return False
        elif not hole_put(t, 0 if plan.kind[i] == HOLE_PLAIN else plan.width[i], plan.kind[i] == HOLE_RIGHT):
            return False
    start = gap_start(atoms, plan.count)
    if not plan.rest:
        return text_put(t, data + start, pattern.line.size - start)
    if plan.blank:
        if not text_put(t, b" ", 1):
            return False
        start += 1
    elif plan.more and plan.joins[plan.count]:
        start = atoms[plan.count].start
    elif plan.more:
        if not gap_put(t, pattern, plan, plan.count):
            return False
        start = atoms[plan.count].start
    tail = pattern.line.size - start - 1
    tail = plan.tail if plan.tail < tail else tail
    while tail > 0 and not may_end(t, data[pattern.line.size - tail]):
        tail -= 1
    if not (plan.more and plan.joins[plan.count] and not plan.blank) and not hole_put(t, 0, False):
        return False
    return text_put(t, data + pattern.line.size - tail, tail)
