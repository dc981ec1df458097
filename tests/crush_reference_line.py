"""What stands on one line of a crush text: values, keys, columns and marks, read as the grammar page says; and JSON text of values."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from json.encoder import encode_basestring, encode_basestring_ascii

NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
LITERAL = re.compile("null|true|false|" + NUMBER)
PYTHON_LITERAL = re.compile("None|True|False|" + NUMBER)
QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
COUNT = "([1-9][0-9]*)"
STYLE_NAME = r"json(?:pyt?|[p124t]?a?g?[lc]?r?n?)"
STYLE = re.compile(rf"\(({STYLE_NAME})\)")
WRAPPER_START = re.compile(r"\[json in |\[(json[p124t]?a?g?r?) cut in ")
NO_PLACE = ""
STYLE_PARTS = re.compile(r"(json[p124t]?a?g?)([lc]?)(r?)(n?)")
MARK = re.compile('"{3,}')
REPEATED = re.compile(" ×" + COUNT)
BARE_KEY = re.compile(r'[^"\[\]{}(),:|=*.]+')
BARE_IN_FLOW = re.compile(r'[^,\[\]{}":()×]+')
NEVER_BARE = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff⟦]")

PYTHON = {"null": "None", "true": "True", "false": "False"}
JSON = {word: constant for constant, word in PYTHON.items()}
CALL = re.compile(r"([A-Za-z][A-Za-z0-9_.]*)\([A-Za-z0-9_. ,'=+:/()-]*\)")
SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}
UNPRINTED = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\\\\\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ud800-\udfff\ue000-\uf8ff\ufeff]"
)
LAYOUT = re.compile("json[p124t]?")
GLUES = {"l": "\n", "c": ""}
SURROGATE = re.compile("[\ud800-\udfff]")
GO = re.compile("[\ud800-\udfff<>&\u2028\u2029]")

GAPS = "empty cell = no such key"
STEMS = "* = the row's text"
SAID = "x(k) = the x with that k, listed above"
RAWS = "⟦…⟧ says what stands there"
TAGS = "line breaks between > and < were added"
STARTS = "x* = each indented line below starts with x"
FILLS = "x*y* = each indented line below fills in the *, a tab between"
WIDTHS = "_ = blanks, up to its width"
LINE_ENDS = "\\n = new line"
OMISSIONS = "rows left out: call headroom_retrieve with the ref in the <<ccr:...>> line"

DEPTH = 64
LIMIT = 1 << 28
ELEMENT = 0  # the step of a path that is written [0]

STYLE_HERE = ContextVar("STYLE_HERE", default="json")  # of the text that what is read or written stands in


@dataclass(frozen=True)
class Literal:
    """null, true, false or a number, as JSON spells it."""

    text: str


@dataclass(frozen=True)
class Object:
    """Members in order, duplicates too."""

    members: tuple[tuple[str, "Value"], ...]


@dataclass(frozen=True)
class Array:
    """Elements in order."""

    elements: tuple["Value", ...]


Value = Literal | str | Object | Array
Path = tuple[str | int, ...]
EMPTY: tuple[Value, ...] = (Object(()), Array(()))


def check(condition: object, reason: str) -> None:
    """ValueError unless the condition holds."""
    if not condition:
        raise ValueError(reason)


def deeper(depth: int, levels: int = 1) -> int:
    """The number of open containers, when so many more are opened inside `depth` of them."""
    check(depth + levels <= DEPTH, "nested too deeply")
    return depth + levels


# ------------------------------------------------------------------------------------------ JSON text


def spell(value: Value, style: str = "json") -> str:
    """The JSON text of a value in a style that has none of "l", "c", "r" and "n"."""
    layout = LAYOUT.findall(style)[0]
    return spell_in(value, layout, style[len(layout) :], 0)


def spell_in(value: Value, layout: str, escapes: str, level: int) -> str:
    """The JSON text of a value in a layout; `level`: how far in it stands."""
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, str):
        return quote(value, escapes)
    colon = ":" if layout == "json" else ": "
    if isinstance(value, Object):
        brackets = "{}"
        parts = [quote(key, escapes) + colon + spell_in(inner, layout, escapes, level + 1) for key, inner in value.members]
    else:
        brackets = "[]"
        parts = [spell_in(inner, layout, escapes, level + 1) for inner in value.elements]
    if not parts:
        return brackets
    if layout in ("json", "jsonp"):
        return brackets[0] + (", " if layout == "jsonp" else ",").join(parts) + brackets[1]
    indent = "\t" if layout == "jsont" else " " * int(layout[4:])
    newline = "\n" + indent * level
    inner_line = newline + indent
    return brackets[0] + inner_line + ("," + inner_line).join(parts) + newline + brackets[1]


def quote(text: str, escapes: str = "") -> str:
    """A JSON string literal; "a" escapes what is not ASCII, "g" what Go escapes, unpaired surrogates are escaped in any case."""
    literal = encode_basestring_ascii(text) if "a" in escapes else encode_basestring(text)
    return (GO if "g" in escapes else SURROGATE).sub(lambda match: f"\\u{ord(match[0]):04x}", literal)


def styled(value: Value, style: str) -> str:
    """The text that holds an object or array as JSON in a style."""
    check(isinstance(value, Object | Array) and value not in EMPTY, "no object or array in a string")
    if style in ("jsonpy", "jsonpyt"):
        return printed(value, tuples=style == "jsonpyt", outermost=True)
    parts = STYLE_PARTS.fullmatch(style)
    assert parts is not None
    plain, glue, cr, newline = parts.groups()
    if glue:
        check(isinstance(value, Array) and len(value.elements) >= 2, "no array of two elements")
        assert isinstance(value, Array)
        text = GLUES[glue].join(spell(element, plain) for element in value.elements)
    else:
        text = spell(value, plain)
    text += "\n" * len(newline)
    return text.replace("\n", "\r\n") if cr else text


def printed(value: Value, *, tuples: bool, outermost: bool = False) -> str:
    """A value as Python prints it; `tuples`: every list but the outermost is one."""
    if isinstance(value, Literal):
        return PYTHON.get(value.text, value.text)
    if isinstance(value, str):
        return printed_string(value)
    if isinstance(value, Object):
        return "{" + ", ".join(f"{printed_string(key)}: {printed(inner, tuples=tuples)}" for key, inner in value.members) + "}"
    inside = ", ".join(printed(inner, tuples=tuples) for inner in value.elements)
    if outermost or not tuples:
        return f"[{inside}]"
    return f"({inside},)" if len(value.elements) == 1 else f"({inside})"


def printed_string(text: str) -> str:
    """A string as Python prints it; the letters of what JSON has no value for stand as they are."""
    if text in ("nan", "inf", "-inf") or is_call(text):
        return text
    mark = '"' if "'" in text and '"' not in text else "'"

    def escaped(match: re.Match[str]) -> str:
        point = ord(match[0])
        return SHORT.get(match[0]) or (f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}")

    return mark + UNPRINTED.sub(escaped, text).replace(mark, "\\" + mark) + mark


def is_call(text: str) -> bool:
    """Whether it reads as a call of a name with a point in it, or one whose first argument is quoted."""
    found = CALL.fullmatch(text)
    if not found or len(text) > 256 or not ("." in found[1] or text[found.end(1) + 1] == "'"):
        return False
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == ")" and depth == 0:
            return place == len(text) - 1
    return False


# ------------------------------------------------------------------------------------------ literals, strings and flow


@contextmanager
def spelled_in(style: str) -> Iterator[None]:
    """Inside, what is read or written stands in a text of that style."""
    before = STYLE_HERE.set(style)
    try:
        yield
    finally:
        STYLE_HERE.reset(before)


def is_printed() -> bool:
    """Whether constants stand in Python's words here."""
    return STYLE_HERE.get() in ("jsonpy", "jsonpyt")


def is_literal(text: str) -> bool:
    """Whether the text is a literal here."""
    return (PYTHON_LITERAL if is_printed() else LITERAL).fullmatch(text) is not None


def literal(text: str) -> Literal:
    """The literal that a text is here."""
    return Literal(JSON.get(text, text))


def shown(value: Literal) -> str:
    """How a literal is written here."""
    return PYTHON.get(value.text, value.text) if is_printed() else value.text


def unquoted(text: str) -> str:
    """The string that a JSON string literal stands for."""
    found: str = json.loads(text)
    return found


def literal_or_quoted(text: str) -> Value | None:
    """The value if the whole text is a literal or a quoted string."""
    if is_literal(text):
        return literal(text)
    return unquoted(text) if QUOTED.fullmatch(text) else None


def check_bare(text: str) -> None:
    """ValueError if the string may not be written bare at all."""
    check(text != "", "empty")
    check(text[0] not in '"[{' and not text.startswith("<<ccr:"), "must be quoted: its first character")
    check(text != "-" and not text.startswith("- "), "must be quoted: looks like an item")
    check(text == text.strip(" \t"), "must be quoted: blanks around it")
    check(not NEVER_BARE.search(text), "must be quoted: control characters")


def inline(text: str, depth: int) -> Value:
    """A whole literal, string or flow; `depth`: how many containers it stands in."""
    check(text != "", "no value")
    value = literal_or_quoted(text)
    if value is not None:
        return value
    if text[0] in "[{":
        value, at = flow(text, 0, depth)
        check(at == len(text), "characters behind the flow")
        return value
    check_bare(text)
    return text


def guarded(text: str, depth: int) -> Value:
    """An inline value where a bare string does not start with a parenthesis: in a cell, in an item."""
    check(not text.startswith("("), "must be quoted: it starts with a parenthesis")
    return inline(text, depth)


def text_cell(text: str) -> str:
    """The string in a cell where all values are strings."""
    if QUOTED.fullmatch(text):
        return unquoted(text)
    check(not text.startswith("("), "must be quoted: it starts with a parenthesis")
    check_bare(text)
    return text


def same_value(text: str, depth: int) -> Value:
    """The value that several neighbors share; `depth`: the containers around the deepest of them."""
    check(text[:1] not in ("[", "{") or text in ("[]", "{}"), "no value that neighbors may share")
    return inline(text, depth)


def flow(text: str, at: int, depth: int) -> tuple[Value, int]:
    """The flow value at an offset, and the offset behind it."""
    if text[at : at + 1] == "[":
        return flow_array(text, at, deeper(depth))
    if text[at : at + 1] == "{":
        return flow_object(text, at, deeper(depth))
    quoted = QUOTED.match(text, at)
    if quoted:
        return unquoted(quoted[0]), quoted.end()
    bare = BARE_IN_FLOW.match(text, at)
    check(bare, "no value in flow")
    assert bare is not None
    found = bare[0].removesuffix(" ") if text[bare.end() : bare.end() + 1] == "×" else bare[0]
    if is_literal(found):
        return literal(found), at + len(found)
    check_bare(found)
    check(found[0] not in "-?!&*|>@%`", "must be quoted in flow: its first character")
    return found, at + len(found)


def flow_array(text: str, at: int, depth: int) -> tuple[Array, int]:
    """The flow array whose bracket is at an offset."""
    elements: list[Value] = []
    if text[at : at + 2] == "[]":
        return Array(()), at + 2
    while True:
        at += 1
        if elements and text[at : at + 1] == " ":
            at += 1
        element, at = flow(text, at, depth)
        elements.append(element)
        repeated = REPEATED.match(text, at)
        if repeated:
            times = int(repeated[1])
            check(4 <= times <= LIMIT, "how often an element is repeated")
            elements += [element] * (times - 1)
            at = repeated.end()
        if text[at : at + 1] == "]":
            return Array(tuple(elements)), at + 1
        check(text[at : at + 1] == ",", "no comma in flow")


def flow_object(text: str, at: int, depth: int) -> tuple[Object, int]:
    """The flow object whose brace is at an offset."""
    members: list[tuple[str, Value]] = []
    if text[at : at + 2] == "{}":
        return Object(()), at + 2
    at += 1
    while True:
        key, at = read_key(text, at)
        check(text[at : at + 1] == ":", "no colon in flow")
        at += 1
        if text[at : at + 1] == " ":
            at += 1
        member, at = flow(text, at, depth)
        members.append((key, member))
        if text[at : at + 1] == "}":
            return Object(tuple(members)), at + 1
        check(text[at : at + 2] == ", ", "no comma and blank in flow")
        at += 2


def tuples(text: str, keys: tuple[str, ...], depth: int) -> Array:
    """The list of records that a cell of tuples stands for."""
    depth = deeper(depth, 2)
    records: list[Value] = []
    at = 0
    while True:
        check(text[at : at + 1] == "(", "no tuple")
        values: list[Value] = []
        while not values or text[at : at + 1] == ",":
            at += 1
            if values and text[at : at + 1] == " ":
                at += 1
            value, at = flow(text, at, depth)
            values.append(value)
        check(text[at : at + 1] == ")" and len(values) == len(keys), "number of values in a tuple")
        records.append(Object(tuple(zip(keys, values, strict=True))))
        at += 1
        if at == len(text):
            return Array(tuple(records))
        check(text[at] == " ", "no blank between tuples")
        at += 1


@dataclass(frozen=True)
class Wrapper:
    """An object on the first line, whose one hole is a string: raw text, or JSON in a style."""

    fields: tuple[tuple[str, Value | None], ...]  # None: the hole
    style: str | None
    listed: bool  # it is the one element of a list
    rest: str  # the first line behind it
    cut: str | None = None  # the style of an object that was cut off inside its last string, which is the hole

    @property
    def depth(self) -> int:
        """How many containers are open in it."""
        return 1 + self.listed

    def around(self, hole: str) -> Value:
        """The value, with a string in its hole."""
        value = Object(tuple((key, hole if value is None else value) for key, value in self.fields))
        return Array((value,)) if self.listed else value


def read_wrapper(line: str) -> Wrapper | None:
    """The wrapper on a first line; None if it has none."""
    start = WRAPPER_START.match(line)
    if start is None:
        return None
    at = start.end()
    listed = line.startswith(("[{", "[mcp text "), at)
    at += listed
    if line.startswith("mcp text ", at):
        style, at = read_place(line, at + 9)
        check(style != NO_PLACE and not (start[1] and style), "no place behind mcp")
        fields: list[tuple[str, Value | None]] = [("type", "text"), ("text", None), ("annotations", Literal("null"))]
        end = "]" if listed and not start[1] else ""
        check(line.startswith(end, at), "a wrapper that does not end")
        return Wrapper(tuple(fields[: 2 if start[1] else 3]), style, listed, line[at + len(end) :], start[1])
    check(line.startswith("{", at), "no wrapper")
    fields = []
    holes: list[str | None] = []
    while not fields or line.startswith(", ", at):
        key, at = read_key(line, at + (2 if fields else 1))
        check(line.startswith(":", at), "no colon in a wrapper")
        at += 2 if line.startswith(": ", at) else 1
        value: Value | None = None
        style, at = read_place(line, at)
        if style == NO_PLACE:
            value, at = flow(line, at, 2)
            check(isinstance(value, Literal | str), "no scalar in a wrapper")
        else:
            holes.append(style)
        fields.append((key, value))
    end = "" if start[1] else "}]" if listed else "}"
    check(line.startswith(end, at) and len(holes) == 1, "a wrapper that does not end, or without just one hole")
    check(not start[1] or (holes[0] is None and fields[-1][1] is None), "something behind what was cut off")
    return Wrapper(tuple(fields), holes[0], listed, line[at + len(end) :], start[1])


def read_place(line: str, at: int) -> tuple[str | None, int]:
    """The style of the string whose place it is (None: lines; NO_PLACE: it is none), and the offset behind it."""
    if line.startswith('"""', at):
        return None, at + 3
    style = STYLE.match(line, at)
    return (style[1], style.end()) if style else (NO_PLACE, at)


# ------------------------------------------------------------------------------------------ keys and columns


def read_key(text: str, at: int) -> tuple[str, int]:
    """The key at an offset, and the offset behind it; the blank before ( [ and { belongs to what follows."""
    quoted = QUOTED.match(text, at)
    if quoted:
        return unquoted(quoted[0]), quoted.end()
    bare = BARE_KEY.match(text, at)
    check(bare, "no key")
    assert bare is not None
    key = bare[0]
    if text[bare.end() : bare.end() + 1] in ("(", "[", "{"):
        key = key.removesuffix(" ")
    check(key != "" and key == key.strip(" "), "key must be quoted: blanks around it")
    check(key[0] not in "-'#" and not key.startswith("<<ccr"), "key must be quoted: how it starts")
    check(not NEVER_BARE.search(key) and not is_literal(key), "key must be quoted")
    return key, at + len(key)


def read_path(text: str, at: int, *, elements: bool) -> tuple[Path, int]:
    """The path at an offset, and the offset behind it; `elements`: whether [0] may stand in it."""
    path: list[str | int] = []
    while not path or text[at : at + 1] == ".":
        key, at = read_key(text, at + bool(path))
        path.append(key)
        if elements and text[at : at + 3] == "[0]":
            path.append(ELEMENT)
            at += 3
    return tuple(path), at


def read_keys(text: str, end: str) -> tuple[str, ...]:
    """The keys that make up a whole text, up to the character that ends it."""
    keys: list[str] = []
    at = 0
    while not keys or text[at : at + 2] == ", ":
        key, at = read_key(text, at + 2 * bool(keys))
        keys.append(key)
    check(text[at:] == end, "keys do not end")
    return tuple(keys)
