# Repeats: runs of lines that an earlier text has already, said by a line that names the place (docs/repeats.md).
#
# What other files use: nothing. The entry point is `fold`.
#
# One pass over the lines of all texts. Lines that can be recognized (anchors) are found by a hash of what stands behind their
# number; from there a run goes on as long as the lines are the same. What is compared with is what a reader sees: the lines
# of earlier texts after folding, and of the same text so far. A line that says a run is never part of another one.

cdef enum:
    ANCHOR_LETTERS = 8  # letters and digits by which a line can be recognized
    REPEAT_TOKENS = 12  # a run must save so many; below, the reader's look is not worth it
    REPEAT_LOOKS = 8  # earlier places looked at for one anchor
    FIRST_LOOKS = 256  # lines with the same words looked at, of which a reader might find one before that which is meant
    TEXT_TOKENS = 32  # a text must save so many, as every edit
    NUMBER_DIGITS = 7
    HEAD_LINES = 24  # a head further up is far from what follows anyway

cdef struct SeenLine:
    const uint8_t* data
    uint32_t size
    uint32_t hash  # of what stands behind the number
    int32_t text  # number of its text, from 0
    int32_t earlier  # the anchor before it with that hash, -1 if none
    int32_t slot  # its place in the table; -1 if it is no anchor
    int32_t number  # its line number, -1 if it has none
    uint8_t gutter  # bytes of number and what surrounds it
    uint8_t padding  # blanks before the number
    bint ends  # no run goes over it

cdef struct Seen:
    SeenLine* lines
    Py_ssize_t size
    Py_ssize_t capacity
    int32_t* table  # the last anchor of each hash, open addressing; -1: none
    uint32_t mask
    int32_t* firsts  # of each text its first line
    bint failed

cdef struct Run:
    int32_t source  # the line that is the same as the anchor
    int32_t count  # lines after it
    int32_t shift  # of their numbers

cdef inline bint is_word_byte(uint8_t byte) noexcept nogil:
    return (byte | 0x20) - 0x61 < 26 and (byte | 0x20) >= 0x61 or 0x30 <= byte <= 0x39 or byte >= 0x80

cdef bint has_letters(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Enough of them to recognize a line by."""
    cdef Py_ssize_t at
    cdef int letters = 0
    for at in range(size):
        letters += is_word_byte(data[at])
        if letters >= ANCHOR_LETTERS:
            return True
    return False

cdef uint32_t hash_line(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Words of eight bytes multiplied into each other; only for the table, equality is looked at byte by byte."""
    cdef uint64_t word, hash = 0x9E3779B97F4A7C15ULL ^ <uint64_t>size
    cdef Py_ssize_t at = 0
    while at < size:
        word = 0
        memcpy(&word, data + at, min(size - at, 8))
        hash = (hash ^ word) * 0xFF51AFD7ED558CCDULL  # the mixing step of MurmurHash3, public domain
        hash ^= hash >> 33
        at += 8
    return <uint32_t>((hash * 0xC4CEB9FE1A85EC53ULL) >> 32)

cdef void read_gutter(SeenLine* line) noexcept nogil:
    """The number at the start of a line of a file view: blanks, digits, then a tab, an arrow or a colon."""
    cdef Py_ssize_t at = 0, digits
    cdef int32_t number = 0
    line.number = -1
    line.gutter = line.padding = 0
    while at < line.size and at < 16 and line.data[at] == 0x20:
        at += 1
    digits = at
    while at < line.size and at - digits < NUMBER_DIGITS and 0x30 <= line.data[at] <= 0x39:
        number = number * 10 + line.data[at] - 0x30
        at += 1
    if at == digits or at == line.size or (line.data[digits] == 0x30 and at - digits > 1):
        return
    if line.data[at] == 0x09 or (line.data[at] == 0x3A and digits == 0):
        line.gutter = <uint8_t>(at + 1)
    elif at + 3 <= line.size and line.data[at] == 0xE2 and line.data[at + 1] == 0x86 and line.data[at + 2] == 0x92:
        line.gutter = <uint8_t>(at + 3)
    else:
        return
    line.number = number
    line.padding = <uint8_t>digits

cdef bint is_reference(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """It starts as the lines do that say a run."""
    return size > 3 and data[0] == 0x5B and data[1] == 0x2B and 0x30 <= data[2] <= 0x39

cdef bint has_marker(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Something is left out here."""
    cdef Py_ssize_t at = 0
    cdef const uint8_t* found
    while at + 6 <= size:
        found = <const uint8_t*>memchr(data + at, 0x3C, size - at - 5)
        if found == NULL:
            return False
        if memcmp(found, b"<<ccr:", 6) == 0:
            return True
        at = found - data + 1
    return False

cdef SeenLine read_line(const uint8_t* data, Py_ssize_t size, int32_t text) noexcept nogil:
    cdef SeenLine line
    line.data = data
    line.size = <uint32_t>size
    line.text = text
    line.earlier = line.slot = -1
    read_gutter(&line)
    line.hash = hash_line(data + line.gutter, size - line.gutter)
    line.ends = is_reference(data, size) or has_marker(data, size)
    return line

cdef inline int32_t digits_of(int32_t number) noexcept nogil:
    cdef int32_t digits = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits

cdef bint reads_as(const SeenLine* a, const SeenLine* b, int32_t shift) noexcept nogil:
    """`b` reads as `a` with that added to its number; a padded number keeps its width as long as it fits."""
    cdef int32_t padding
    if a.hash != b.hash or a.gutter == 0 or b.gutter == 0 or shift == 0:
        return a.hash == b.hash and a.size == b.size and memcmp(a.data, b.data, a.size) == 0
    if b.number - a.number != shift or a.size - a.gutter != b.size - b.gutter:
        return False
    padding = a.padding
    if padding > 0:
        padding += digits_of(a.number) - digits_of(b.number)
    if b.padding != (padding if padding > 0 else 0):
        return False
    # What stands behind the digits is the same too: the sign that ends the number, and the line.
    padding = a.padding + digits_of(a.number)
    return (a.size - padding == b.size - b.padding - digits_of(b.number)
            and memcmp(a.data + padding, b.data + b.padding + digits_of(b.number), a.size - padding) == 0)

cdef inline int32_t seen_slot(const Seen* seen, uint32_t hash) noexcept nogil:
    """The place of a hash in the table, which is never full."""
    cdef uint32_t slot = hash & seen.mask
    while seen.table[slot] >= 0 and seen.lines[seen.table[slot]].hash != hash:
        slot = (slot + 1) & seen.mask
    return <int32_t>slot

cdef void seen_add(Seen* seen, SeenLine line) noexcept nogil:
    """A line that a reader sees."""
    cdef SeenLine* lines
    cdef Py_ssize_t capacity
    if seen.size == seen.capacity:
        capacity = seen.capacity * 2 if seen.capacity else 1024
        lines = <SeenLine*>realloc(seen.lines, capacity * sizeof(SeenLine))
        if lines == NULL:
            seen.failed = True
            return
        seen.lines = lines
        seen.capacity = capacity
    line.slot = line.earlier = -1
    if not line.ends and has_letters(line.data + line.gutter, line.size - line.gutter):
        line.slot = seen_slot(seen, line.hash)
        line.earlier = seen.table[line.slot]
        seen.table[line.slot] = <int32_t>seen.size
    seen.lines[seen.size] = line
    seen.size += 1

cdef void seen_forget(Seen* seen, Py_ssize_t size) noexcept nogil:
    """All lines from there on, the last one first: so the table is as it was before they came."""
    cdef SeenLine* line
    while seen.size > size:
        seen.size -= 1
        line = &seen.lines[seen.size]
        if line.slot >= 0:
            seen.table[line.slot] = line.earlier

cdef int indent_of(const SeenLine* line) noexcept nogil:
    """Blanks and tabs behind the number; -1 for a line of nothing else."""
    cdef Py_ssize_t at = line.gutter
    while at < line.size and (line.data[at] == 0x20 or line.data[at] == 0x09):
        at += 1
    return <int>(at - line.gutter) if at < line.size else -1

cdef int32_t whole_part(const SeenLine* lines, int32_t count, Py_ssize_t left) noexcept nogil:
    """As many of the lines as leave no name away from what it names.

    A line that has the next line under it (deeper) stays with it: the head of a block, of a table, of a list.
    """
    cdef int depth, indent
    cdef int32_t i
    if count >= left:
        return count
    depth = indent_of(&lines[count])  # of the first line behind the run
    i = count
    while i > 0 and depth > 0:
        indent = indent_of(&lines[i - 1])
        if indent >= 0 and indent < depth:
            # The lines between this head and the end of the run belong to it: the run ends before it.
            if count - i > HEAD_LINES:
                return count
            count = i - 1
            depth = indent
        i -= 1
    return count

cdef Run longest_run(const Seen* seen, const SeenLine* lines, Py_ssize_t left) noexcept nogil:
    """The longest run behind the first of the lines; the most recent of equally long ones.

    Args:
        seen: what a reader has seen so far, of earlier texts and of this one.
        lines: what is to come of the text; `left` of them.
    """
    cdef Run best, run
    cdef int looks = 0
    cdef int32_t at
    cdef const SeenLine* source
    best.count = 0
    best.source = best.shift = 0
    if lines[0].ends or not has_letters(lines[0].data + lines[0].gutter, lines[0].size - lines[0].gutter):
        return best
    at = seen.table[seen_slot(seen, lines[0].hash)]
    while at >= 0 and looks < REPEAT_LOOKS:
        looks += 1
        source = &seen.lines[at]
        run.source = at
        run.shift = lines[0].number - source.number if lines[0].gutter and source.gutter else 0
        run.count = 0
        at = source.earlier
        if run.shift and left > 1 and not lines[1].gutter:
            continue  # it would not be said from which number on
        if not reads_as(source, &lines[0], run.shift):
            continue
        while (run.count + 1 < left and run.source + run.count + 1 < seen.size
               and source[run.count + 1].text == source.text and not source[run.count + 1].ends
               and not lines[run.count + 1].ends
               and reads_as(&source[run.count + 1], &lines[run.count + 1], run.shift)):
            run.count += 1
        run.count = whole_part(lines + 1, run.count, left - 1)
        if run.count > best.count:
            best = run
    return best

cdef void put_count(Buffer* out, int64_t number) noexcept nogil:
    cdef uint8_t digits[20]
    cdef int at = 20
    while True:
        at -= 1
        digits[at] = <uint8_t>(0x30 + number % 10)
        number //= 10
        if number == 0:
            break
    buffer_put(out, digits + at, 20 - at)

cdef bint is_first(const Seen* seen, int32_t place, bint numbered) noexcept nogil:
    """A reader who looks for the line from the top of its text finds this place."""
    cdef const SeenLine* line = &seen.lines[place]
    cdef int32_t at = line.earlier
    cdef int looks = 0
    while at >= 0 and seen.lines[at].text == line.text:
        looks += 1
        if numbered or looks > FIRST_LOOKS or reads_as(&seen.lines[at], line, 0):
            return False
        at = seen.lines[at].earlier
    return True

cdef void put_reference(Buffer* out, const Seen* seen, Run run, const SeenLine* lines, Py_ssize_t own) noexcept nogil:
    """`[+33 lines as in result 7]`, with what is needed to find and to number them."""
    cdef const SeenLine* source = &seen.lines[run.source]
    buffer_text(out, b"[+")
    put_count(out, run.count)
    buffer_text(out, b" lines as" if run.count > 1 else b" line as")
    if run.source < own:
        buffer_text(out, b" in result ")
        put_count(out, source.text + 1)
    else:
        buffer_text(out, b" above")
    if not is_first(seen, run.source, run.shift != 0):
        buffer_text(out, b", from line ")
        put_count(out, run.source - seen.firsts[source.text] + 2)
    if run.shift:
        buffer_text(out, b", numbered from ")
        put_count(out, lines[1].number)
    buffer_byte(out, 0x5D)

cdef Py_ssize_t count_lines(const uint8_t* data, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t lines = 1
    cdef const uint8_t* end = data + size
    while True:
        data = <const uint8_t*>memchr(data, 0x0A, end - data)
        if data == NULL:
            return lines
        lines += 1
        data += 1

cdef inline int64_t estimate_lines(const SeenLine* lines, Py_ssize_t count) noexcept nogil:
    """Of lines that follow each other in one text."""
    return estimate_tokens(lines[0].data, lines[count - 1].data + lines[count - 1].size - lines[0].data)

cdef bint fold_text(Seen* seen, SeenLine* lines, Py_ssize_t count, Buffer* out) noexcept nogil:
    """Write a text with its repeats folded, and note what a reader sees of it; whether anything was folded."""
    cdef Py_ssize_t own = seen.size, at = 0, start = out.size, place
    cdef int64_t saved = 0, gain
    cdef Run run
    cdef Estimate before
    cdef SeenLine said
    cdef bint folded = False
    while at < count:
        run = longest_run(seen, lines + at, count - at)
        buffer_put(out, lines[at].data, lines[at].size)
        if at + 1 < count or run.count:
            buffer_byte(out, 0x0A)
        if run.count:
            place = out.size
            put_reference(out, seen, run, lines + at, own)
            gain = 0
            if not out.failed:
                gain = estimate_lines(lines + at + 1, run.count) - estimate_tokens(out.data + place, out.size - place)
            if gain >= REPEAT_TOKENS:
                saved += gain
                folded = True
                seen_add(seen, lines[at])
                said = lines[at]
                said.ends = True
                said.size = 0
                said.gutter = 0
                seen_add(seen, said)
                at += 1 + run.count
                if at < count:
                    buffer_byte(out, 0x0A)
                continue
            out.size = place if at + 1 < count else place - 1
        seen_add(seen, lines[at])
        at += 1
    if folded and saved >= TEXT_TOKENS:
        return True
    out.size = start
    seen_forget(seen, own)
    for at in range(count):
        seen_add(seen, lines[at])
    return False

cdef bint fold_texts(
    const uint8_t** texts, const Py_ssize_t* sizes, Py_ssize_t count, Buffer* out, Py_ssize_t* ends
) noexcept nogil:
    """All texts in order: what changed is written one after the other, with its end; -1 for the others. False: no memory.

    `ends` comes in with -1 for texts that must stay as they are.
    """
    cdef Seen seen
    cdef SeenLine* lines = NULL
    cdef Py_ssize_t i, j, n, most = 0, total = 0, slots = 1024
    cdef const uint8_t* at
    cdef const uint8_t* stop
    cdef const uint8_t* end
    cdef bint imitates, failed
    for i in range(count):
        n = count_lines(texts[i], sizes[i])
        most = max(most, n)
        total += n
    while slots < 2 * total:
        slots *= 2
    memset(&seen, 0, sizeof(seen))
    seen.mask = <uint32_t>(slots - 1)
    seen.table = <int32_t*>malloc(slots * sizeof(int32_t))
    seen.firsts = <int32_t*>malloc((count + 1) * sizeof(int32_t))
    lines = <SeenLine*>malloc((most + 1) * sizeof(SeenLine))
    if seen.table == NULL or seen.firsts == NULL or lines == NULL or total > 0x40000000:
        free(seen.table)
        free(seen.firsts)
        free(lines)
        return False
    memset(seen.table, 0xFF, slots * sizeof(int32_t))
    for i in range(count):
        at = texts[i]
        stop = at + sizes[i]
        n = 0
        seen.firsts[i] = <int32_t>seen.size
        imitates = False
        while True:
            end = <const uint8_t*>memchr(at, 0x0A, stop - at)
            lines[n] = read_line(at, (end if end != NULL else stop) - at, <int32_t>i)
            imitates = imitates or is_reference(at, lines[n].size)
            n += 1
            if end == NULL:
                break
            at = end + 1
        # Where a line looks like a reference, what is folded would not be told from it.
        if ends[i] < 0 or imitates:
            ends[i] = -1
            for j in range(n):
                seen_add(&seen, lines[j])
        else:
            ends[i] = out.size if fold_text(&seen, lines, n, out) else -1
    failed = seen.failed or out.failed
    free(seen.lines)
    free(seen.table)
    free(seen.firsts)
    free(lines)
    return not failed

def fold(list texts not None, list frozen not None):
    """Texts in the order in which a reader sees them, with runs of lines that stand above already said by a line.

    Args:
        texts: UTF-8.
        frozen: for each, whether it has to stay as it is.

    Returns:
        For each text its shorter form (docs/repeats.md), None where it stays as it is.

    Raises:
        TypeError: not all texts are bytes.
        ValueError: the lists are not equally long.
    """
    cdef Py_ssize_t count = len(texts), i, start = 0
    cdef const uint8_t** data = <const uint8_t**>malloc((count + 1) * sizeof(void*))
    cdef Py_ssize_t* sizes = <Py_ssize_t*>malloc((count + 1) * sizeof(Py_ssize_t))
    cdef Py_ssize_t* ends = <Py_ssize_t*>malloc((count + 1) * sizeof(Py_ssize_t))
    cdef tuple held = tuple(texts)  # somebody may change the list meanwhile
    cdef tuple fixed = tuple(frozen)
    cdef Buffer out
    cdef bint done
    buffer_open(&out)
    try:
        if data == NULL or sizes == NULL or ends == NULL:
            raise MemoryError
        if len(held) != count or len(fixed) != count:
            raise ValueError(f"{len(held)} texts, {len(fixed)} flags")
        for i in range(count):
            ends[i] = -1 if fixed[i] else 0
            if not isinstance(held[i], bytes):
                raise TypeError(f"text {i} is {type(held[i]).__name__}, not bytes")
            data[i] = <const uint8_t*>PyBytes_AS_STRING(held[i])
            sizes[i] = PyBytes_GET_SIZE(held[i])
        with nogil:
            done = fold_texts(data, sizes, count, &out, ends)
        if not done:
            raise MemoryError
        folded = []
        for i in range(count):
            if ends[i] < 0:
                folded.append(None)
            else:
                folded.append(PyBytes_FromStringAndSize(<char*>out.data + start, ends[i] - start))
                start = ends[i]
        return folded
    finally:
        free(data)
        free(sizes)
        free(ends)
        buffer_close(&out)
