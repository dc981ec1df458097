# Crush text back to what it stands for: docs/crush-format.md from top to bottom, straight into a buffer, no tree.
#
# One function per rule of the grammar. Each starts at `d.at`, leaves `d.at` behind what it read, and returns False once the text
# is refused. Only containers, strings that hold JSON and blocks recurse, so the recursion is as deep as the format lets values
# nest. `around` is the number of containers that a value stands in, less `d.base`: so it is the indent of its members, items or
# rows as well. Whatever the grammar does not prescribe is refused, so a text that was cut, re-indented or re-typed is not taken
# for another value. What repeats parts of the text asks `spend` first: time and memory are linear in what is read and written.

# Strings that hold JSON

cdef bint read_styled(Decoder* d, int32_t indent, bint top) noexcept nogil:
    """The string that holds a value as JSON: (style), then the value, as an entry or on the lines below."""
    cdef Py_ssize_t start = d.out.size
    cdef int style = open_string(d)
    if style < 0 or not (end_line(d) and read_top(d, True) if top else read_entry(d, indent, True)):
        return False
    return close_string(d, start, style)

# Objects and arrays over several lines

cdef bint read_only_element(Decoder* d, int32_t indent) noexcept nogil:
    """[0]: a list whose one element, an object or list that is not empty, is the entry behind it."""
    cdef Py_ssize_t start = d.out.size + 1
    if not starts(d, d.at, b"[0]"):
        return refuse(d, b"no colon behind a key", d.at)
    d.at += 3
    buffer_byte(d.out, c"[")
    if not read_entry(d, indent, True) or d.out.failed or not holds_some(d, start):
        return False
    buffer_byte(d.out, c"]")
    return True

cdef bint read_entry(Decoder* d, int32_t indent, bint styled) noexcept nogil:
    """What stands behind a key, or behind the style of an item, with the lines below that belong to it."""
    cdef bint done
    if not styled and starts(d, d.at, b" ("):
        d.at += 1
        return read_styled(d, indent, False)
    if starts(d, d.at, b" [") or starts(d, d.at, b" {"):
        d.at += 1
        return read_table(d, indent + 1)
    if peek(d, d.at) == c"[":
        # The list counts as a level of nesting, which the indent below does not show.
        d.base += 1
        done = enter_container(d, indent) and read_only_element(d, indent)
        d.base -= 1
        return done
    if peek(d, d.at) != c":":
        return refuse(d, b"no colon behind a key", d.at)
    d.at += 1
    if peek(d, d.at) == c"\n":
        return end_line(d) and read_block(d, indent + 1)
    if peek(d, d.at) == c" " and mark_size(d, d.at + 1):
        d.at += 1
        return read_fence(d, indent + 1) and end_line(d)
    skip_glue(d)
    return read_inline(d, indent + 1) and end_line(d)

cdef bint read_block(Decoder* d, int32_t indent) noexcept nogil:
    """The members or items at an indent."""
    if d.indent < indent:
        return refuse(d, b"nothing below a line that announces it", d.at)
    if peek(d, d.at + indent) == c"-":
        return read_items(d, indent)
    return read_members(d, indent)

cdef bint read_shared(Decoder* d, Py_ssize_t start, int32_t indent) noexcept nogil:
    """k, l: the keys of several members from `start` on, of which the first has been read, and their value."""
    # The value is known only behind the last key: keys are read to find it, and once more to write the members, behind the
    # value, which then goes.
    cdef Buffer* out = d.out
    cdef Py_ssize_t size = out.size, value, end
    while starts(d, d.at, b", "):
        d.at += 2
        if not read_key(d):
            return False
    out.size = size
    if peek(d, d.at) != c":":
        return refuse(d, b"no colon behind keys that share a value", d.at)
    d.at += 1
    skip_glue(d)
    if not read_inline(d, indent + 1):
        return False
    value = out.size
    end = d.at
    if out.failed or not shareable(out.data, size, value):
        return refuse(d, b"a value that keys cannot share", end)
    d.at = start
    while True:
        if not read_key(d) or not spend(d, value - size):
            return False
        buffer_byte(out, c":")
        buffer_again(out, size, value)
        if not starts(d, d.at, b", "):
            break
        buffer_byte(out, c",")
        d.at += 2
    if out.failed:
        return False
    memmove(out.data + size, out.data + value, out.size - value)
    out.size -= value - size
    d.at = end
    return end_line(d)

cdef bint read_member(Decoder* d, int32_t indent) noexcept nogil:
    """A member with the lines below that belong to it, or several that share a value."""
    cdef Py_ssize_t start = d.at, size = d.out.size
    cdef int32_t level = indent
    if not read_key(d):
        return False
    if starts(d, d.at, b", "):
        d.out.size = size
        return read_shared(d, start, indent)
    buffer_byte(d.out, c":")
    while peek(d, d.at) == c".":
        d.at += 1
        level += 1
        buffer_byte(d.out, c"{")
        if not enter_container(d, level) or not read_key(d):
            return False
        buffer_byte(d.out, c":")
    if not read_entry(d, level, False):
        return False
    for level in range(level, indent, -1):
        buffer_byte(d.out, c"}")
    return True

cdef bint read_members(Decoder* d, int32_t indent) noexcept nogil:
    """The members of an object; the first line has been looked at."""
    if not enter_container(d, indent):
        return False
    buffer_byte(d.out, c"{")
    while True:
        d.at += indent
        if not read_member(d, indent):
            return False
        # Behind the value of a cell may stand the mark of the next text below the row.
        if d.indent < indent or peek(d, d.at + indent) == c"(" or mark_size(d, d.at + indent):
            break
        buffer_byte(d.out, c",")
    buffer_byte(d.out, c"}")
    return True

cdef bint read_items(Decoder* d, int32_t indent) noexcept nogil:
    """The elements of an array; the first line has been looked at."""
    if not enter_container(d, indent):
        return False
    buffer_byte(d.out, c"[")
    while True:
        d.at += indent + 1
        if not read_item(d, indent):
            return False
        if d.indent < indent or peek(d, d.at + indent) != c"-":
            break
        buffer_byte(d.out, c",")
    buffer_byte(d.out, c"]")
    return True

cdef bint read_item(Decoder* d, int32_t indent) noexcept nogil:
    """What stands behind the dash of an item, with the lines below that belong to it."""
    if peek(d, d.at) == c"\n":
        return end_line(d) and read_block(d, indent + 1)
    if peek(d, d.at) == c" ":
        d.at += 1
        if table_starts(d, d.at, next_table(d)):
            return read_table(d, indent + 1)
        if peek(d, d.at) == c"(":
            return read_styled(d, indent, False)
        if mark_size(d, d.at):
            return read_fence(d, indent + 1) and end_line(d)
    elif peek(d, d.at) == c"(":
        return refuse(d, b"a string that must be quoted", d.at)
    return read_inline(d, indent + 1) and end_line(d)

# The whole text

cdef bint read_top(Decoder* d, bint styled) noexcept nogil:
    """The value of the text, or of the string or block that a style above it announces."""
    cdef Py_ssize_t end
    cdef uint8_t flags = 0, first = peek(d, d.at)
    if d.indent < 0:
        return refuse(d, b"no value", d.at)
    if first == c"(" and not styled:
        return read_styled(d, 0, True)
    if table_starts(d, d.at, next_table(d)):
        return read_table(d, 0)
    if starts(d, d.at, b"[0]") and peek(d, d.at + 3) != c"\n":
        return enter_container(d, 0) and read_only_element(d, 0)
    if first == c"[" or first == c"{":
        return read_flow(d, 0) and end_line(d)
    if mark_size(d, d.at):
        return read_fence(d, 0) and end_line(d)
    if first == c'"':
        end = scan_string(d.data, d.at, d.size, &flags)
        if end >= 0 and peek(d, end) == c"\n":
            return read_quoted(d) and end_line(d)
    else:
        end = line_end(d, d.at)
        if spells_literal(d, d.at, end) and (first != c"-" or end == d.size or ends_block(d, end + 1)):
            put_spelled(d, end)
            return end_line(d)
    return read_block(d, 0)

cdef const char* EXPAND_NOTES[9]
EXPAND_NOTES[:] = [
    b"; empty cell = no such key",
    b"; * = the row's text",
    b"; x(k) = the x with that k, listed above",
    b"; \xe2\x9f\xa6\xe2\x80\xa6\xe2\x9f\xa7 says what stands there",
    b"; x* = each indented line below starts with x",
    b"; x*y* = each indented line below fills in the *, a tab between",
    b"; _ = blanks, up to its width",
    b"; \\n = new line",
    b"; rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line",
]

cdef const char* TAGS_NOTE = b"; line breaks between > and < were added"  # the first one, of a text only

cdef bint read_head(Decoder* d) noexcept nogil:
    """The notes of the head line, and its end."""
    cdef int note
    for note in range(9):
        if starts(d, d.at, EXPAND_NOTES[note]):
            d.notes |= 1 << note
            d.at += strlen(EXPAND_NOTES[note])
    if not starts(d, d.at, b"]\n"):
        return refuse(d, b"an unknown head line", d.at)
    d.at += 1
    return end_line(d)

cdef bint read_json(Decoder* d) noexcept nogil:
    """A text that is JSON itself."""
    cdef Tape tape
    cdef int fault = tape_scan(d.data, d.size, &tape)
    tape_close(&tape)
    if fault == SCAN_MEMORY:
        d.text.failed = True
        return False
    if fault != SCAN_OK:
        return refuse(d, b"neither the crush format nor JSON", tape.offset)
    return restyle(d.data, d.size, STYLE_JSON, &d.text)

cdef bint read_place(Decoder* d, Py_ssize_t* hole, int* style) noexcept nogil:
    """What stands in a head for the string below it; `hole`: where it goes, not yet known (-1)."""
    if hole[0] >= 0:
        return refuse(d, b"more than one place for what stands below", d.at)
    hole[0] = d.out.size
    if peek(d, d.at) == c"(":
        style[0] = open_string(d)
        # What stands beside it is no part of it.
        d.strings -= style[0] >= 0
        return style[0] >= 0
    if not mark_size(d, d.at):
        return refuse(d, b"no place for what stands below", d.at)
    d.at += 3
    return True

cdef bint read_fields(Decoder* d, Py_ssize_t* hole, int* style) noexcept nogil:
    """The members of a wrapper, from its bracket on."""
    while True:
        d.at += 1
        if not read_key(d):
            return False
        if peek(d, d.at) != c":":
            return refuse(d, b"no colon behind a key", d.at)
        buffer_byte(d.out, c":")
        d.at += 1
        skip_glue(d)
        if peek(d, d.at) == c"(" or mark_size(d, d.at):
            if not read_place(d, hole, style):
                return False
        elif peek(d, d.at) == c"[" or peek(d, d.at) == c"{" or not read_flow(d, 0):
            return refuse(d, b"not a scalar beside what stands below", d.at)
        if not starts(d, d.at, b", "):
            return True
        buffer_byte(d.out, c",")
        d.at += 1

cdef bint read_wrapper(Decoder* d, Py_ssize_t* hole, int* style, bint whole) noexcept nogil:
    """{type: text, text: (json2)}, or mcp text (json2), or that in a list: an object around the string that stands below the head.

    Not whole: {type: text, text: \"""; it was cut off inside that string, and is closed behind it.
    """
    # `style` gets -1 where the string is the lines below.
    cdef bint listed = peek(d, d.at) == c"[", mcp
    hole[0] = -1
    style[0] = -1
    if listed:
        d.at += 1
    buffer_text(d.out, b"[{" if listed else b"{")
    mcp = starts(d, d.at, b"mcp text ")
    if mcp:
        d.at += 9
        buffer_text(d.out, b'"type":"text","text":')
        if not read_place(d, hole, style):
            return False
        buffer_text(d.out, b',"annotations":null' if whole else b"")
    elif peek(d, d.at) != c"{":
        return refuse(d, b"not an object around what stands below", d.at)
    elif not read_fields(d, hole, style):
        return False
    if hole[0] < 0 or (whole and not starts(d, d.at, (b"]" if listed else b"") if mcp else (b"}]" if listed else b"}"))):
        return refuse(d, b"no place for what stands below, or more than that", d.at)
    if not whole and (style[0] >= 0 or hole[0] < d.out.size):
        return refuse(d, b"something behind the string that was cut off", d.at)
    buffer_text(d.out, b"}]" if listed else b"}")
    d.at += (not mcp) + listed if whole else 0
    d.base = 1 + listed
    return read_head(d)

cdef bint read_wrapped(Decoder* d) noexcept nogil:
    """A value all of which but one string stands in the head."""
    cdef Py_ssize_t hole = 0
    cdef int style = 0
    d.at = 9
    d.out = &d.wrapper
    if not read_wrapper(d, &hole, &style, True):
        return False
    d.out = &d.text
    buffer_put(&d.text, d.wrapper.data, hole)
    if style >= 0:
        d.strings += 1
        if not read_top(d, True) or not ends_text(d) or not close_string(d, hole, style):
            return False
    elif memchr(d.data + d.at, c"\n", d.size - d.at) == NULL:
        return refuse(d, b"less than two lines below the head", d.at)
    elif not put_fenced_text(d, d.at, d.size, 0, True):
        return False
    buffer_put(&d.text, d.wrapper.data + hole, d.wrapper.size - hole)
    return True

cdef bint read_open(Decoder* d, int spelling) noexcept nogil:
    """An object that was cut off inside its last string, from " cut in " on: the head, the string, ⟦cut⟧, what stands behind."""
    cdef Py_ssize_t hole = 0, mark, behind
    cdef int style = 0
    d.at += 8
    d.out = &d.wrapper
    if spelling & ~(STYLE_LAYOUT | STYLE_ESCAPES | STYLE_CR) or is_printed(spelling):
        return refuse(d, b"a style that cannot be cut off", 0)
    if not read_wrapper(d, &hole, &style, False):
        return False
    d.out = &d.text
    mark = bracket_offset(d.data, d.at, d.size)
    while mark < d.size and not starts(d, mark, b"\xe2\x9f\xa6cut\xe2\x9f\xa7"):
        mark = bracket_offset(d.data, mark + 3, d.size)
    if mark == d.size or not d.notes & NOTED_RAW:
        return refuse(d, b"nothing that says where it was cut off, or a head that does not speak of it", d.at)
    behind = mark + 9
    buffer_put(&d.text, d.wrapper.data, hole)
    if not put_fenced_text(d, d.at, mark, 0, True):
        return False
    buffer_put(&d.text, d.wrapper.data + hole, d.wrapper.size - hole)
    d.at = behind
    if not text_allowed(d.data, behind, d.size, False) or bracket_offset(d.data, behind, d.size) < d.size:
        return refuse(d, b"not UTF-8, or a \xe2\x9f\xa6 behind what was cut off", behind)
    d.scratch.size = 0
    d.result = &d.scratch
    if d.text.failed or not restyle_within(d.text.data, d.text.size, spelling, EXPAND_ROOM, &d.scratch):
        return d.text.failed or refuse(d, b"stands for more than 256 MiB", behind)
    if not cut_brackets(d, 0, d.base, &d.scratch):
        return False
    d.scratch.size -= 1
    buffer_put(&d.scratch, d.data + behind, d.size - behind)
    return True

cdef bint ends_text(Decoder* d) noexcept nogil:
    """Whether nothing stands behind the value."""
    return d.indent < 0 or refuse(d, b"lines behind the value, or a wrong indent", d.at)

cdef bint read_tagged(Decoder* d) noexcept nogil:
    """A text of which each tag that stands behind another was written on a line of its own, from the note on."""
    d.at += strlen(TAGS_NOTE)
    if not read_head(d) or not read_text_body(d):
        return False
    join_tags(d.result)
    return True

cdef bint read_text(Decoder* d) noexcept nogil:
    """The head line, and what stands below it. Other texts are JSON, or nothing we know."""
    cdef int style
    if starts(d, 0, b"[text"):
        d.at = 5
        return read_tagged(d) if starts(d, 5, TAGS_NOTE) else read_head(d) and read_text_body(d)
    if starts(d, 0, b"[json in "):
        return read_wrapped(d)
    if not starts(d, 0, b"[json"):
        return read_json(d)
    style = read_style(d, 1)
    if style >= 0 and starts(d, d.at, b" cut in "):
        return read_open(d, style)
    if style < 0 or (style != STYLE_JSON and not style & STYLE_LINES and not is_printed(style)):
        return refuse(d, b"an unknown head line", 0)
    set_style(d, style)
    if not read_head(d) or not read_top(d, style != STYLE_JSON) or not ends_text(d):
        return False
    if style == STYLE_JSON:
        return True
    d.scratch.size = 0
    d.result = &d.scratch
    return spell_value(d, 0, style, &d.scratch)

cdef bint decode(Decoder* d, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Open a decoder on a text and read it into `text`. False: see `reason`; none: there is no memory."""
    memset(d, 0, sizeof(Decoder))
    d.data = data
    d.size = size
    d.out = d.result = &d.text
    if view_is(data, size):
        if not view_expand(data, size, &d.text):
            return refuse(d, b"is no view", 0)
    elif not read_text(d):
        return False
    if d.result.failed or d.refs.failed:
        return False
    return d.result.size <= EXPAND_ROOM or refuse(d, b"stands for more than 256 MiB", 0)

cdef void decoder_close(Decoder* d) noexcept nogil:
    """Release the buffers."""
    cdef int i
    buffer_close(&d.text)
    buffer_close(&d.wrapper)
    buffer_close(&d.scratch)
    buffer_close(&d.refs)
    for i in range(EXPAND_STRINGS + 1):
        buffer_close(d.raws + i)
    for i in range(2 * EXPAND_STRINGS + 2):
        buffer_close(&d.tables[i].names)
        buffer_close(&d.tables[i].keys)
        buffer_close(&d.tables[i].columns)
        buffer_close(&d.tables[i].objects)
        buffer_close(&d.tables[i].entries)
        buffer_close(&d.tables[i].slots)

cdef Py_ssize_t line_number(const uint8_t* data, Py_ssize_t at) noexcept nogil:
    """The number, from 1, of the line that an offset is on."""
    cdef Py_ssize_t number = 1, i
    for i in range(at):
        number += data[i] == c"\n"
    return number

cdef object expand_error(const Decoder* d):
    """The exception for a text that was refused."""
    if d.reason == NULL:
        return MemoryError("no memory to expand the text")
    reason = (<const char*>d.reason).decode()
    return ExpandError(f"line {line_number(d.data, min(d.wrong, d.size))}: {reason}")

cdef tuple left_out_refs(const Decoder* d):
    """The names of what was left out, in order, each once."""
    cdef const Span* refs = <const Span*>d.refs.data
    cdef Py_ssize_t i
    names = {}
    for i in range(d.refs.size // <Py_ssize_t>sizeof(Span)):
        names[(<const char*>d.data)[refs[i].start : refs[i].end].decode()] = None
    return tuple(names)

def expand(bytes text not None):
    """What a crush text stands for: a JSON value minified, any other text byte for byte; JSON itself as such a value.

    Raises:
        ExpandError: the text is neither, rows were left out of it, or it stands for more than 256 MiB.
    """
    cdef Decoder d
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text)
    cdef bint done
    with nogil:
        done = decode(&d, data, size)
    try:
        if not done:
            raise expand_error(&d)
        if d.refs.size:
            refs = left_out_refs(&d)
            raise ExpandError(f"rows were left out: {', '.join(refs)}", refs)
        return PyBytes_FromStringAndSize(<const char*>d.result.data, d.result.size)
    finally:
        decoder_close(&d)
