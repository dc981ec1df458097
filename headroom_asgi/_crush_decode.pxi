# Crush text back to the JSON text it stands for: docs/crush-format.md from top to bottom, straight into a buffer, no tree.
#
# One function per rule of the grammar. Each starts at `d.at`, leaves `d.at` behind what it read, and returns False once the text
# is refused. Only containers recurse, so the recursion is as deep as the format lets values nest. `around` is the number of
# containers that a value stands in; it is the indent of its members, items or rows as well. Whatever the grammar does not
# prescribe is refused, so a text that was cut, re-indented or re-typed is not taken for another value.

# Strings that hold JSON

cdef int read_style(Decoder* d) noexcept nogil:
    """The style in parentheses; -1 if there is none."""
    cdef Py_ssize_t end = d.at + 1
    cdef int style
    while c"0" <= peek(d, end) <= c"z" and end - d.at < 8:  # the longest is json2an
        end += 1
    style = style_parse(d.data + d.at + 1, end - d.at - 1)
    if style < 0 or peek(d, d.at) != c"(" or peek(d, end) != c")":
        refuse(d, b"an unknown style, or a string that must be quoted", d.at)
        return -1
    d.at = end + 1
    return style

cdef bint restyle_from(Decoder* d, Py_ssize_t start, int style) noexcept nogil:
    """Turn the value that was written from `start` on into the string that spells it."""
    cdef Buffer* out = d.out
    if out.failed:
        return False
    if out.size - start <= 2 or (out.data[start] != c"[" and out.data[start] != c"{"):
        return refuse(d, b"a style before something else than an object or array", d.at)
    d.scratch.size = 0
    if not restyle(out.data + start, out.size - start, style, &d.scratch):
        return refuse(d, b"nested too deeply", d.at)
    if d.scratch.failed:
        return False
    out.size = start
    quote_string(d.scratch.data, d.scratch.size, False, out)
    return True

cdef bint read_styled(Decoder* d, int32_t indent, bint top) noexcept nogil:
    """The string that holds a value as JSON: (style), then the value, as an entry or on the lines below."""
    cdef Py_ssize_t start = d.out.size
    cdef int style = read_style(d)
    if style < 0:
        return False
    if d.strings == EXPAND_STRINGS:
        return refuse(d, b"strings in strings, too deeply", d.at)
    d.strings += 1
    if not (end_line(d) and read_top(d, True) if top else read_entry(d, indent, True)):
        return False
    d.strings -= 1
    return restyle_from(d, start, style)

# Objects and arrays over several lines

cdef bint read_entry(Decoder* d, int32_t indent, bint styled) noexcept nogil:
    """What stands behind a key, or behind the style of an item, with the lines below that belong to it."""
    if not styled and starts(d, d.at, b" ("):
        d.at += 1
        return read_styled(d, indent, False)
    if starts(d, d.at, b" ["):
        d.at += 1
        return read_table(d, indent + 1)
    if peek(d, d.at) != c":":
        return refuse(d, b"no colon behind a key", d.at)
    d.at += 1
    if peek(d, d.at) == c"\n":
        return end_line(d) and read_block(d, indent + 1)
    if peek(d, d.at) == c" " and mark_size(d, d.at + 1):
        d.at += 1
        return read_fence(d) and end_line(d)
    skip_glue(d)
    return read_inline(d, indent + 1) and end_line(d)

cdef bint read_block(Decoder* d, int32_t indent) noexcept nogil:
    """The members or items at an indent."""
    if d.indent < indent:
        return refuse(d, b"nothing below a line that announces it", d.at)
    if peek(d, d.at + indent) == c"-":
        return read_items(d, indent)
    return read_members(d, indent)

cdef bint read_members(Decoder* d, int32_t indent) noexcept nogil:
    """The members of an object; the first line has been looked at."""
    if not enter_container(d, indent):
        return False
    buffer_byte(d.out, c"{")
    while True:
        d.at += indent
        if not read_key(d):
            return False
        buffer_byte(d.out, c":")
        if not read_entry(d, indent, False):
            return False
        if d.indent < indent:
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
    cdef Py_ssize_t end = 0
    if peek(d, d.at) == c"\n":
        return end_line(d) and read_block(d, indent + 1)
    if peek(d, d.at) == c" ":
        d.at += 1
        if peek(d, d.at) == c"[" and table_count(d, &end):
            return read_table(d, indent + 1)
        if peek(d, d.at) == c"(":
            return read_styled(d, indent, False)
        if mark_size(d, d.at):
            return read_fence(d) and end_line(d)
    elif peek(d, d.at) == c"(":
        return refuse(d, b"a string that must be quoted", d.at)
    return read_inline(d, indent + 1) and end_line(d)

# The whole text

cdef bint read_top(Decoder* d, bint styled) noexcept nogil:
    """The value of the text, or of the string that a style at its top announces."""
    cdef Py_ssize_t end = 0
    cdef uint8_t flags = 0, first = peek(d, d.at)
    if d.indent < 0:
        return refuse(d, b"no value", d.at)
    if first == c"(" and not styled:
        return read_styled(d, 0, True)
    if first == c"[" and table_count(d, &end):
        return read_table(d, 0)
    if first == c"[" or first == c"{":
        return read_flow(d, 0) and end_line(d)
    if mark_size(d, d.at):
        return read_fence(d) and end_line(d)
    end = line_end(d, d.at)
    if first == c'"':
        end = scan_string(d.data, d.at, d.size, &flags)
        if end >= 0 and peek(d, end) == c"\n":
            return read_quoted(d) and end_line(d)
    elif spells_literal(d, d.at, end) and (first != c"-" or end == d.size):
        buffer_put(d.out, d.data + d.at, end - d.at)
        d.at = end
        return end_line(d)
    return read_block(d, 0)

cdef const char* EXPAND_HEAD_OMISSIONS = (
    b"[json; empty cell = no such key; rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line]"
)

cdef inline bint is_head(const Decoder* d, const char* head) noexcept nogil:
    """Whether this is the first line."""
    return starts(d, 0, head) and peek(d, strlen(head)) == c"\n"

cdef bint read_text(Decoder* d) noexcept nogil:
    """The head line, and the value below it. Other texts are JSON, or nothing we know."""
    cdef Tape tape
    cdef int fault
    if not starts(d, 0, b"[json"):
        fault = tape_scan(d.data, d.size, &tape)
        tape_close(&tape)
        if fault == SCAN_MEMORY:
            d.text.failed = True
            return False
        if fault != SCAN_OK:
            return refuse(d, b"neither the crush format nor JSON", tape.offset)
        return restyle(d.data, d.size, STYLE_JSON, &d.text)
    d.empty_cells = not is_head(d, b"[json]")
    if d.empty_cells and not is_head(d, b"[json; empty cell = no such key]") and not is_head(d, EXPAND_HEAD_OMISSIONS):
        return refuse(d, b"an unknown head line", 0)
    d.at = line_end(d, 0)
    if not end_line(d) or not read_top(d, False):
        return False
    if d.indent >= 0:
        return refuse(d, b"lines behind the value, or a wrong indent", d.at)
    return True

cdef bint decode(Decoder* d, const uint8_t* data, Py_ssize_t size) noexcept nogil:
    """Open a decoder on a text and read it into `text`. False: see `reason`; none: there is no memory."""
    memset(d, 0, sizeof(Decoder))
    d.data = data
    d.size = size
    d.out = &d.text
    d.deletes = memchr(data, 0x7F, size) != NULL
    return read_text(d) and not d.text.failed and not d.refs.failed

cdef void decoder_close(Decoder* d) noexcept nogil:
    """Release the buffers."""
    buffer_close(&d.text)
    buffer_close(&d.names)
    buffer_close(&d.keys)
    buffer_close(&d.scratch)
    buffer_close(&d.refs)

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
    """The minified JSON text that a crush text stands for; JSON itself is minified, its strings in the same spelling.

    Raises:
        ExpandError: the text is neither, or rows were left out of it.
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
        return PyBytes_FromStringAndSize(<const char*>d.text.data, d.text.size)
    finally:
        decoder_close(&d)
