"""Source code as an outline: bodies of functions left out, all else as it stands. See docs/code.md.

What a body is, the parsers know; where one is left out, whole lines go, and the lines around them keep their bytes and order.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.lines import named_lines
from headroom_asgi.compressors.omission import Markers, pays

if TYPE_CHECKING:
    from tree_sitter import Node, Tree

try:
    import tree_sitter_c
    import tree_sitter_cpp
    import tree_sitter_go
    import tree_sitter_java
    import tree_sitter_javascript
    import tree_sitter_python
    import tree_sitter_rust
    import tree_sitter_typescript
    from tree_sitter import Language, Parser, Query, QueryCursor
except ImportError:  # the extra [code]
    MISSING = "tree-sitter and its grammars are not installed: pip install 'headroom-asgi[code]'"
else:
    MISSING = ""  # why code stays as it is

_MAX_BYTES: Final = 128 * 1024
# Steps of a parser are a hundred operations: on code in nine languages 5 to 12 in a kilobyte, of 0.05 ms; where it has to recover
# from errors up to 1.5 ms each. So many bound the worst text, and are enough for some 100 kB of code.
_MAX_STEPS: Final = 600
_FEW_STEPS: Final = 50
_BYTES_PER_STEP: Final = 40
# Between two tokens scanners look over all that follows and is none: lines times bytes, of 20 ns each.
_MAX_SCANNED: Final = 20_000_000
_GUESSES: Final = 2  # grammars that are tried where no path tells the language
_HEAD: Final = 20_000  # characters that a language is guessed from
_LINE: Final = 160  # characters of a line of it
_MIN_NAME: Final = 3  # letters of a function's name that a question names

_FUNCTIONS: Final = {
    "c": ("function_definition",),
    "cpp": ("function_definition", "lambda_expression"),
    "go": ("function_declaration", "method_declaration", "func_literal"),
    "java": ("method_declaration", "constructor_declaration", "compact_constructor_declaration", "lambda_expression"),
    "javascript": (
        *("function_declaration", "generator_function_declaration", "method_definition"),
        *("function_expression", "generator_function", "arrow_function"),
    ),
    "python": ("function_definition",),
    "rust": ("function_item", "closure_expression"),
}
_FUNCTIONS_OF_TYPESCRIPT: Final = {"typescript": _FUNCTIONS["javascript"], "tsx": _FUNCTIONS["javascript"]}
_SUFFIXES: Final = {
    **dict.fromkeys(("py", "pyi"), "python"),
    **dict.fromkeys(("js", "mjs", "cjs", "jsx"), "javascript"),
    **dict.fromkeys(("ts", "mts", "cts"), "typescript"),
    "tsx": "tsx",
    "go": "go",
    "rs": "rust",
    "java": "java",
    "c": "c",
    **dict.fromkeys(("cc", "cpp", "cxx", "h", "hh", "hpp", "hxx"), "cpp"),
}
_SUFFIX = re.compile(r"\.(" + "|".join(_SUFFIXES) + r")\b(?![./\\])")
# Lines that hardly any other language has; the language with the most is tried first.
_SIGNS: Final = {
    "python": re.compile(r"[ \t]*(?:(?:async )?def \w+\(|class \w+.*:[ \t]*$|from [\w.]+ import |elif |except\b.*:)"),
    "go": re.compile(r"(?:package \w+[ \t]*$|func [\w(]|type \w+ (?:struct|interface) \{|\t\w+(?:, \w+){0,3} := )"),
    "rust": re.compile(r"[ \t]*(?:pub )?(?:fn \w|impl\b|use [\w:]+::|mod \w+|let (?:mut )?\w+.*;|#\[\w)"),
    "java": re.compile(r"(?:package [\w.]+;|import (?:static )?[\w.]+;|[ \t]*public (?:\w+ ){0,3}(?:class|interface|enum) )"),
    "cpp": re.compile(r"[ \t]*(?:#include <\w+>|namespace\b|template\b|class \w+.*\{|using \w|.*\w::\w)"),
    "c": re.compile(r"(?:#(?:include|define|ifdef|ifndef)\b|static \w|struct \w+ \{|typedef )"),
    "tsx": re.compile(r"[ \t]*(?:export )?(?:interface \w|type \w+ =|.*\w\)?: (?:string|number|boolean|void)\b)"),
    "javascript": re.compile(r"[ \t]*(?:import .* from |export |const \w+ = |(?:async )?function\b|.*=> \{[ \t]*$)"),
}
_LETTER = re.compile(rb"[^\W_]|[\x80-\xff]")
_WORD = re.compile(r"[^\W\d]\w+")


@dataclass(frozen=True, slots=True, repr=False)
class _Body:
    """Lines of a body that may go, `[start, end)`, counted from 0; the first line of its function; and the function's name."""

    start: int
    end: int
    first: int
    name: str


class CodeCompressor:
    """The omitter for source code. Text that a parser does not take as a whole stays as it is."""

    section = "code"
    label = "code:bodies"
    missing = MISSING

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The code without the bodies that nobody asked for; None if it does not parse, or none of them is worth a marker."""
        data = text.encode("utf-8", "replace")
        if self.missing or len(data) > _MAX_BYTES or not pays(text):
            return None
        bodies = next((found for language in _languages(text, request) if (found := _bodies(data, language)) is not None), None)
        if not bodies:
            return None
        lines = text.split("\n")
        named = sorted(named_lines(lines, request))
        words = {word.lower() for asked in (request.question, request.arguments) for word in _WORD.findall(asked)}
        kept: list[str] = []
        at = 0
        for body in bodies:
            asked_for = len(body.name) >= _MIN_NAME and body.name.lower() in words
            if body.start < at or asked_for or bisect_left(named, body.first) < bisect_left(named, body.end):
                continue
            left_out = lines[body.start : body.end]
            if not pays("\n".join(left_out)):
                continue
            first = next(line for line in left_out if line.strip())
            blanks = first[: len(first) - len(first.lstrip())]
            said = f"{body.name or 'body'}, lines {body.start + 1} to {body.end}"
            kept += lines[at : body.start]
            kept.append(blanks + markers.leave_out("\n".join(left_out), len(left_out), "lines", said))
            at = body.end
        return "\n".join([*kept, *lines[at:]]) if at else None


def _languages(text: str, request: Request) -> Iterator[str]:
    """What the text may be written in, most likely first: what the path in the call's arguments says, then by its lines."""
    tried = set()
    for suffix in _SUFFIX.findall(_strings(request.arguments)):
        if _SUFFIXES[suffix] not in tried:
            tried.add(_SUFFIXES[suffix])
            yield _SUFFIXES[suffix]
            break
    lines = [line[:_LINE] for line in text[:_HEAD].split("\n")]
    counts = {language: sum(sign.match(line) is not None for line in lines) for language, sign in _SIGNS.items()}
    for language in sorted(counts, key=lambda language: -counts[language])[:_GUESSES]:
        if counts[language] and language not in tried:
            yield language


def _strings(arguments: str) -> str:
    """Arguments with the escapes of their JSON undone, as far as a path may have them."""
    return json.dumps(arguments[:_HEAD]).replace("\\\\/", "/")


def _bodies(data: bytes, language: str) -> list[_Body] | None:
    """The bodies of functions, outer ones before those inside them; None if the text is not written in that language."""
    grammar, functions = _grammar(language)
    tree = _parsed(data, grammar) if _scanned(data, language) <= _MAX_SCANNED else None
    if tree is None or tree.root_node.has_error:
        return None
    found = []
    for _, captures in QueryCursor(functions).matches(tree.root_node):
        (function,), (body,) = captures["function"], captures["body"]
        shape = _indented(body) if language == "python" else _braced(body)
        if shape is not None and shape[0] < shape[1]:
            found.append(_Body(*shape, function.start_point[0], _name(function)))
    return sorted(found, key=lambda body: (body.start, -body.end))


def _parsed(data: bytes, grammar: "Language") -> "Tree | None":
    """The tree; None where the parser meets an error, or needs more steps than any code does.

    What parsers do to recover from errors may take time and memory out of all proportion, and the text stays then anyway.
    """
    steps = 0

    def stops(_at: int, has_error: bool) -> bool:  # noqa: FBT001 - called by the parser
        nonlocal steps
        steps += 1
        return has_error or steps > min(_MAX_STEPS, _FEW_STEPS + len(data) // _BYTES_PER_STEP)

    try:
        return Parser(grammar).parse(lambda at, _: data[at : at + _MAX_BYTES], progress_callback=stops)
    except ValueError:  # stopped
        return None


def _scanned(data: bytes, language: str) -> int:
    """What a scanner looks over at most, in lines times bytes: Python's over lines without a token, Rust's for raw strings."""
    if language != "python":
        return data.count(b'r#"') * len(data) if language == "rust" else 0
    total = count = size = 0
    for line in data.split(b"\n"):
        inside = line.strip()
        if not inside or inside.startswith(b"#") or inside.endswith(b"\\"):
            count += 1
            size += len(line) + 1
        else:
            total += count * size
            count = size = 0
    return total + count * size


def _braced(body: "Node") -> tuple[int, int] | None:
    """The lines between those that have the braces; None if it has no braces."""
    if body.child_count < 2 or body.children[0].type != "{":
        return None
    return body.start_point[0] + 1, body.end_point[0]


def _indented(body: "Node") -> tuple[int, int] | None:
    """The lines of a block, but for those of a docstring up to the first with words; None if it stands behind the colon."""
    before = body.prev_sibling
    if not body.children or before is None or body.children[0].start_point[0] == before.end_point[0]:
        return None
    first = body.children[0]
    start = first.start_point[0]
    text = first.children[0] if first.type == "expression_statement" and first.child_count == 1 else first
    if text.type == "string":
        said = (text.text or b"").split(b"\n")
        start += 1 + next((number for number, line in enumerate(said) if _LETTER.search(line.lstrip(b"rRuUbB"))), 0)
    return start, body.end_point[0] + 1


def _name(function: "Node") -> str:
    """The name of a function, or of the variable that holds it; "" if it has none."""
    node = function.child_by_field_name("name")
    if node is None:
        node = function.child_by_field_name("declarator")
        while node is not None and (inner := node.child_by_field_name("declarator")) is not None:
            node = inner
    if node is None and function.parent is not None and function.parent.type == "variable_declarator":
        node = function.parent.child_by_field_name("name")
    return node.text.decode("utf-8", "replace").rpartition("::")[2] if node is not None and node.text else ""


@cache
def _grammar(language: str) -> "tuple[Language, Query]":
    """The grammar of a language, and what finds functions with a body in it."""
    sources: dict[str, Callable[[], object]] = {
        "c": tree_sitter_c.language,
        "cpp": tree_sitter_cpp.language,
        "go": tree_sitter_go.language,
        "java": tree_sitter_java.language,
        "javascript": tree_sitter_javascript.language,
        "python": tree_sitter_python.language,
        "rust": tree_sitter_rust.language,
        "tsx": tree_sitter_typescript.language_tsx,
        "typescript": tree_sitter_typescript.language_typescript,
    }
    grammar = Language(sources[language]())
    kinds: Sequence[str] = (_FUNCTIONS | _FUNCTIONS_OF_TYPESCRIPT)[language]
    return grammar, Query(grammar, "\n".join(f"({kind} body: (_) @body) @function" for kind in kinds))
