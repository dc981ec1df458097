"""Chunks of a Gemini stream put together to the answer that they are pieces of."""

import re
from typing import Any, Final

from headroom_asgi._crush import NUMBER, OBJECT, STRING, Document
from headroom_asgi.wire.gemini_parts import call_of
from headroom_asgi.wire.nodes import elements_at, find, given, is_true, text_at
from headroom_asgi.wire.splice import dump, literal

# Steps of a normalized path of RFC 9535: a name, a position, a quoted name.
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\[\"((?:[^\"\\]|\\.)*)\"\]")
_ESCAPED: Final = re.compile(r"\\(.)")
_TEXT_MEMBERS: Final = frozenset({"text", "thought"})
_MAX_DIGITS: Final = 1_000  # Python reads no integers of more than 4,300
_STREAMED: Final = frozenset({"partialArgs", "willContinue"})


class _Text:
    """A text that comes in pieces: the contents of their literals."""

    def __init__(self, *, thought: bool) -> None:
        self.thought = thought
        self.pieces: list[bytes] = []

    def spelled(self) -> bytes:
        text = b"".join(self.pieces)
        return (b'{"text":"' + text + b'"' + (b',"thought":true}' if self.thought else b"}")) if text else b""


class _Call:
    """A function call, whose arguments may come in pieces, each for a place in them."""

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {}  # of the part, beside the call
        self.call: dict[str, bytes] = {}
        self.pieces: dict[str, Any] = {}  # of arguments, by their path: a list of texts, or another value

    def add(self, document: Document, part: int, call: int) -> None:
        for key, node in document.items(part):
            if key != "functionCall":
                self.members[key] = document.raw(node)
        for key, node in document.items(call):
            if key not in _STREAMED:
                self.call[key] = document.raw(node)
        for piece in elements_at(document, call, "partialArgs"):
            path, value = text_at(document, piece, "jsonPath"), _value(document, piece)
            texts = self.pieces.get(path)
            if isinstance(texts, list) and isinstance(value, str):
                texts.append(value)
            else:
                self.pieces[path] = [value] if isinstance(value, str) else value

    def spelled(self) -> bytes:
        members = {key: data for key, data in self.call.items() if key != "args"}
        if self.pieces:
            arguments: Any = None
            for path, value in self.pieces.items():
                arguments = _put(arguments, _steps(path), "".join(value) if isinstance(value, list) else value)
            members["args"] = dump(arguments)
        elif "args" in self.call:
            members["args"] = self.call["args"]
        return _object({"functionCall": _object(members), **self.members})


class _Candidate:
    """One candidate while it arrives."""

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {}
        self.role = b'"model"'
        self.parts: list[_Text | _Call | bytes] = []
        self.open: _Call | None = None  # a call that goes on

    def add(self, document: Document, node: int) -> None:
        for key, value in document.items(node):
            if key != "content":
                self.members[key] = document.raw(value)
        role = find(document, node, "content", "role")
        self.role = document.raw(role) if role >= 0 else self.role
        for position, part in enumerate(elements_at(document, node, "content", "parts")):
            self._add_part(document, part, first=position == 0)

    def _add_part(self, document: Document, part: int, *, first: bool) -> None:
        call = call_of(document, part)
        if call >= 0:
            if self.open is None or text_at(document, call, "name"):
                self.open = _Call()
                self.parts.append(self.open)
            self.open.add(document, part, call)
            if not is_true(document, call, "willContinue"):
                self.open = None
            return
        text = document.get(part, "text")
        is_bare = text >= 0 and document.kind(text) == STRING and all(k in _TEXT_MEMBERS for k, _ in document.items(part))
        if not is_bare:
            self.parts.append(document.raw(part))
            return
        thought = is_true(document, part, "thought")
        last = self.parts[-1] if self.parts and first else None
        if not isinstance(last, _Text) or last.thought != thought:
            last = _Text(thought=thought)
            self.parts.append(last)
        last.pieces.append(document.raw(text)[1:-1])

    def spelled(self) -> bytes:
        parts = [part if isinstance(part, bytes) else part.spelled() for part in self.parts]
        content = b'{"parts":[' + b",".join(part for part in parts if part) + b'],"role":' + self.role + b"}"
        return _object({"content": content, **self.members})


class Assembly:
    """The chunks of one round. Of what every chunk says, the last one counts; usage is counted on within a round."""

    def __init__(self) -> None:
        self._members: dict[str, bytes] = {}
        self._usage: dict[str, bytes] = {}
        self._candidates: dict[bytes, _Candidate] = {}

    def add(self, document: Document) -> None:
        """Take up a chunk."""
        for key, node in document.items(0):
            if key == "usageMetadata" and document.kind(node) == OBJECT:
                self._usage.update({name: document.raw(value) for name, value in document.items(node)})
            elif key == "candidates":
                for candidate in document.elements(node):
                    index = given(document, candidate, "index")
                    self._candidates.setdefault(document.raw(index) if index >= 0 else b"0", _Candidate()).add(
                        document, candidate
                    )
            else:
                self._members[key] = document.raw(node)

    def json(self) -> bytes:
        """The answer so far; b"" if there is none."""
        if not self._candidates and not self._members and not self._usage:
            return b""
        members = dict(self._members)
        if self._candidates:
            candidates = b",".join(candidate.spelled() for candidate in self._candidates.values())
            members = {"candidates": b"[" + candidates + b"]", **members}
        if self._usage:
            members["usageMetadata"] = _object(self._usage)
        return _object(members)


def _object(members: dict[str, bytes]) -> bytes:
    return b"{" + b",".join(literal(key) + b":" + data for key, data in members.items()) + b"}"


def _value(document: Document, piece: int) -> Any:
    """What a piece of arguments adds."""
    for key, node in document.items(piece):
        if key == "stringValue" and document.kind(node) == STRING:
            return document.text(node)
        if key == "numberValue" and document.kind(node) == NUMBER:
            digits = document.raw(node).decode("ascii")
            return int(digits) if digits.lstrip("-").isdigit() and len(digits) < _MAX_DIGITS else float(digits)
        if key == "boolValue":
            return is_true(document, piece, key)
    return None


def _steps(path: str) -> list[str | int]:
    """The names and positions of a path; one that cannot be read is a name itself."""
    rest = path.removeprefix("$")
    steps: list[str | int] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            return [path]
        name, position, *quoted = found.groups()
        steps.append(int(position) if position else name or _ESCAPED.sub(r"\1", next(q for q in quoted if q is not None)))
        at = found.end()
    return steps


def _put(root: Any, steps: list[str | int], value: Any) -> Any:
    """The value with something put into its place."""
    whole: list[Any] = [root]
    holder: Any = whole
    key: str | int = 0
    for step in steps:
        inner = holder[key]
        wanted = dict if isinstance(step, str) else list
        if not isinstance(inner, wanted):
            inner = holder[key] = wanted()
        if isinstance(step, str):
            inner.setdefault(step, None)
        else:
            inner.extend([None] * (step >= len(inner)))  # positions come in order, whatever a path says
        holder, key = inner, step if isinstance(step, str) else min(step, len(inner) - 1)
    holder[key] = value
    return whole[0]
