# The token estimate: a weight for each pair of neighboring bytes, by class, added up. Integers only, the same on every machine.
#
# What other files use:
#   int64_t  estimate_tokens(text, size)                  0 for nothing, else at least 1
#   Estimate estimate_open(), void estimate_add(Estimate*, text, size), int64_t estimate_total(Estimate*)
#                                                         the same for a text that comes in pieces
#   int64_t  estimate_minified(data, Tape*, tokens)       the same for a scanned text without its white space
#   bint     estimate_exceeds(text, size, tokens)         whether it is more; the other reads on only as long as it is not
#
# Fitted by non-negative least squares of the relative error against o200k_base, drawn towards a fit of coarser classes where
# a pair is rare, on 28 000 pieces of 300 to 6000 bytes of 191 kinds of text, each kind of one weight: source code, documents,
# HTML, logs, tables, records of 14 sources in nine spellings, 24 languages, hashes. Mean error of a piece 3.7 %, of families
# of kinds held out 6.7 % (minified JSON 4.9 %, outlines 4.4 %, tables 7.7 %). Bias between spellings of records held out: at
# most 0.7 %.
#
# Why pairs of classes: a token ends where the kind of character changes (word, digits, punctuation, white space) and
# otherwise grows with the run, and that is what pairs count. Letters are in three classes because words alternate and
# identifiers, hashes and base64 do not; lead bytes of UTF-8 by script, because a character costs from a fifth of a token
# (Indic) to two (rare emoji). No weight is negative: a longer text is never estimated shorter.

cdef enum:
    BYTE_CLASSES = 25
    LINE_START = 0x0A  # what stands before the first byte
    ESTIMATE_PIECE = 1024

cdef const uint16_t* PAIR_WEIGHTS = [  # in 1/1024 token; row: the class of the byte before, column: of the byte
     149,   0, 137, 680, 240,1841, 555, 320, 470, 517, 949, 922, 589, 667, 740,   0,1768,1085,1093,   0,1492,  16,   6,   0, 797,  # vowel
      37,  54, 251, 695, 577,1291,1059,   0, 540, 611, 746, 714, 415, 616, 411,   0,1117,1104,1084,   0,1435,  32,  26,   0, 775,  # common
      54,  91, 465, 463, 961,1188, 859,1072, 520, 519, 557, 808, 616, 550, 794,   0,2143,1091,1088,   0,1515,   7,   1,   0, 781,  # rare
     223, 108, 288,   7, 581, 888,1508, 143, 732, 732, 573, 414,1000, 805, 202,   0,   0,1133, 712, 232, 629, 421, 824, 206,   0,  # space
     661,   0,   0,  54,  25,1140, 985, 863,2183,1968,2013,2027,1627,2030,1828,   0,  11,2408,2330,  65, 263,   0,   0,   3, 839,  # tab
     877, 842,1114,1171,1203,  27, 372, 985,  86, 157,   0,  73, 139,   0,  74,   0, 141,2043,1153,1559,   0, 563, 466, 948,1292,  # lf
    1326,1078,1023,1264,1256,1311, 264, 986, 922, 583, 573, 859, 369, 715, 404,   0,1011, 318, 314, 293,1131, 920, 892, 914,   0,  # digit
     416, 370, 970, 503, 640,1923,2518, 215, 926, 871, 777, 832, 179, 990,1472,   0,2296,1342,1343,   0,1796, 723, 642, 659,   0,  # upper
    1050, 952, 879, 854,   0,  15, 890, 694, 155,  86, 350, 128, 319, 341, 316,   0,1893,1724,1405,1930,2163, 614, 413, 539, 198,  # quote
     849, 854,1024, 561,   0,   0,1280,1052,   0, 405,  14, 362, 389, 935, 588,   0,1847,1705,1803,2013,2060, 584, 635, 576, 292,  # open
     962,1009,1037, 581,   0, 200,1403, 490, 422, 165, 171, 136, 266, 542,  94,   0,1891,1760,1757,2007,2099, 595, 563, 582, 295,  # close
    1200, 851, 978, 563,  32, 376, 860, 531, 305, 555, 267,   0, 165, 471,  95,   0,1878,1759,1814,2029,2114, 573, 599, 577, 292,  # sep
     725, 769,1096, 432,   0, 295,1369, 727,  57, 242, 296, 274,   8,   0, 476,   0,1877,1787,1907,1967,2118, 582, 606, 572, 292,  # join
     719,1009, 766, 708,   0,  79,1378, 906,   0, 916, 236, 160, 588, 649, 738,   0,1870,1760,1760,2012,2119, 577, 606, 577, 292,  # back
     978,1051,1210, 675,   0,   0,1411,1045,  82, 375, 147, 213, 304, 437, 173,   0,1860,1869,1764,2018,2119, 579, 577, 565, 296,  # punct
       0,   0, 554,  24, 762,1200,2214,1098, 434, 752, 932, 861, 942, 858, 844,   0,1166,   0, 296, 369,   7,   0,  37,  63,   0,  # cont
       0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,  23,   0,   0,   0,   0,   0,   0,   0,   0,   0,  # latin
       0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0, 122,   0,   0,   0,   0,   0,   0,   0,   0,   0,  # cyrillic
       0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,  # two
       0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,  # indic
       0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0, 158,   0,   0,   0,   0,   0,   0,   0,   0,   0,  # symbol
       0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0, 602,   0,   0,   0,   0,   0,   0,   0,   0,   0,  # kana
       0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0, 701,   0,   0,   0,   0,   0,   0,   0,   0,   0,  # han
       0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0, 550,   0,   0,   0,   0,   0,   0,   0,   0,   0,  # hangul
       0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,1483,   0,   0,   0,   0,   0,   0,   0,   0,   0,  # four
]

# The weights again by the two bytes themselves, as they stand in memory: one load less for each byte.
cdef uint16_t BYTE_WEIGHTS[65536]

cdef inline uint16_t byte_pair(const uint8_t* text) noexcept nogil:
    """Two bytes as an index."""
    cdef uint16_t pair
    memcpy(&pair, text, 2)
    return pair

cdef void estimate_prepare() noexcept:
    """Fill the table of pairs, once, at import."""
    cdef const char** letters = [b"aeiou", b"tnsrlhdcm", b"jkqxzvwybfgp", b" ", b"\t", b"\n\r", b"0123456789",
                                 b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", b"\"", b"[{(<", b"]})>", b",:;", b"._-/", b"\\"]
    # Bytes from 0x80 on by the range that starts there: continuation; lead bytes of Latin, others of two bytes, Cyrillic, others;
    # Indic and South-East Asian, symbols, kana, Han, Hangul, symbols; four bytes.
    cdef const uint8_t* starts = [0x80, 0xC0, 0xCB, 0xD0, 0xD4, 0xE0, 0xE2, 0xE3, 0xE4, 0xEA, 0xEE, 0xF0]
    cdef const uint8_t* scripts = [15, 16, 18, 17, 18, 19, 20, 21, 22, 23, 20, 24]
    cdef uint8_t classes[256]
    cdef uint8_t pair[2]
    cdef int i, j
    for i in range(256):
        classes[i] = 14  # other ASCII
        for j in range(12):
            if i >= starts[j]:
                classes[i] = scripts[j]
        for j in range(14):
            if i > 0 and memchr(letters[j], i, strlen(letters[j])) != NULL:
                classes[i] = <uint8_t>j
    for i in range(256):
        for j in range(256):
            pair[0] = <uint8_t>i
            pair[1] = <uint8_t>j
            BYTE_WEIGHTS[byte_pair(pair)] = PAIR_WEIGHTS[classes[i] * BYTE_CLASSES + classes[j]]

estimate_prepare()

# A text that comes in pieces.
cdef struct Estimate:
    uint64_t sum
    uint8_t last[2]  # the last byte; room for the next
    bint started

cdef inline Estimate estimate_open() noexcept nogil:
    """Of no text yet."""
    cdef Estimate estimate
    estimate.sum = 0
    estimate.last[0] = LINE_START
    estimate.last[1] = 0
    estimate.started = False
    return estimate

cdef inline void estimate_add(Estimate* estimate, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """The next piece."""
    # Four sums side by side: nothing but loads and additions, and no addition waits for the one before.
    cdef uint64_t first, second = 0, third = 0, fourth = 0
    cdef Py_ssize_t at = 0, last = size - 1
    if size <= 0:
        return
    estimate.last[1] = text[0]
    first = BYTE_WEIGHTS[byte_pair(estimate.last)]
    while at + 4 <= last:
        first += BYTE_WEIGHTS[byte_pair(text + at)]
        second += BYTE_WEIGHTS[byte_pair(text + at + 1)]
        third += BYTE_WEIGHTS[byte_pair(text + at + 2)]
        fourth += BYTE_WEIGHTS[byte_pair(text + at + 3)]
        at += 4
    while at < last:
        first += BYTE_WEIGHTS[byte_pair(text + at)]
        at += 1
    estimate.sum += first + second + third + fourth
    estimate.last[0] = text[last]
    estimate.started = True

cdef inline int64_t estimate_total(const Estimate* estimate) noexcept nogil:
    """Estimated number of tokens, rounded up; 0 for nothing, else at least 1."""
    if estimate.sum == 0:
        return estimate.started
    return <int64_t>((estimate.sum + 1023) >> 10)

cdef int64_t estimate_tokens(const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Estimated number of tokens of UTF-8 text, rounded up."""
    cdef Estimate estimate = estimate_open()
    estimate_add(&estimate, text, size)
    return estimate_total(&estimate)

cdef bint estimate_exceeds(const uint8_t* text, Py_ssize_t size, int64_t tokens) noexcept nogil:
    """Whether UTF-8 text has more than so many estimated tokens; what lies behind the place that proves it is not read."""
    cdef Estimate estimate = estimate_open()
    cdef Py_ssize_t at = 0, piece
    while at < size and estimate_total(&estimate) <= tokens:
        piece = size - at if size - at < ESTIMATE_PIECE else ESTIMATE_PIECE
        estimate_add(&estimate, text + at, piece)
        at += piece
    return estimate_total(&estimate) > tokens

cdef int64_t estimate_minified(const uint8_t* data, const Tape* tape, int64_t tokens) noexcept nogil:
    """Estimated number of tokens of a scanned text without the white space between its tokens; of more than so many only some."""
    # As tape_minify: what stands between scalars is white space and punctuation. A piece goes from one white space to the next.
    cdef Estimate estimate = estimate_open()
    cdef const Node* nodes = tape.nodes
    cdef Py_ssize_t at = 0, start = 0, stop = 0
    cdef int32_t i = 0, last = node_next(nodes, 0)
    while stop < node_end(nodes, 0) and estimate_total(&estimate) <= tokens:
        while i < last and node_kind(nodes, i) <= KIND_ARRAY:
            i = node_child(nodes, i)
        stop = node_start(nodes, i) if i < last else node_end(nodes, 0)
        while at < stop:
            if data[at] <= 0x20:
                estimate_add(&estimate, data + start, at - start)
                at = space_end(data, at, stop)
                start = at
            else:
                at += 1
        if i < last:
            at = node_end(nodes, i)
            i = node_step(nodes, i)
    estimate_add(&estimate, data + start, at - start)
    return estimate_total(&estimate)

def estimate(bytes data not None):
    """Estimated number of tokens of UTF-8 text, by integer arithmetic over byte classes; the same for every model."""
    cdef const uint8_t* text = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef int64_t tokens
    with nogil:
        tokens = estimate_tokens(text, size)
    return tokens
