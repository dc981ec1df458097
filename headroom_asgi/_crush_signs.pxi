# Signs: why a row stays. The rows that bear one, the words that tell of an error, and what the name of a column says of its values.
#
# What other files use:
#   struct Row, SIGN_...
#   void       tally_add(Tally*, row), tally_sign(Tally*, Row*, sign)
#   int        name_meaning(path, size)                  NAME_ bits
#   bint       tells_error(meaning, kind, text, size)    whether a value under such a name is an error
#   int32_t    error_slot(word), Py_ssize_t word_end(text, size, at, word*), bint is_denied(text, size, start, end)

cdef enum:
    TALLY_ROWS = 24  # what more rows of a column have in common is no sign
    TALLY_FEW = 4  # of those, so many stay signed: they are among the first rows where it is all of them
    WORD_SLOTS = 128
    NAME_LIMIT = 64
    SIEVE_SIZE = 1 << 15
    SIEVE_ERROR = 1  # an error word may stand there
    SIEVE_NEEDLE = 2

# Most important first.
cdef enum:
    SIGN_NEEDLE = 1  # holds what is asked for
    SIGN_ERROR = 2
    SIGN_RARE = 4  # a value that few rows have
    SIGN_SPIKE = 8  # a number far from those around it
    SIGN_CHANGE = 16  # where a series of values goes over into another, or a cluster of spikes begins or ends
    SIGN_EXTREME = 32
    SIGN_VALUE = 64  # the first one with a value, a set of keys, or a first word
    SIGN_SHAPE = 128
    SIGN_START = 256
    SIGN_COVER = 512  # nothing but its place
    SIGN_END = 1024

cdef enum:
    NAME_STATUS = 1  # of an answer: 400 and more is an error
    NAME_EXIT = 2  # of a process: all but 0 is an error
    NAME_LEVEL = 4
    NAME_GOOD = 8  # false is an error
    NAME_BAD = 16  # anything but nothing is an error
    NAME_LABEL = 32  # numbers that are names: their mean says nothing

cdef struct Row:
    uint16_t signs
    uint8_t kept
    uint8_t opens  # the first of its group, or of all

# The rows of one column that have something in common.
cdef struct Tally:
    int32_t count
    int32_t last
    int32_t rows[TALLY_ROWS]

# Words are known by a 64-bit hash of their lower-case letters (FNV-1a).

cdef uint64_t ERROR_WORDS[WORD_SLOTS]
cdef uint8_t ERROR_SIEVE[SIEVE_SIZE]
cdef uint64_t WORD_TIMED
cdef uint64_t WORD_ERR
cdef uint64_t NAME_WORDS[NAME_LIMIT]
cdef uint8_t NAME_BITS[NAME_LIMIT]

cdef inline bint is_upper(uint8_t byte) noexcept nogil:
    return 0x41 <= byte <= 0x5A

cdef inline bint is_lower(uint8_t byte) noexcept nogil:
    return 0x61 <= byte <= 0x7A

cdef inline bint is_digit(uint8_t byte) noexcept nogil:
    return 0x30 <= byte <= 0x39

cdef inline bint is_token(uint8_t byte) noexcept nogil:
    """Letters, digits and what is not ASCII: a literal does not end inside a run of them."""
    return is_upper(byte) or is_lower(byte) or is_digit(byte) or byte >= 0x80

cdef inline uint8_t lower(uint8_t byte) noexcept nogil:
    return byte | 0x20 if is_upper(byte) else byte

cdef inline uint64_t word_add(uint64_t word, uint8_t letter) noexcept nogil:
    return (word ^ (letter | 0x20)) * 1099511628211ULL

cdef uint64_t word_hash(bytes word) noexcept:
    cdef uint64_t code = 14695981039346656037ULL
    cdef uint8_t letter
    for letter in word:
        code = word_add(code, letter)
    return code

cdef inline int32_t error_slot(uint64_t word) noexcept nogil:
    """The slot of an error word, or -1."""
    cdef uint32_t slot = word & (WORD_SLOTS - 1)
    while ERROR_WORDS[slot]:
        if ERROR_WORDS[slot] == word:
            return slot
        slot = (slot + 1) & (WORD_SLOTS - 1)
    return -1

cdef inline uint32_t sieve_slot(uint8_t a, uint8_t b, uint8_t c) noexcept nogil:
    return (a & 31) | (b & 31) << 5 | (c & 31) << 10

cdef void fill_error_words() noexcept:
    """The table of words that tell of an error, and the sieve that lets them through."""
    cdef uint32_t slot
    memset(ERROR_WORDS, 0, sizeof(ERROR_WORDS))
    memset(ERROR_SIEVE, 0, sizeof(ERROR_SIEVE))
    for word in (
        b"error errors exception exceptions fail fails failed failing failure failures fatal critical panic panicked denied"
        b" refused rejected forbidden unauthorized timeout timeouts crash crashed crashes abort aborted traceback unreachable"
        b" unavailable corrupt corrupted overflow killed segfault"
    ).split():
        slot = word_hash(word) & (WORD_SLOTS - 1)
        while ERROR_WORDS[slot]:
            slot = (slot + 1) & (WORD_SLOTS - 1)
        ERROR_WORDS[slot] = word_hash(word)
    # Four letters that stand in those words and seldom in others: one of their groups of three starts at an even place.
    for word in (
        b"erro xcep fail fata riti pani nied efus ejec bidd utho meou cras bort aceb reac avai rrup verf kill segf".split()
        + [b"d ou", b"d_ou", b"d-ou"]
    ):
        ERROR_SIEVE[sieve_slot(word[0], word[1], word[2])] = SIEVE_ERROR
        ERROR_SIEVE[sieve_slot(word[1], word[2], word[3])] = SIEVE_ERROR

fill_error_words()
WORD_TIMED = word_hash(b"timed")
WORD_ERR = word_hash(b"err")

cdef void fill_name_words() noexcept:
    """What words in the name of a column say."""
    cdef int count = 0
    for bits, words in (
        (NAME_STATUS | NAME_LABEL, b"status code statuscode"),
        (NAME_EXIT | NAME_LABEL, b"exit exitcode returncode rc"),
        (NAME_LEVEL | NAME_LABEL, b"level severity lvl loglevel"),
        (NAME_GOOD, b"ok success successful succeeded passed healthy valid reachable alive available"),
        (NAME_LABEL, b"id ids no number key pid port line year zip index rank version ts time timestamp epoch date seq offset"),
    ):
        for word in words.split():
            NAME_WORDS[count] = word_hash(word)
            NAME_BITS[count] = bits
            count += 1

fill_name_words()


cdef inline void tally_add(Tally* tally, int32_t row) noexcept nogil:
    """Count a row, once."""
    if tally.count and tally.last == row:
        return
    if tally.count < TALLY_ROWS:
        tally.rows[tally.count] = row
    tally.count += 1
    tally.last = row

cdef void tally_sign(const Tally* tally, Row* rows, int sign) noexcept nogil:
    """Sign the rows; of too many the first few."""
    cdef int32_t i
    for i in range(tally.count if tally.count <= TALLY_ROWS else TALLY_FEW):
        rows[tally.rows[i]].signs |= sign

cdef inline bint is_letter(uint8_t byte) noexcept nogil:
    return is_upper(byte) or is_lower(byte)

cdef inline bint word_breaks(const uint8_t* text, Py_ssize_t size, Py_ssize_t at) noexcept nogil:
    """Whether a word ends before the letter at a place: ValueError and HTTPError are two words each."""
    return is_upper(text[at]) and (is_lower(text[at - 1]) or (at + 1 < size and is_lower(text[at + 1])))

cdef inline Py_ssize_t word_end(const uint8_t* text, Py_ssize_t size, Py_ssize_t at, uint64_t* word) noexcept nogil:
    """The end of the word that starts with the letter at a place, and its hash."""
    word[0] = 14695981039346656037ULL
    while True:
        word[0] = word_add(word[0], text[at])
        at += 1
        if at == size or not is_letter(text[at]) or word_breaks(text, size, at):
            return at

cdef bint is_denied(const uint8_t* text, Py_ssize_t size, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Whether what stands around a word says that there is none of it: no errors, 0 failed, error=null."""
    cdef const char** before = [b"no ", b"0 ", b"without ", b"zero ", b"non-"]
    cdef const char** after = [b"0", b"none", b"null", b"false", b"no", b"nil"]
    cdef Py_ssize_t length
    cdef int i
    for i in range(5):
        length = strlen(before[i])
        if start >= length and memcmp(text + start - length, before[i], length) == 0:
            if start == length or not is_token(text[start - length - 1]):
                return True
    if end == size or (text[end] != 0x3A and text[end] != 0x3D):
        return False
    end += 1
    while end < size and text[end] == 0x20:
        end += 1
    for i in range(6):
        length = strlen(after[i])
        if size - end >= length and memcmp(text + end, after[i], length) == 0:
            end += length
            if end < size and text[end] == 0x2E:
                end += 1
            return end == size or not is_token(text[end])
    return False

cdef int name_meaning(const uint8_t* path, Py_ssize_t size) noexcept nogil:
    """What the name of a column says of its values: the last word of its last key, or an error word or exit anywhere in that key."""
    cdef Py_ssize_t at = size
    cdef uint64_t word
    cdef int meaning = 0, last = 0, i
    while at > 0 and path[at - 1] != 0x2E:
        at -= 1
    while at < size:
        if not is_letter(path[at]):
            at += 1
            continue
        at = word_end(path, size, at, &word)
        last = 0
        for i in range(NAME_LIMIT):
            if NAME_WORDS[i] == word:
                last = NAME_BITS[i]
        meaning |= last & NAME_EXIT
        if error_slot(word) >= 0 or word == WORD_ERR:
            meaning |= NAME_BAD
    meaning |= last
    # The code of an exit is no answer's status.
    return meaning & ~NAME_STATUS if meaning & NAME_EXIT else meaning

cdef inline bint is_one_of(const uint8_t* text, Py_ssize_t size, const char** words, int count) noexcept nogil:
    """Whether a text is one of some lower-case words, without regard to case."""
    cdef Py_ssize_t k
    cdef int i
    for i in range(count):
        if strlen(words[i]) == <size_t>size:
            k = 0
            while k < size and lower(text[k]) == <uint8_t>words[i][k]:
                k += 1
            if k == size:
                return True
    return False

cdef bint tells_error(int meaning, uint8_t kind, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Whether a value (the content of a string, or the bytes of anything else) is an error where such a name stands before it."""
    cdef const char** levels = [b"err", b"emerg", b"alert", b"severe", b"crit", b"e", b"f"]
    cdef const char** nothing = [b"", b"0", b"none", b"null", b"no", b"nil", b"ok", b"false", b"-", b"n/a", b"success"]
    cdef bint number = kind == KIND_NUMBER
    if meaning & NAME_STATUS and number and size == 3 and (text[0] == 0x34 or text[0] == 0x35):
        return True
    if meaning & NAME_EXIT and number and not (size == 1 and text[0] == 0x30):
        return True
    if meaning & NAME_LEVEL:
        # 50 and 60 are what loggers that number their levels call error and fatal.
        if number and size == 2 and (text[0] == 0x35 or text[0] == 0x36) and text[1] == 0x30:
            return True
        if kind == KIND_STRING and is_one_of(text, size, levels, 7):
            return True
    if meaning & NAME_GOOD and kind == KIND_FALSE:
        return True
    if not meaning & NAME_BAD or kind == KIND_FALSE or kind == KIND_NULL:
        return False
    if kind <= KIND_ARRAY:
        return size > 2
    if number:
        return not (text[0] == 0x30 and (size == 1 or (size == 3 and text[2] == 0x30)))
    return not is_one_of(text, size, nothing, 11)
