# Objects that a table says once: a small table above its rows, from which cells take them by the value of their first member.

# Bytes in `objects`: the object, and in it the value of its first member.
cdef struct SaidObject:
    Span object
    Span key

cdef inline uint64_t turned(uint64_t word, int bits) noexcept nogil:
    return word << bits | word >> (64 - bits)

cdef inline void hash_round(uint64_t* v) noexcept nogil:
    """One round of SipHash."""
    v[0] += v[1]
    v[2] += v[3]
    v[1] = turned(v[1], 13) ^ v[0]
    v[3] = turned(v[3], 16) ^ v[2]
    v[0] = turned(v[0], 32)
    v[2] += v[1]
    v[0] += v[3]
    v[1] = turned(v[1], 17) ^ v[2]
    v[3] = turned(v[3], 21) ^ v[0]
    v[2] = turned(v[2], 32)

cdef uint64_t hash_bytes(const uint8_t* data, Py_ssize_t size, uint64_t seed) noexcept nogil:
    """SipHash-1-3: with a seed that nobody knows, nobody can write keys that all fall together."""
    cdef uint64_t v[4]
    cdef uint64_t word
    cdef Py_ssize_t at = 0
    cdef int left
    v[0] = seed ^ 0x736F6D6570736575ULL
    v[1] = 0x646F72616E646F6DULL
    v[2] = seed ^ 0x6C7967656E657261ULL
    v[3] = 0x7465646279746573ULL
    while size - at >= 8:
        memcpy(&word, data + at, 8)
        v[3] ^= word
        hash_round(v)
        v[0] ^= word
        at += 8
    word = 0
    memcpy(&word, data + at, size - at)
    word ^= <uint64_t>size << 56
    v[3] ^= word
    hash_round(v)
    v[0] ^= word
    v[2] ^= 0xFF
    for left in range(3):
        hash_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]

cdef int32_t* find_slot(
    const Decoder* d, const TableHead* t, const HeadColumn* column, const uint8_t* key, Py_ssize_t size
) noexcept nogil:
    """The slot of the object of a column whose first member has this value as JSON, or the free one where it would be."""
    # The address of the decoder is the seed: it is not the same twice, and decides nothing but the order of the slots.
    cdef uint64_t slot = hash_bytes(key, size, <uint64_t><size_t>d)
    cdef int32_t* slots = <int32_t*>t.slots.data + column.first_slot
    cdef const SaidObject* entry
    while True:
        slot &= column.slot_mask
        if slots[slot] == 0:
            return slots + slot
        entry = <const SaidObject*>t.entries.data + column.first_entry + slots[slot] - 1
        if entry.key.end - entry.key.start == size and memcmp(t.objects.data + entry.key.start, key, size) == 0:
            return slots + slot
        slot += 1

cdef bint list_object(Decoder* d, TableHead* t, Py_ssize_t start) noexcept nogil:
    """Note an object that was written from `start` on, and its key's value, for the table that says it once."""
    cdef Buffer* out = d.out
    cdef const HeadColumn* column = t.lister
    cdef Py_ssize_t size = column.value.end - column.value.start
    cdef uint8_t kind = 0, flags = 0
    cdef SaidObject entry
    if out.failed:
        return False
    entry.object = Span(start, out.size)
    entry.key.start = start + 1 + size
    if entry.key.start >= out.size or memcmp(out.data + start + 1, (t - 1).names.data + column.value.start, size) != 0:
        return refuse(d, b"an object said once whose first key is another one", d.at)
    entry.key.end = scan_scalar(out.data, entry.key.start, out.size, &kind, &flags)
    if entry.key.end < 0 or (kind != KIND_STRING and kind != KIND_NUMBER):
        return refuse(d, b"an object said once whose first value is neither a string nor a number", d.at)
    buffer_put(&(t - 1).entries, <const uint8_t*>&entry, sizeof(SaidObject))
    return not (t - 1).entries.failed

cdef bint index_objects(Decoder* d, TableHead* t, HeadColumn* column) noexcept nogil:
    """Put the objects of a column into slots."""
    cdef Py_ssize_t room = 4
    cdef const SaidObject* entry
    cdef int32_t i
    cdef int32_t* slot
    column.entry_count = <int32_t>(t.entries.size // <Py_ssize_t>sizeof(SaidObject)) - column.first_entry
    while room < 2 * <Py_ssize_t>column.entry_count:
        room *= 2
    if not buffer_reserve(&t.slots, room * sizeof(int32_t)):
        return False
    column.first_slot = t.slots.size // <Py_ssize_t>sizeof(int32_t)
    column.slot_mask = room - 1
    memset(t.slots.data + t.slots.size, 0, room * sizeof(int32_t))
    t.slots.size += room * sizeof(int32_t)
    for i in range(column.entry_count):
        entry = <const SaidObject*>t.entries.data + column.first_entry + i
        slot = find_slot(d, t, column, t.objects.data + entry.key.start, entry.key.end - entry.key.start)
        if slot[0]:
            return refuse(d, b"two objects said once with the same first value", d.at)
        slot[0] = i + 1
    return True

cdef bint read_said_table(Decoder* d, TableHead* t, HeadColumn* column) noexcept nogil:
    """The table of a column's objects: the path of the column, then a table as others."""
    cdef TableHead* listing = t + 1
    cdef HeadColumn path
    cdef Span key
    cdef int32_t level
    if d.indent < t.indent:
        return refuse(d, b"no table of objects said once", d.at)
    d.at += t.indent
    listing.names.size = listing.keys.size = 0
    listing.around = t.around
    d.out = &listing.names
    if not read_path(d, listing, &path):
        return False
    for level in range(column.depth):
        if path.depth != column.depth or not equal_names(
            listing, path_key(listing, &path, level)[0], t, path_key(t, column, level)[0]
        ):
            return refuse(d, b"not the table of objects said once of the next column", d.at)
    if not starts(d, d.at, b" [") or not table_starts(d, d.at + 1, listing) or listing.kind != TABLE_RECORDS:
        return refuse(d, b"not the table of objects said once of the next column", d.at)
    d.at = listing.start
    listing.indent = t.indent + 1
    listing.around = t.around + column.depth
    listing.lister = column
    d.out = &t.objects
    column.first_entry = <int32_t>(t.entries.size // <Py_ssize_t>sizeof(SaidObject))
    if not read_columns(d, listing):
        return False
    if listing.said:
        return refuse(d, b"objects said once in objects said once", d.at)
    key = Span(column.value.start, column.value.end - 1)  # without its colon
    if column_at(listing, 0).depth > 1 or not equal_names(listing, path_key(listing, column_at(listing, 0), 0)[0], t, key):
        return refuse(d, b"objects said once whose first column is not their key", d.at)
    return read_rows(d, listing, listing.count) and index_objects(d, t, column)

cdef bint read_said(Decoder* d, TableHead* t) noexcept nogil:
    """The tables of what a table says once, one for each such column."""
    cdef Buffer* out = d.out
    cdef int32_t index
    t.objects.size = t.entries.size = t.slots.size = 0
    for index in range(t.width):
        if column_at(t, index).kind == READ_SAID and not read_said_table(d, t, column_at(t, index)):
            return False
    d.out = out
    return True

cdef bint read_said_cell(Decoder* d, TableHead* t, const HeadColumn* column) noexcept nogil:
    """The object whose first member has the value that the cell holds."""
    cdef Buffer* out = d.out
    cdef Py_ssize_t start = out.size, at = d.at
    cdef const SaidObject* entry
    cdef int32_t number
    if not read_cell(d, t.indent, t.around + column.depth) or out.failed:
        return False
    number = find_slot(d, t, column, out.data + start, out.size - start)[0]
    if number == 0:
        return refuse(d, b"a value that the table above does not list", at)
    out.size = start
    entry = <const SaidObject*>t.entries.data + column.first_entry + number - 1
    if not spend(d, entry.object.end - entry.object.start):
        return False
    buffer_put(out, t.objects.data + entry.object.start, entry.object.end - entry.object.start)
    return True
