# Many words looked for at once: a machine that reads each byte of a text once, however many words there are (A. Aho and
# M. Corasick, 1975). Its states are the beginnings of words; from each it knows for every byte which beginning stands there then.
#
# What other files use: nothing. The entry points are those of `Words`.

cdef struct Machine:
    uint16_t classes[256]  # of each byte; 0: it stands in no word
    int32_t stride  # of a state's row: a place for each class, and one that says whether words end there
    int32_t* rows  # where the row of the next state begins, by class
    int32_t* ending  # by state: the word that ends there, -1: none
    int32_t* shorter  # by state: the state of the longest shorter word that ends there as well, 0: none
    int32_t* sizes  # of each word
    int32_t* breaks  # line feeds in each word
    int32_t count  # of words
    bint broken  # some word has a line feed

# What was found of one word so far.
cdef struct Sought:
    int64_t last  # the line in which it was found last
    int64_t lines

cdef void machine_close(Machine* machine) noexcept nogil:
    free(machine.rows)
    free(machine.ending)
    free(machine.shorter)
    free(machine.sizes)
    free(machine.breaks)

cdef bint machine_open(Machine* machine, const uint8_t** words, const Py_ssize_t* sizes, int32_t count) noexcept nogil:
    """Of words of 64 KiB at most in all; False if there is no memory."""
    cdef Py_ssize_t states = 1, i, j
    cdef int32_t width = 1
    for i in range(count):
        states += sizes[i]
        for j in range(sizes[i]):
            if machine.classes[words[i][j]] == 0:
                machine.classes[words[i][j]] = <uint16_t>width
                width += 1
    machine.count = count
    machine.stride = width + 1
    machine.rows = <int32_t*>malloc(states * machine.stride * sizeof(int32_t))
    machine.ending = <int32_t*>malloc(states * sizeof(int32_t))
    machine.shorter = <int32_t*>malloc(states * sizeof(int32_t))
    machine.sizes = <int32_t*>malloc((count + 1) * sizeof(int32_t))
    machine.breaks = <int32_t*>malloc((count + 1) * sizeof(int32_t))
    if (machine.rows == NULL or machine.ending == NULL or machine.shorter == NULL or machine.sizes == NULL
            or machine.breaks == NULL):
        return False
    memset(machine.rows, 0, states * machine.stride * sizeof(int32_t))
    memset(machine.ending, 0xFF, states * sizeof(int32_t))
    memset(machine.shorter, 0, states * sizeof(int32_t))
    return machine_link(machine, machine_spell(machine, words, sizes))

cdef int32_t machine_spell(Machine* machine, const uint8_t** words, const Py_ssize_t* sizes) noexcept nogil:
    """A state for each beginning of a word; how many there are."""
    cdef int32_t states = 1, state, place, i
    cdef Py_ssize_t j
    for i in range(machine.count):
        state = 0
        machine.sizes[i] = <int32_t>sizes[i]
        machine.breaks[i] = 0
        for j in range(sizes[i]):
            machine.breaks[i] += words[i][j] == 0x0A
            place = state * machine.stride + machine.classes[words[i][j]]
            if machine.rows[place] == 0:
                machine.rows[place] = states
                states += 1
            state = machine.rows[place]
        machine.broken |= machine.breaks[i] > 0
        if state:
            machine.ending[state] = i
    return states

cdef bint machine_link(Machine* machine, int32_t states) noexcept nogil:
    """From each state the way on for every byte, shorter beginnings first; False if there is no memory."""
    cdef int32_t* waiting = <int32_t*>malloc(2 * states * sizeof(int32_t))
    cdef int32_t* back = waiting + states  # by state: the longest other beginning that stands at its end
    cdef int32_t head = 0, tail = 1, state, next, other, i
    if waiting == NULL:
        return False
    waiting[0] = back[0] = 0
    while head < tail:
        state = waiting[head]
        head += 1
        for i in range(1, machine.stride - 1):
            next = machine.rows[state * machine.stride + i]
            other = machine.rows[back[state] * machine.stride + i] if state else 0
            if next == 0:
                machine.rows[state * machine.stride + i] = other
                continue
            back[next] = other
            machine.shorter[next] = other if machine.ending[other] >= 0 else machine.shorter[other]
            waiting[tail] = next
            tail += 1
    free(waiting)
    # Now that no state is looked for any more: rows are named by where they begin, which saves a multiplication for each byte.
    for state in range(states):
        for i in range(machine.stride - 1):
            machine.rows[state * machine.stride + i] *= machine.stride
        machine.rows[(state + 1) * machine.stride - 1] = state if machine.ending[state] >= 0 or machine.shorter[state] else 0
    return True

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
    cdef int32_t row = 0, state, word
    cdef int64_t line = 0, pair[2]
    cdef const uint8_t* feed
    while at < size:
        line += data[at] == 0x0A
        row = machine.rows[row + machine.classes[data[at]]]
        at += 1
        state = machine.rows[row + machine.stride - 1]
        if state == 0 or (apart and goes_on(data, size, at)):
            continue
        if most < 0 and not machine.broken and not apart:
            pair[0] = machine.ending[state]
            pair[1] = line
            buffer_put(found, <uint8_t*>pair, sizeof(pair))
            feed = <const uint8_t*>memchr(data + at, 0x0A, size - at)  # one word of a line is enough
            at = feed - data if feed != NULL else size
            row = 0
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
    cdef int32_t row = 0
    for at in range(size):
        row = machine.rows[row + machine.classes[data[at]]]
        if machine.rows[row + machine.stride - 1]:
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
