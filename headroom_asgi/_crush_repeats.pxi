# Repeats: runs of lines that an earlier text has already, said by a line that names the place (docs/repeats.md).
#
# What other files use: nothing. The entry point is `Above.add`.
#
# One pass over the lines of all texts. Lines that can be recognized (anchors) are found by a hash of what stands behind their
# number; from there a run goes on as long as the lines are the same. What is compared with are the lines of earlier texts, and of
# the same text so far, as they read: where a line says a run, the lines of that run. An anchor stands there openly, and only so
# many references lead from one to the next. A line that looks like one, and one with a marker, is never part of a run.
#
# A text is folded by what stands above it only. So what was seen is kept from one request of a conversation to the next, which
# adds its own texts: lines are entered one after the other, and taken back in the opposite order where another branch begins.

cdef enum:
    REPEAT_TOKENS = 12  # a run must save so many; below, the reader's look is not worth it
    REPEAT_LOOKS = 8  # earlier places looked at for one anchor
    FIRST_LOOKS = 256  # lines with the same words looked at, of which a reader might find one before that which is meant
    MOST_HOPS = 3  # references that a reader has to follow, each into the text that the one before names
    HELD_BYTES = 300  # of the objects that hold a text and its names

cdef enum Form:  # in which lines stand, compared with how they stand at the source
    AS_THERE
    RENUMBERED  # with other numbers
    NUMBERED  # with numbers, there without
    UNNUMBERED  # without the numbers that they have there
    SIGNED  # each behind one and the same sign, there without
    UNSIGNED  # without the signs that they have there
    UNSIGNED_NUMBERED  # with numbers instead
    NO_FORM  # that could be said

cdef struct Run:
    int32_t source  # the line that is the same as the anchor
    int32_t count  # lines after it
    int32_t shift  # of their numbers
    Form form
    uint8_t sign  # that stands before each of them
    bint opens  # the anchor is one of them
    uint8_t hops  # the most references that a reader follows from one of its lines

cdef Form form_of(const SeenLine* source, bint behind_source, const SeenLine* line, bint behind_sign) noexcept nogil:
    """In which form a line is the same as that of the source; both are looked at with their signs, or behind them."""
    if behind_sign:
        return NO_FORM if behind_source or source.gutter else SIGNED
    if behind_source:
        return UNSIGNED_NUMBERED if line.gutter else UNSIGNED
    if line.gutter and source.gutter:
        return AS_THERE if line.number == source.number else RENUMBERED
    if line.gutter:
        return NUMBERED
    return UNNUMBERED if source.gutter else AS_THERE

cdef bint stands_in(const SeenLine* source, const SeenLine* anchor, int32_t ahead, Run run) noexcept nogil:
    """That many lines behind their anchors, the source has the line, as the run says."""
    cdef const SeenLine* there = &source[ahead]
    cdef const SeenLine* line = &anchor[ahead]
    # Of other numbers only the first one is said, so the lines behind it must have the next ones: nothing is there to compute.
    if run.form == RENUMBERED and ahead > 1 and line.gutter and (
            not anchor[ahead - 1].gutter or line.number != anchor[ahead - 1].number + 1):
        return False
    if run.form <= RENUMBERED:
        return reads_as(there, line, run.shift)
    if run.form == NUMBERED:
        return not there.gutter and numbers_on(anchor, line, ahead) and same_behind(there, False, line, False)
    if run.form == UNNUMBERED:
        return there.gutter and not line.gutter and same_behind(there, False, line, False)
    if run.form == SIGNED:
        return (not there.gutter and line.sign and (ahead == 0 or line.sign == run.sign)
                and same_behind(there, False, line, True))
    if run.form == UNSIGNED:
        return there.sign and not line.gutter and same_behind(there, True, line, False)
    return there.sign and numbers_on(anchor, line, ahead) and same_behind(there, True, line, False)

cdef inline bint is_better(const Run* run, const Run* other) noexcept nogil:
    """It is longer; of equally long ones it stands there openly, or as it stands here."""
    if run.count != other.count:
        return run.count > other.count
    if run.hops != other.hops:
        return run.hops < other.hops
    return run.form <= NUMBERED < other.form

cdef void look_for_runs(const Seen* seen, const SeenLine* lines, Py_ssize_t left, bint behind_sign, Run* best) noexcept nogil:
    """Runs behind the first of the lines, at the most recent places where it stands as it is, or what stands behind its sign."""
    cdef int32_t entry = seen.table[seen_slot(seen, lines[0].bare if behind_sign else lines[0].hash)]
    cdef int looks = 0
    cdef Run run
    cdef const SeenLine* source
    run.sign = lines[1].sign if behind_sign else 0
    run.opens = False
    while entry >= 0 and looks < REPEAT_LOOKS:
        looks += 1
        run.source = entry >> 1
        source = &seen.lines[run.source]
        run.form = form_of(source, entry & 1, lines, behind_sign)
        entry = earlier_entry(seen, entry)
        run.count = 0
        run.hops = 0
        run.shift = lines[0].number - source.number if run.form == RENUMBERED else 0
        if run.form == NO_FORM or (run.form == RENUMBERED and left > 1 and not lines[1].gutter):
            continue  # it would not be said from which number on
        if source.ends or source.hops or not stands_in(source, lines, 0, run):
            continue
        while (run.count + 1 < left and run.source + run.count + 1 < seen.size
               and source[run.count + 1].text == source.text and source[run.count + 1].hops < MOST_HOPS
               and not source[run.count + 1].ends and not lines[run.count + 1].ends
               and stands_in(source, lines, run.count + 1, run)):
            run.count += 1
            run.hops = max(run.hops, source[run.count].hops)
        run.count = whole_part(lines + 1, run.count, left - 1)
        if is_better(&run, best):
            best[0] = run

cdef Run longest_run(const Seen* seen, const SeenLine* lines, Py_ssize_t left) noexcept nogil:
    """The longest run behind the first of the lines; of equally long ones the most recent of those that stand there openly.

    It may have no line; its count is -1 where the first one does not stand above either.

    Args:
        seen: what a reader has seen so far, of earlier texts and of this one.
        lines: what is to come of the text; `left` of them.
    """
    cdef Run best
    best.count = -1
    best.source = best.shift = 0
    best.hops = best.sign = best.opens = 0
    best.form = AS_THERE
    if not lines[0].ends and has_letters(lines[0].data + lines[0].gutter, lines[0].size - lines[0].gutter):
        look_for_runs(seen, lines, left, False, &best)
        if left > 1 and lines[0].sign and lines[1].sign:
            look_for_runs(seen, lines, left, True, &best)
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

cdef bint is_first(const Seen* seen, Run run) noexcept nogil:
    """A reader who looks for the anchor from the top of the text that is named finds this place."""
    cdef const SeenLine* line = &seen.lines[run.source]
    cdef bint behind_signs = run.form == UNSIGNED or run.form == UNSIGNED_NUMBERED
    cdef int32_t entry = line.earlier_bare if behind_signs else line.earlier
    cdef int looks = 0
    if run.opens:
        return False  # there is none
    while entry >= 0 and seen.lines[entry >> 1].text == line.text:
        looks += 1
        if run.form != AS_THERE or looks > FIRST_LOOKS or reads_as(&seen.lines[entry >> 1], line, 0):
            return False
        entry = earlier_entry(seen, entry)
    return True

cdef void put_reference(Buffer* out, const Seen* seen, Run run, const SeenLine* lines, Py_ssize_t own) noexcept nogil:
    """`[+33 lines as in result 7]`, with what is needed to find and to number them."""
    cdef const SeenLine* source = &seen.lines[run.source]
    cdef const Place* place = &seen.places[source.text]
    cdef const SeenLine* first = source + 1 - run.opens
    cdef bint is_near
    buffer_text(out, b"[+")
    put_count(out, run.count + run.opens)
    buffer_text(out, b" lines as" if run.count + run.opens > 1 else b" line as")
    if run.source >= own:
        buffer_text(out, b" above")
    else:
        buffer_text(out, b" in ")
        is_near = place.result == seen.places[lines[0].text].result
        buffer_put(out, place.near if is_near else place.name, place.near_size if is_near else place.name_size)
    if is_first(seen, run):
        pass
    elif first.rises:
        # Where lines have numbers, nobody counts them.
        buffer_text(out, b", from number ")
        put_count(out, first.number)
    else:
        buffer_text(out, b", from line ")
        put_count(out, run.source - place.first + 2 - run.opens)
    if run.form == UNNUMBERED:
        buffer_text(out, b", without numbers")
    elif run.form == UNSIGNED or run.form == UNSIGNED_NUMBERED:
        buffer_text(out, b", without signs")
    if run.form == RENUMBERED or run.form == NUMBERED or run.form == UNSIGNED_NUMBERED:
        buffer_text(out, b", numbered from ")
        put_count(out, lines[1].number)
    elif run.form == SIGNED:
        buffer_text(out, b', each behind "' if run.count > 1 else b', behind "')
        buffer_byte(out, run.sign)
        buffer_byte(out, 0x22)
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

cdef int64_t put_run(Buffer* out, const Seen* seen, Run run, const SeenLine* lines, Py_ssize_t own) noexcept nogil:
    """Write what says a run behind the first of the lines; how many tokens that saves, 0 if it takes as many bytes."""
    cdef Py_ssize_t start = out.size
    cdef const SeenLine* first = &lines[1 - run.opens]
    cdef const SeenLine* last = &lines[run.count]
    cdef Py_ssize_t size = last.data + last.size - first.data
    put_reference(out, seen, run, lines, own)
    if out.failed or out.size - start >= size:
        return 0
    return estimate_tokens(first.data, size) - estimate_tokens(out.data + start, out.size - start)

cdef bint says_form(const SeenLine* line) noexcept nogil:
    """It says in which form a text stands."""
    return (line.size > 5 and line.data[0] == 0x5B
            and (memcmp(line.data + 1, b"json", 4) == 0 or memcmp(line.data + 1, b"text", 4) == 0
                 or memcmp(line.data + 1, b"view", 4) == 0))

cdef int32_t opening_part(const SeenLine* lines, Py_ssize_t at, Py_ssize_t count, Run run) noexcept nogil:
    """How many lines at the beginning of a text, up to the end of a run, may be said without an anchor; 0 if this is no beginning."""
    cdef Py_ssize_t end = at + run.count + 1
    if at > 1 or says_form(&lines[0]) != (at == 1) or run.count < 0 or run.form != AS_THERE:
        return 0
    # What a view shows below a line is not what that names, however deep it stands.
    if end < count and lines[end].gutter and not lines[end - 1].gutter:
        return run.count + 1
    return whole_part(lines + at, run.count + 1, count - at)

cdef bint fold_text(Seen* seen, SeenLine* lines, Py_ssize_t count, int64_t least, Buffer* out) noexcept nogil:
    """Write a text with its repeats folded, and note what it says; whether that saves so many tokens."""
    cdef Py_ssize_t own = seen.size, at = 0, start = out.size, place, end, i
    cdef int64_t saved = 0, gain, more
    cdef int32_t opening
    cdef Run run
    while at < count:
        run = longest_run(seen, lines + at, count - at)
        opening = opening_part(lines, at, count, run)
        gain = 0
        place = out.size
        buffer_put(out, lines[at].data, lines[at].size)
        if run.count > 0:
            end = out.size
            buffer_byte(out, 0x0A)
            gain = put_run(out, seen, run, lines + at, own)
            if gain < REPEAT_TOKENS:
                out.size = end
                gain = 0
        if opening:
            # The first line of a text has no anchor above it. It stays, as one of the next lines, unless it is long itself.
            end = out.size
            run.opens = True
            i = run.count
            run.count = opening - 1
            more = put_run(out, seen, run, lines + at, own)
            if more >= gain + REPEAT_TOKENS:
                memmove(out.data + place, out.data + end, out.size - end)
                out.size -= end - place
                gain = more
            else:
                out.size = end
                run.opens = False
                run.count = <int32_t>i
        if not run.opens:
            seen_add(seen, lines[at])
        if gain:
            saved += gain
            for i in range(at + 1 - run.opens, at + 1 + run.count):
                lines[i].hops = seen.lines[run.source + i - at].hops + 1
                seen_add(seen, lines[i])
            at += run.count
        at += 1
        if at < count:
            buffer_byte(out, 0x0A)
    if saved >= least:
        return True
    out.size = start
    for i in range(own, seen.size):
        seen.lines[i].hops = 0
    return False

cdef bint fold_texts(
    Seen* seen, const uint8_t** texts, const Py_ssize_t* sizes, Py_ssize_t count, const int64_t* least, Buffer* out, Py_ssize_t* ends
) noexcept nogil:
    """The next texts in order: what changed is written one after the other, with its end; -1 for the others. False: no memory.

    Their places are there, but for the first lines.
    """
    cdef SeenLine* lines = NULL
    cdef Py_ssize_t i, j, n, size, signed, most = 0, total = 0
    cdef const uint8_t* at
    cdef const uint8_t* stop
    cdef const uint8_t* end
    cdef int32_t highest
    cdef bint imitates, of_hunk
    for i in range(count):
        n = count_lines(texts[i], sizes[i])
        if n <= SEEN_LIMIT:
            most = max(most, n)
            total = min(total + n, SEEN_LIMIT)
    lines = <SeenLine*>malloc((most + 1) * sizeof(SeenLine))
    if lines == NULL or not seen_open(seen, total):
        free(lines)
        return False
    for i in range(count):
        at = texts[i]
        stop = at + sizes[i]
        n = 0
        seen.places[seen.texts].first = <int32_t>seen.size
        seen.texts += 1
        if seen.size + count_lines(at, sizes[i]) > SEEN_LIMIT:
            ends[i] = -1  # neither folded nor referred to
            continue
        imitates = of_hunk = False
        signed = 0
        highest = -1
        while True:
            end = <const uint8_t*>memchr(at, 0x0A, stop - at)
            size = (end if end != NULL else stop) - at
            of_hunk = in_hunk(of_hunk, at, size)
            lines[n] = read_line(at, size, <int32_t>(seen.texts - 1), of_hunk)
            imitates = imitates or is_reference(at, size)
            signed += lines[n].sign != 0
            lines[n].rises = lines[n].number > highest
            highest = max(highest, lines[n].number)
            n += 1
            if end == NULL:
                break
            at = end + 1
        if not seen_open(seen, n + signed):
            free(lines)
            return False
        # Where a line looks like a reference, what is folded would not be told from it.
        if least[i] < 0 or imitates:
            ends[i] = -1
            for j in range(n):
                seen_add(seen, lines[j])
        else:
            ends[i] = out.size if fold_text(seen, lines, n, max(least[i], 1), out) else -1
    free(lines)
    return not seen.failed and not out.failed

cdef class Above:
    """What a reader has seen so far: texts, each folded by what stands above it (docs/repeats.md). For one thread at a time.

    One for which memory was too short is of no use any more.
    """

    cdef Seen seen
    cdef list held  # the texts and their names: lines and places point into them
    cdef Py_ssize_t text_bytes

    def __cinit__(self):
        memset(&self.seen, 0, sizeof(Seen))
        self.held = []

    def __dealloc__(self):
        free(self.seen.lines)
        free(self.seen.table)
        free(self.seen.places)

    def __len__(self):
        """How many texts there are."""
        return self.seen.texts

    @property
    def size(self):
        """Bytes that are held: texts, and what is known of their lines."""
        cdef Py_ssize_t known = self.seen.capacity * sizeof(SeenLine) + self.seen.slots * sizeof(int32_t)
        return known + self.text_bytes + self.seen.texts * (sizeof(Place) + HELD_BYTES)

    def cut(self, Py_ssize_t count):
        """Forget all texts but the first ones. ValueError if there are less."""
        if not 0 <= count <= self.seen.texts:
            raise ValueError(f"{count} of {self.seen.texts} texts")
        with nogil:
            seen_cut(&self.seen, count)
        for text, _ in self.held[count:]:
            self.text_bytes -= len(text)
        del self.held[count:]

    def add(self, list texts not None, list least not None, list names not None):
        """The next texts, with runs of lines that stand above already said by a line.

        Args:
            texts: UTF-8.
            least: for each, how many tokens folding has to save; -1 where the text has to stay as it is.
            names: for each, the number of the tool result that it is of, its name, and its name in other texts of that result.

        Returns:
            For each text its shorter form (docs/repeats.md), None where it stays as it is.

        Raises:
            TypeError: not all texts and names are bytes.
            ValueError: the lists are not equally long.
        """
        cdef Py_ssize_t count = len(texts), i, start = 0
        cdef const uint8_t** data = <const uint8_t**>malloc((count + 1) * sizeof(void*))
        cdef Py_ssize_t* sizes = <Py_ssize_t*>malloc((count + 1) * sizeof(Py_ssize_t))
        cdef Py_ssize_t* ends = <Py_ssize_t*>malloc((count + 1) * sizeof(Py_ssize_t))
        cdef int64_t* tokens = <int64_t*>malloc((count + 1) * sizeof(int64_t))
        cdef tuple asked = tuple(least)
        cdef list held = list(zip(texts, names))  # somebody may change the lists meanwhile
        cdef Buffer out
        cdef bint done
        buffer_open(&out)
        try:
            if data == NULL or sizes == NULL or ends == NULL or tokens == NULL or not self.widen(count):
                raise MemoryError
            if not len(held) == len(asked) == len(names) == count:
                raise ValueError(f"{count} texts, {len(asked)} bounds, {len(names)} names")
            for i in range(count):
                tokens[i] = asked[i]
                text, named = held[i]
                if not isinstance(text, bytes):
                    raise TypeError(f"text {i} is {type(text).__name__}, not bytes")
                data[i] = <const uint8_t*>PyBytes_AS_STRING(text)
                sizes[i] = PyBytes_GET_SIZE(text)
                self.place(self.seen.texts + i, named)
            self.held += held
            for i in range(count):
                self.text_bytes += sizes[i]
            with nogil:
                done = fold_texts(&self.seen, data, sizes, count, tokens, &out, ends)
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
            free(tokens)
            buffer_close(&out)

    cdef bint widen(self, Py_ssize_t more):
        """Room for so many places more; False if there is no memory."""
        cdef Place* places = <Place*>realloc(self.seen.places, (self.seen.texts + more + 1) * sizeof(Place))
        if places == NULL:
            return False
        self.seen.places = places
        return True

    cdef place(self, Py_ssize_t at, tuple named):
        """What a reference calls a text."""
        cdef Place* place = &self.seen.places[at]
        cdef bytes name, near
        place.result, name, near = named
        if name is None or near is None:
            raise TypeError("a name is None, not bytes")
        place.name = <const uint8_t*>PyBytes_AS_STRING(name)
        place.name_size = PyBytes_GET_SIZE(name)
        place.near = <const uint8_t*>PyBytes_AS_STRING(near)
        place.near_size = PyBytes_GET_SIZE(near)
