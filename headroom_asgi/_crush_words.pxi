# Many words looked for at once: a machine that reads each byte of a text once, however many words there are (A. Aho and
# M. Corasick, 1975). Its states are the beginnings of words, shorter ones first. From the first of them it knows for every byte
# which beginning stands there then; the others, where texts seldom lead, know their children, and the next shorter beginning to
# try. So it takes little time to build and little memory, whatever the words are: it is built for each text anew.
#
# What other files use: nothing. The entry points are those of `Words`.

cdef enum:
    WORDS_ROOM = 0x4000  # places of rows in all, 64 KiB: as many as stay near the processor, built in a tenth of a millisecond

cdef struct Machine:
    uint16_t classes[256]  # of each byte; 0: it stands in no word
    int32_t stride  # of a state's row: a place for each class, and one that says whether words end there
    int32_t full  # states that have a row; they come first
    int32_t* rows  # by class the way on: where the next state's row begins; ~state, below zero, where it has none
    int32_t* children  # by state: its first child; the last one stands before the first of the next state
    int32_t* back  # by state: the longest other beginning that stands at its end
    int32_t* ending  # by state: the word that ends there, -1: none
    int32_t* shorter  # by state: the state of the longest shorter word that ends there as well, 0: none
    uint8_t* bytes  # by state: its last byte
    int32_t* sizes  # of each word
    int32_t* breaks  # line feeds in each word
    int32_t count  # of words
    bint broken  # some word has a line feed

# What was found of one word so far.
cdef struct Sought:
    int64_t last  # the line in which it was found last
    int64_t lines

# A beginning while the words are spelled, in the order in which they come.
cdef struct Beginning:
    int32_t child  # the first, 0: none
    int32_t sibling  # the next, 0: none
    int32_t ending  # the word that ends there, -1: none
    uint8_t byte

cdef void machine_close(Machine* machine) noexcept nogil:
    free(machine.rows)
    free(machine.children)
    free(machine.back)
    free(machine.ending)
    free(machine.shorter)
    free(machine.bytes)
    free(machine.sizes)
    free(machine.breaks)

cdef bint machine_open(Machine* machine, const uint8_t** words, const Py_ssize_t* sizes, int32_t count) noexcept nogil:
    """Of words of 64 KiB at most in all; False if there is no memory."""
    cdef Py_ssize_t states = 1, i, j
    cdef int32_t width = 1
    cdef Beginning* begun
    for i in range(count):
        states += sizes[i]
        for j in range(sizes[i]):
            if machine.classes[words[i][j]] == 0:
                machine.classes[words[i][j]] = <uint16_t>width
                width += 1
    machine.count = count
    machine.stride = width + 1
    machine.children = <int32_t*>malloc((states + 1) * sizeof(int32_t))
    machine.back = <int32_t*>malloc(states * sizeof(int32_t))
    machine.ending = <int32_t*>malloc(states * sizeof(int32_t))
    machine.shorter = <int32_t*>malloc(states * sizeof(int32_t))
    machine.bytes = <uint8_t*>malloc(states)
    machine.sizes = <int32_t*>malloc((count + 1) * sizeof(int32_t))
    machine.breaks = <int32_t*>malloc((count + 1) * sizeof(int32_t))
    begun = <Beginning*>malloc(states * sizeof(Beginning))
    if (machine.children != NULL and machine.back != NULL and machine.ending != NULL and machine.shorter != NULL
            and machine.bytes != NULL and machine.sizes != NULL and machine.breaks != NULL and begun != NULL):
        states = machine_spell(machine, begun, words, sizes)
        machine_order(machine, begun, <int32_t>states)
        machine.full = <int32_t>min(states, WORDS_ROOM // machine.stride)
        machine.rows = <int32_t*>malloc(machine.full * machine.stride * sizeof(int32_t))
    free(begun)
    if machine.rows == NULL:
        return False
    machine_link(machine, <int32_t>states)
    return True

cdef int32_t machine_spell(
    Machine* machine, Beginning* begun, const uint8_t** words, const Py_ssize_t* sizes
) noexcept nogil:
    """A state for each beginning of a word; how many there are."""
    cdef int32_t states = 1, state, next, i
    cdef Py_ssize_t j
    memset(begun, 0, sizeof(Beginning))
    begun[0].ending = -1
    for i in range(machine.count):
        state = 0
        machine.sizes[i] = <int32_t>sizes[i]
        machine.breaks[i] = 0
        for j in range(sizes[i]):
            machine.breaks[i] += words[i][j] == 0x0A
            next = begun[state].child
            while next and begun[next].byte != words[i][j]:
                next = begun[next].sibling
            if next == 0:
                next = states
                states += 1
                begun[next].byte = words[i][j]
                begun[next].ending = -1
                begun[next].child = 0
                begun[next].sibling = begun[state].child
                begun[state].child = next
            state = next
        machine.broken |= machine.breaks[i] > 0
        if state:
            begun[state].ending = i
    return states

cdef void machine_order(Machine* machine, const Beginning* begun, int32_t states) noexcept nogil:
    """Number the states anew, shorter beginnings first; so the children of each stand together."""
    cdef int32_t* order = machine.shorter  # by new number the old one, until `shorter` is known
    cdef int32_t state, next, tail = 1
    order[0] = 0
    machine.bytes[0] = 0
    for state in range(states):
        machine.children[state] = tail
        machine.ending[state] = begun[order[state]].ending
        next = begun[order[state]].child
        while next:
            order[tail] = next
            machine.bytes[tail] = begun[next].byte
            tail += 1
            next = begun[next].sibling
    machine.children[states] = tail

cdef inline int32_t machine_place(const Machine* machine, int32_t state) noexcept nogil:
    """How rows name a state."""
    return state * machine.stride if state < machine.full else ~state

cdef inline int32_t machine_step(const Machine* machine, int32_t place, uint8_t byte) noexcept nogil:
    """The place to which a byte leads from another."""
    cdef int32_t state, next
    if place >= 0:
        return machine.rows[place + machine.classes[byte]]
    state = ~place
    while state >= machine.full:
        for next in range(machine.children[state], machine.children[state + 1]):
            if machine.bytes[next] == byte:
                return ~next  # longer than one that has no row
        state = machine.back[state]
    return machine.rows[state * machine.stride + machine.classes[byte]]

cdef inline int32_t machine_ends(const Machine* machine, int32_t place) noexcept nogil:
    """The state of a place if words end there, else 0."""
    if place >= 0:
        return machine.rows[place + machine.stride - 1]
    return ~place if machine.ending[~place] >= 0 or machine.shorter[~place] else 0

cdef void machine_link(Machine* machine, int32_t states) noexcept nogil:
    """The way on from each state, and what is shorter, shorter beginnings first."""
    cdef int32_t state, next, other
    cdef int32_t* row
    machine.back[0] = machine.shorter[0] = 0
    for state in range(states):
        row = NULL
        if state < machine.full:
            row = machine.rows + state * machine.stride
            if state:
                memcpy(row, machine.rows + machine.back[state] * machine.stride, machine.stride * sizeof(int32_t))
            else:
                memset(row, 0, machine.stride * sizeof(int32_t))
            row[machine.stride - 1] = state if machine.ending[state] >= 0 or machine.shorter[state] else 0
        for next in range(machine.children[state], machine.children[state + 1]):
            other = 0
            if state:
                other = machine_step(machine, machine_place(machine, machine.back[state]), machine.bytes[next])
                other = other // machine.stride if other >= 0 else ~other
            machine.back[next] = other
            machine.shorter[next] = other if machine.ending[other] >= 0 else machine.shorter[other]
            if row != NULL:
                row[machine.classes[machine.bytes[next]]] = machine_place(machine, next)

cdef inline bint is_ascii_alnum(uint8_t byte) noexcept nogil:
    return (byte | 0x20) - 0x61 < 26 and (byte | 0x20) >= 0x61 or 0x30 <= byte <= 0x39

cdef inline bint goes_on(const uint8_t* data, Py_ssize_t size, Py_ssize_t at) noexcept nogil:
    """A name or number goes on over a place between two bytes."""
    return 0 < at < size and is_ascii_alnum(data[at - 1]) and is_ascii_alnum(data[at])

cdef void machine_lines(
    const Machine* machine, const uint8_t* data, Py_ssize_t size, int64_t most, bint apart, Sought* sought, Buffer* found
) noexcept nogil:
    """Note word and line of each line that holds a word, as two numbers; of a word one more than `most` lines, if that is not negative."""
    cdef Py_ssize_t at = 0
    cdef int32_t place = 0, state, word
    cdef int64_t line = 0, pair[2]
    cdef const uint8_t* feed
    while at < size:
        line += data[at] == 0x0A
        place = machine_step(machine, place, data[at])
        at += 1
        state = machine_ends(machine, place)
        if state == 0 or (apart and goes_on(data, size, at)):
            continue
        if most < 0 and not machine.broken and not apart:
            pair[0] = machine.ending[state]
            pair[1] = line
            buffer_put(found, <uint8_t*>pair, sizeof(pair))
            feed = <const uint8_t*>memchr(data + at, 0x0A, size - at)  # one word of a line is enough
            at = feed - data if feed != NULL else size
            place = 0
            continue
        while state:
            word = machine.ending[state]
            if word >= 0 and not (apart and goes_on(data, size, at - machine.sizes[word])):
                pair[0] = word
                pair[1] = line - machine.breaks[word]
                if sought[word].last != pair[1] and (most < 0 or sought[word].lines <= most):
                    sought[word].last = pair[1]
                    sought[word].lines += 1
                    buffer_put(found, <uint8_t*>pair, sizeof(pair))
            state = machine.shorter[state]

cdef bint machine_finds(const Machine* machine, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Whether some word stands in the text."""
    cdef Py_ssize_t at
    cdef int32_t place = 0
    for at in range(size):
        place = machine_step(machine, place, data[at])
        if machine_ends(machine, place):
            return True
    return False

cdef class Words:
    """Words that are looked for together, in one pass over a text. They are bytes, and compared as such.

    Args:
        words: none of them empty, of 64 KiB at most in all.

    Raises:
        TypeError: not all words are bytes.
        ValueError: a word is empty, or they are more than that.
    """

    cdef Machine machine

    def __cinit__(self, words not None):
        cdef tuple held = tuple(words)
        cdef int32_t count = <int32_t>len(held), i
        cdef Py_ssize_t total = 0
        cdef const uint8_t** texts = <const uint8_t**>malloc((count + 1) * sizeof(void*))
        cdef Py_ssize_t* sizes = <Py_ssize_t*>malloc((count + 1) * sizeof(Py_ssize_t))
        cdef bint done = False
        memset(&self.machine, 0, sizeof(self.machine))
        try:
            if texts == NULL or sizes == NULL:
                raise MemoryError
            for i in range(count):
                if not isinstance(held[i], bytes):
                    raise TypeError(f"word {i} is {type(held[i]).__name__}, not bytes")
                texts[i] = <const uint8_t*>PyBytes_AS_STRING(held[i])
                sizes[i] = PyBytes_GET_SIZE(held[i])
                total += sizes[i]
                if sizes[i] == 0 or total > 0x10000:
                    raise ValueError(f"word {i} is empty" if sizes[i] == 0 else "words of more than 64 KiB")
            with nogil:
                done = machine_open(&self.machine, texts, sizes, count)
            if not done:
                raise MemoryError
        finally:
            free(texts)
            free(sizes)

    def __dealloc__(self):
        machine_close(&self.machine)

    def lines(self, bytes data not None, *, int64_t most=-1, bint apart=False):
        """Numbers of the lines of a text, from 0, in which one of the words begins.

        Args:
            data: the text, split at LF.
            most: a word that begins in more lines than that tells none from another, and does not count; -1: all do.
            apart: only where no letter or digit of ASCII goes on before or behind it.
        """
        cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), i
        cdef Sought* sought = <Sought*>malloc((self.machine.count + 1) * sizeof(Sought))
        cdef const int64_t* pairs
        cdef Buffer found
        cdef set lines = set()
        buffer_open(&found)
        try:
            if sought == NULL:
                raise MemoryError
            with nogil:
                for i in range(self.machine.count):
                    sought[i].last = -1
                    sought[i].lines = 0
                machine_lines(&self.machine, text, size, most, apart, sought, &found)
            if found.failed:
                raise MemoryError
            pairs = <const int64_t*>found.data
            for i in range(0, found.size // <Py_ssize_t>sizeof(int64_t), 2):
                if most < 0 or sought[pairs[i]].lines <= most:
                    lines.add(pairs[i + 1])
            return lines
        finally:
            free(sought)
            buffer_close(&found)

    def stand_in(self, bytes data not None):
        """Whether one of the words stands in a text."""
        cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef bint found
        with nogil:
            found = machine_finds(&self.machine, text, size)
        return found
