"""What the chunks of one OpenAI Chat Completions stream add up to: the answer as its JSON twin would spell it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headroom_asgi.wire.events import PIECE_BYTES

_TWICE = frozenset({"id", "type", "format", "role", "object", "index"})  # strings that servers repeat whole
_INNER = frozenset({"name", "arguments", "input"})
_OUTER = frozenset({"index", "id", "type", "function", "custom"})
# What is kept of an answer takes in memory, besides the characters of its strings.
_CONTAINER_BYTES = 160  # an object or array, and the keys
_NUMBER_BYTES = 32
_DEPTH = 4  # the deepest known field that comes in pieces is extra_content.google.thought_signature


class _Text(list[str]):
    """Pieces of a string that grows: joined once, as joining at every piece would be quadratic."""


class _Object(dict[str, Any]):
    """An object whose members grow."""


class _Array(list[Any]):
    """An array that grows."""


def _grown(have: Any, piece: Any, key: str = "", depth: int = _DEPTH) -> Any:
    """A field with one more piece: strings and arrays are chained, objects by member, of other values the last counts.

    Entries of arrays with the same `index` and `type` in a row (`reasoning_details`) are pieces of one. No piece is changed, as
    frames that were held are spelled later.
    """
    if piece is None:
        return have
    if isinstance(piece, str) and key not in _TWICE and not key.endswith("signature"):
        grown_text = have if isinstance(have, _Text) else _Text()
        grown_text.append(piece)
        return grown_text
    if isinstance(piece, dict) and depth:
        grown = have if isinstance(have, _Object) else _Object()
        for name, value in piece.items():
            grown[name] = _grown(grown.get(name), value, name, depth - 1)
        return grown
    if isinstance(piece, list) and depth:
        items = have if isinstance(have, _Array) else _Array()
        for item in piece:
            if not isinstance(item, dict) or "index" not in item:
                items.append(item)
            elif items and isinstance(items[-1], _Object) and all(items[-1].get(k) == item.get(k) for k in ("index", "type")):
                _grown(items[-1], item, depth=depth - 1)
            else:
                items.append(_grown(None, item, depth=depth - 1))
        return items
    return piece


# Parts of contents that come in pieces (Mistral), and the members that such a piece may have.
_PIECEMEAL = {"text": {"type", "text"}, "thinking": {"type", "thinking", "closed", "signature"}}


def _grown_content(have: Any, piece: Any) -> Any:
    """A content with one more piece: a string, or parts; where both come, a string is a part as well."""
    if not isinstance(piece, list) and not isinstance(have, _Array):
        return _grown(have, piece)
    parts = have if isinstance(have, _Array) else _Array()
    if isinstance(have, _Text) and any(have):
        parts.append(_Object(type="text", text=have))
    _chain(parts, [{"type": "text", "text": piece}] if piece and isinstance(piece, str) else piece)
    return parts


def _chain(parts: _Array, pieces: Any) -> None:
    """Add pieces of parts: those of one kind in a row are one part."""
    for piece in pieces if isinstance(pieces, list) else ():
        kind = piece.get("type") if isinstance(piece, dict) else None
        if not isinstance(kind, str) or not piece.keys() <= _PIECEMEAL.get(kind, set()):
            parts.append(piece)
            continue
        last = parts[-1] if parts else None
        if not isinstance(last, _Object) or last.get("type") != kind:
            last = _Object()
            parts.append(last)
        for name, value in piece.items():
            if isinstance(value, list):
                if not isinstance(last.get(name), _Array):
                    last[name] = _Array()
                _chain(last[name], value)
            else:
                last[name] = _grown(last.get(name), value, name)


def sized(chunk: Mapping[str, Any]) -> int:
    """About how much of a chunk is kept: what its deltas add, and probabilities."""
    choices = chunk.get("choices")
    known = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    deltas = [choice.get("delta") for choice in known]
    values = [value for delta in deltas if isinstance(delta, dict) for value in delta.values()]
    return PIECE_BYTES + sum(map(_sized, values)) + sum(_sized(choice.get("logprobs")) for choice in known)


def _sized(value: Any, depth: int = _DEPTH * 2) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, int | float):
        return _NUMBER_BYTES
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (_CONTAINER_BYTES if inner else 0) + (sum(_sized(item, depth - 1) for item in inner) if depth else 0)


def _settled(value: Any) -> Any:
    if isinstance(value, _Text):
        return "".join(value)
    if isinstance(value, _Object):
        return {key: _settled(item) for key, item in value.items()}
    if isinstance(value, _Array):
        return [_settled(item) for item in value]
    return value


@dataclass(slots=True, repr=False)
class _Call:
    number: int
    kind: str
    id: str = ""
    name: str = ""
    arguments: Any = None
    inner: Any = None
    outer: Any = None

    def json(self) -> dict[str, Any]:
        arguments = _settled(self.arguments)
        spelled = {"name": self.name, ("input" if self.kind == "custom" else "arguments"): "" if arguments is None else arguments}
        inner, outer = _settled(self.inner) or {}, _settled(self.outer) or {}
        return {"id": self.id, "type": self.kind, self.kind: {**spelled, **inner}, **outer}


@dataclass(frozen=True, slots=True, repr=False)
class CallPiece:
    """What one entry of `tool_calls` in a delta says: the number of its call, and what it adds to it."""

    number: int
    id: str
    name: str
    more: bool
    entry: Mapping[str, Any]


@dataclass(slots=True, repr=False)
class _Choice:
    message: dict[str, Any] = field(default_factory=lambda: {"role": "assistant", "content": None})
    calls: list[_Call] = field(default_factory=list)
    at_index: dict[int, _Call] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)
    logprobs: Any = None
    finish_reason: Any = None
    next_number: int = 0
    forgets: bool = False

    def add(self, choice: Mapping[str, Any]) -> list[CallPiece]:
        delta = choice.get("delta")
        entries = delta.get("tool_calls") if isinstance(delta, dict) else None
        pieces = [self._take(entry) for entry in entries] if entries and is_calls(entries) else []
        if not self.forgets:
            self._add(choice, delta)
        return pieces

    def _add(self, choice: Mapping[str, Any], delta: Any) -> None:
        for key, value in choice.items():
            if key not in ("delta", "index", "finish_reason", "logprobs") and value is not None:
                self.rest[key] = value
        self.logprobs = _grown(self.logprobs, choice.get("logprobs"))
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        for key, value in delta.items() if isinstance(delta, dict) else ():
            if key == "content":
                self.message[key] = _grown_content(self.message.get(key), value)
            elif value is not None and not (key == "tool_calls" and is_calls(value)):
                self.message[key] = _grown(self.message.get(key), value, key)

    def forget(self) -> None:
        self.forgets = True
        self.message, self.rest, self.logprobs = {}, {}, None
        for call in self.calls:
            call.arguments = call.inner = call.outer = None

    def _take(self, entry: Mapping[str, Any]) -> CallPiece:
        kind = "custom" if isinstance(entry.get("custom"), dict) else "function"
        inner = entry.get(kind)
        inner = inner if isinstance(inner, dict) else {}
        given, name = entry.get("id"), inner.get("name")
        given = given if isinstance(given, str) else ""
        name = name if isinstance(name, str) else ""
        arguments = inner.get("input" if kind == "custom" else "arguments")
        call = self._call(entry.get("index"), given, name, kind)
        # Some servers repeat the whole name in every delta; others cut it in pieces.
        piece = "" if name == call.name else name
        call.id = call.id or given
        call.name += piece
        if self.forgets:
            return CallPiece(call.number, given, piece, arguments not in (None, ""), entry)
        call.arguments = _grown(call.arguments, arguments, depth=0)
        if not inner.keys() <= _INNER:
            call.inner = _grown(call.inner, {key: value for key, value in inner.items() if key not in _INNER})
        if not entry.keys() <= _OUTER:
            call.outer = _grown(call.outer, {key: value for key, value in entry.items() if key not in _OUTER})
        return CallPiece(call.number, given, piece, arguments not in (None, ""), entry)

    def _call(self, index: Any, given: str, name: str, kind: str) -> _Call:
        """The call that an entry belongs to.

        An entry without index begins the next one if it says who it is. So does a new id with a name at an index that is in
        use, as some servers give every call the index 0.
        """
        if isinstance(index, int) and not isinstance(index, bool):
            call = self.at_index.get(index)
            begins = call is None or (given not in ("", call.id) and call.id != "" and name != "")
        else:
            call = self.calls[-1] if self.calls else None
            begins = call is None or (given != call.id if given and call.id else name != "")
            index = self.next_number
        if call is None or begins:
            call = _Call(max(index, self.next_number), kind)
            self.next_number = call.number + 1
            self.calls.append(call)
            self.at_index[index] = call
        return call

    def json(self, index: int) -> dict[str, Any]:
        message = {key: _settled(value) for key, value in self.message.items()}
        if self.calls:
            message["tool_calls"] = [call.json() for call in self.calls]
        logprobs = {} if self.logprobs is None else {"logprobs": _settled(self.logprobs)}
        return {"index": index, "message": message, **logprobs, **self.rest, "finish_reason": self.finish_reason}


def is_calls(value: Any) -> bool:
    """Whether the `tool_calls` of a delta are what they should be."""
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


class Assembly:
    """The answer that the chunks of one stream make so far."""

    __slots__ = ("_choices", "_forgets", "_top", "_usage")

    def __init__(self) -> None:
        self._forgets = False
        self._top: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._usage: dict[str, Any] | None = None

    def add(self, chunk: Mapping[str, Any]) -> list[CallPiece]:
        """Take a chunk in; what it says about the calls of the first choice."""
        for key, value in () if self._forgets else chunk.items():
            if key not in ("choices", "usage", "object", "obfuscation") and value and (key != "id" or "id" not in self._top):
                self._top[key] = value
        usage, choices = chunk.get("usage"), chunk.get("choices")
        if isinstance(usage, dict):
            self._usage = usage
        pieces: list[CallPiece] = []
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                given = choice.get("index")
                index = given if isinstance(given, int) else 0
                taken = self._choices.setdefault(index, _Choice(forgets=self._forgets)).add(choice)
                pieces += taken if index == 0 else []
        return pieces

    def forget(self) -> None:
        """Go on with nothing but the names and numbers of calls."""
        self._forgets = True
        self._top.clear()
        for choice in self._choices.values():
            choice.forget()

    @property
    def said(self) -> frozenset[str]:
        """The fields of the first choice's message that have grown a text."""
        message = self._choices[0].message if 0 in self._choices else {}
        return frozenset(key for key, value in message.items() if isinstance(value, _Text) and any(value))

    def json(self) -> dict[str, Any] | None:
        """The answer, None if no choice has come."""
        if not self._choices:
            return None
        choices = [choice.json(index) for index, choice in sorted(self._choices.items())]
        top = {"id": self._top.get("id", ""), "object": "chat.completion"} | self._top | {"choices": choices}
        return top | ({"usage": self._usage} if self._usage is not None else {})
