# Atoms: what lines are compared by. A line is split into words, into columns that two blanks, a tab or a bar part, or into the cells
# of CSV.
#
# What other files use:
#   int split_line(Line, mode, Atom*)                     the atoms of a line, measured; how many
#   Py_ssize_t gap_start(Atom*, i)                        where the gap before an atom starts
#   ATOM_ENDS[byte]                                       whether it ends a word

cdef enum:
    ATOM_LIMIT = 32  # of a line
    LINE_BYTES = 400  # of a line that are looked at
    HOLE_LIMIT = 24
    HOLE_BYTES = 512  # of a cell, but the last one
    TEXT_BYTES = 1024  # of a template
    TOKEN = 1024  # in what the estimate adds up
    PADDING = 900  # what blanks cost that fill a column
    PARTING = 600  # what a tab costs beyond the sign that parted two columns

cdef enum:
    BY_WORDS = 0
    BY_COLUMNS = 1
    BY_COMMAS = 2
    BY_SEMICOLONS = 3

cdef struct Atom:
    int32_t start
    int32_t end
    int32_t width  # in characters
    int32_t before  # blanks before the core of the gap before it
    int32_t core  # bytes; 0: the gap is blanks
    int32_t behind  # blanks behind that

# Splitting a line

cdef uint8_t ATOM_ENDS[256]

cdef void template_prepare() noexcept:
    """Mark the bytes that end a word, once, at import."""
    cdef const uint8_t* ends = b" \t[](){}<>|,;=\"\r"
    memset(ATOM_ENDS, 0, 256)
    for i in range(16):
        ATOM_ENDS[ends[i]] = 1

template_prepare()

cdef inline bint put_atom(Atom* atoms, int* count, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """One atom more; False if there is no room."""
    if count[0] == ATOM_LIMIT:
        return False
    atoms[count[0]].start = <int32_t>start
    atoms[count[0]].end = <int32_t>end
    count[0] += 1
    return True

cdef inline bint ends_word(const uint8_t* data, Py_ssize_t start, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Whether a word ends there: a date before its time, the name of a file before the names in it."""
    if data[at] == 0x3D and memchr(data + start, 0x3F, at - start) != NULL:
        return False  # an address goes on behind the names of what it asks for
    if ATOM_ENDS[data[at]]:
        # In 19:30:01,123 and 1,024 nothing ends.
        return not ((data[at] == 0x2C or data[at] == 0x3B) and at + 1 < size and not ATOM_ENDS[data[at + 1]])
    if data[at] == 0x54:
        return ends_date(data, at, size)
    return data[at] == 0x3A and at + 1 < size and data[at + 1] == 0x3A and names_file(data + start, at - start)

cdef int split_words(const uint8_t* data, Py_ssize_t size, Atom* atoms) noexcept nogil:
    """Words, numbers, paths; quoted strings as one; a date and a time of day as two."""
    cdef int count = 0
    cdef Py_ssize_t at = 0, start
    cdef const uint8_t* close
    while at < size:
        if ATOM_ENDS[data[at]]:
            if data[at] == 0x22:
                close = <const uint8_t*>memchr(data + at + 1, 0x22, size - at - 1)
                if close != NULL and (close + 1 == data + size or ATOM_ENDS[close[1]]):
                    if not put_atom(atoms, &count, at + 1, close - data):
                        break
                    at = close - data
            at += 1
            continue
        start = at
        while at < size and not ends_word(data, start, at, size):
            at += 1
        if not put_atom(atoms, &count, start, at):
            break
        # The T between a date and a time, and the colons behind a file belong to no word.
        if at < size and not ATOM_ENDS[data[at]]:
            at += 1 if data[at] == 0x54 else 2
    return count

cdef inline Py_ssize_t bar_size(const uint8_t* data, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Bytes of the bar between two columns that stands there, or 0."""
    if data[at] == 0x7C:
        return 1
    return 3 if at + 3 <= size and data[at] == 0xE2 and data[at + 1] == 0x94 and data[at + 2] == 0x82 else 0

cdef int split_columns(const uint8_t* data, Py_ssize_t size, Atom* atoms) noexcept nogil:
    """Columns that two blanks, a tab or a bar part, and the bars themselves; between two bars stands one column, empty or not."""
    cdef int count = 0
    cdef Py_ssize_t at = 0, start, bar, last = -1
    while at < size:
        bar = bar_size(data, at, size)
        if bar:
            if last >= 0 and not put_atom(atoms, &count, last + (at > last), last + (at > last)):
                break
            if not put_atom(atoms, &count, at, at + bar):
                break
            at += bar
            last = at
        elif data[at] == 0x20 or data[at] == 0x09:
            at += 1
        else:
            start = at
            while at < size and data[at] != 0x09 and not bar_size(data, at, size):
                if data[at] == 0x20 and (at + 1 == size or data[at + 1] == 0x20 or bar_size(data, at + 1, size)):
                    break
                at += 1
            if not put_atom(atoms, &count, start, at):
                break
            last = -1
    return count

cdef int split_cells(const uint8_t* data, Py_ssize_t size, uint8_t sign, Atom* atoms) noexcept nogil:
    """What stands between separators; one in quotes parts nothing."""
    cdef int count = 0
    cdef Py_ssize_t at = 0, start
    cdef bint quoted
    while True:
        start = at
        quoted = False
        while at < size and (quoted or data[at] != sign):
            quoted ^= data[at] == 0x22
            at += 1
        if not put_atom(atoms, &count, start, at) or at == size:
            return count
        at += 1

cdef inline Py_ssize_t gap_start(const Atom* atoms, int i) noexcept nogil:
    """Where the gap before an atom starts."""
    return atoms[i - 1].end if i else 0

cdef inline void measure_atom(const uint8_t* data, Atom* atoms, int i) noexcept nogil:
    """How wide an atom is, and how many blanks stand before and behind the core of the gap before it."""
    cdef Py_ssize_t start = gap_start(atoms, i), end = atoms[i].start, at
    cdef int32_t width = 0
    for at in range(end, atoms[i].end):
        width += data[at] & 0xC0 != 0x80
    atoms[i].width = width
    at = start
    while at < end and data[at] == 0x20:
        at += 1
    atoms[i].before = atoms[i].behind = <int32_t>(at - start)
    start = at
    if start < end:
        at = end
        while data[at - 1] == 0x20:
            at -= 1
        atoms[i].behind = <int32_t>(end - at)
    atoms[i].core = <int32_t>(at - start)

cdef int split_line(Line line, int mode, Atom* atoms) noexcept nogil:
    """The atoms of a line, measured; how many."""
    cdef Py_ssize_t size = line.size if line.size < LINE_BYTES else LINE_BYTES
    cdef int count, i
    if size and line.data[size - 1] == 0x0D:
        size -= 1
    if mode == BY_WORDS:
        count = split_words(line.data, size, atoms)
    elif mode == BY_COLUMNS:
        count = split_columns(line.data, size, atoms)
    else:
        count = split_cells(line.data, size, 0x2C if mode == BY_COMMAS else 0x3B, atoms)
    for i in range(count):
        measure_atom(line.data, atoms, i)
    return count
