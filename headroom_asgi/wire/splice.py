"""Edits of JSON bytes by splice: what is not replaced keeps its bytes.

The functions give edits, `splice` makes them. All work on a scanned document, which they do not change, and the edits of several
functions may be made together as long as no two of them rearrange the same container.
"""

import json
import math
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from headroom_asgi._crush import ARRAY, OBJECT, Document
from headroom_asgi.types import Edit

_Path: TypeAlias = tuple[Any, str | int] | None  # the way to a value, last step first: (path of its container, key or position)

_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def splice(body: bytes, edits: Iterable[Edit]) -> bytes:
    """The body with the edits made; the same object if there are none. Insertions at one place keep their order.

    Raises:
        ValueError: two edits overlap, or one reaches out of the body.
    """
    ordered = sorted(edits, key=lambda edit: (edit.start, edit.end))
    if not ordered:
        return body
    pieces: list[bytes] = []
    at = 0
    for edit in ordered:
        if edit.start < at or edit.end < edit.start:
            msg = f"edit of [{edit.start}, {edit.end}) overlaps the one before, which ends at {at}"
            raise ValueError(msg)
        pieces += (body[at : edit.start], edit.data)
        at = edit.end
    if at > len(body):
        msg = f"edit ends at {at}, the body at {len(body)}"
        raise ValueError(msg)
    pieces.append(body[at:])
    return b"".join(pieces)


def literal(text: str) -> bytes:
    """A string as an ASCII-escaped JSON literal; unpaired surrogates are escaped like everything else."""
    return _ENCODER.encode(text).encode("ascii")


def dump(value: Any) -> bytes:
    """A value as compact, ASCII-escaped JSON. TypeError, ValueError or RecursionError if JSON cannot say it."""
    return _ENCODER.encode(value).encode("ascii")


def replace(document: Document, node: int, data: bytes) -> list[Edit]:
    """Put `data` in place of a value."""
    return [Edit(*document.span(node), data)]


def insert_members(document: Document, node: int, members: Mapping[str, bytes]) -> list[Edit]:
    """Add members, given as JSON texts, at the end of an object. Keys that it has already are not looked for."""
    return arrange(document, node, [*range(document.count(node)), *(literal(k) + b":" + v for k, v in members.items())])


def overlay(document: Document, node: int, members: Mapping[str, bytes]) -> list[Edit]:
    """The edits that set members, given as JSON texts, of an object: those it has are replaced, others come behind."""
    edits: list[Edit] = []
    missing: dict[str, bytes] = {}
    for key, data in members.items():
        value = document.get(node, key)
        if value >= 0:
            edits += replace(document, value, data)
        else:
            missing[key] = data
    return edits + (insert_members(document, node, missing) if missing else [])


def overlaid(data: bytes, members: Mapping[str, bytes]) -> bytes:
    """An object with members set."""
    document = Document(data)
    return splice(data, overlay(document, 0, members))


def insert_elements(document: Document, node: int, at: int, elements: Sequence[bytes]) -> list[Edit]:
    """Add elements, given as JSON texts, to an array, so that the first of them gets the position `at`."""
    if at > 0:
        end = document.span(document.elements(node)[at - 1])[1]
        return _gap(end, end, b"".join(b"," + text for text in elements))
    return arrange(document, node, [*elements, *range(document.count(node))])


def arrange(document: Document, node: int, children: Sequence[int | bytes]) -> list[Edit]:
    """Make these the children of an array or object.

    `children` are the positions of those that stay, ascending, and texts of new ones (`"key":value` in an object).
    """
    spans = _child_spans(document, node)
    edits: list[Edit] = []
    fresh: list[bytes] = []
    kept = -1  # the last child that stays; what follows it is written behind its end
    for child in children:
        if isinstance(child, bytes):
            fresh.append(child)
        elif kept >= 0:
            edits += _gap(spans[kept][1], spans[child - 1][1], b"".join(b"," + text for text in fresh))
            fresh, kept = [], child
        else:
            edits += _gap(spans[0][0], spans[child][0], b"".join(text + b"," for text in fresh))
            fresh, kept = [], child
    if kept >= 0:
        edits += _gap(spans[kept][1], spans[-1][1], b"".join(b"," + text for text in fresh))
    elif fresh or spans:
        start, end = document.span(node)
        edits.append(Edit(start + 1, end - 1, b",".join(fresh)))
    return edits


def rewrite(document: Document, node: int, old: Any, new: Any) -> list[Edit]:
    """The edits that turn the value at `node`, which reads as `old`, into `new`, down to the smallest changed values.

    Values are the same only if their types are (1, 1.0 and True differ); the order of members does not count. New members go
    to the end. Elements of arrays that are the same stay where they are as far as they are in the same order; between them,
    elements are matched by position.

    Raises:
        TypeError: `new` holds something that JSON cannot say; the message names where.
    """
    numbers = _Numbers()
    edits: list[Edit] = []
    todo: list[tuple[int, Any, Any, _Path]] = [(node, old, new, None)]
    while todo:
        node, old, new, path = todo.pop()
        if numbers.of(old) == numbers.of(new):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            values = dict(document.items(node))  # of duplicate keys, the last one counts
            keys = [key for key, _ in document.items(node)]
            children: list[int | bytes] = [i for i, key in enumerate(keys) if key in new]
            added = {k: v for k, v in new.items() if k not in old}
            children += [_written_key(k, path) + b":" + _written(v, (path, k)) for k, v in added.items()]
            todo += [(values[k], v, new[k], (path, k)) for k, v in old.items() if k in new]
        elif isinstance(old, list) and isinstance(new, (list, tuple)):
            elements = document.elements(node)
            matched = dict(_align([numbers.of(v) for v in old], [numbers.of(v) for v in new]))
            children = [matched[j] if j in matched else _written(v, (path, j)) for j, v in enumerate(new)]
            todo += [(elements[i], old[i], new[j], (path, j)) for j, i in matched.items()]
        else:
            edits += replace(document, node, _written(new, path))
            continue
        edits += arrange(document, node, children)
    return edits


def _gap(start: int, end: int, data: bytes) -> list[Edit]:
    return [Edit(start, end, data)] if data or start < end else []


def _child_spans(document: Document, node: int) -> list[tuple[int, int]]:
    """Byte spans of the elements, or of the members with their keys (a key is the node before its value)."""
    if document.kind(node) == ARRAY:
        return [document.span(child) for child in document.elements(node)]
    if document.kind(node) == OBJECT:
        return [(document.span(value - 1)[0], document.span(value)[1]) for _, value in document.items(node)]
    msg = f"node {node} is neither array nor object"
    raise TypeError(msg)


class _Numbers:
    """Numbers of JSON values: two have the same number if and only if they are the same. Linear, and not recursive.

    What is no JSON value, and what holds itself, is the same as nothing.
    """

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._containers: dict[int, int] = {}  # by identity: all values outlive this object

    def of(self, value: Any) -> int:
        if isinstance(value, (dict, list, tuple)) and id(value) not in self._containers:
            self._number_containers(value)
        return self._known(value)

    def _number_containers(self, value: Any) -> None:
        # Every container is met twice: first its children are put before it, then it is numbered by their numbers.
        todo = [value]
        opened: set[int] = set()
        while todo:
            top = todo[-1]
            if id(top) in self._containers:
                todo.pop()
            elif id(top) in opened:
                todo.pop()
                key: Hashable
                if isinstance(top, dict):
                    key = (dict, frozenset((k, self._known(v)) for k, v in top.items()))
                else:
                    key = (list, tuple(self._known(v) for v in top))
                self._containers[id(top)] = self._numbers.setdefault(key, len(self._numbers))
            else:
                opened.add(id(top))
                children = top.values() if isinstance(top, dict) else top
                todo += [c for c in children if isinstance(c, (dict, list, tuple)) and id(c) not in opened]

    def _known(self, value: Any) -> int:
        key: Hashable
        if isinstance(value, (dict, list, tuple)):
            return self._containers[id(value)] if id(value) in self._containers else self._fresh()
        if value is None or isinstance(value, bool):
            key = value
        elif isinstance(value, str):
            key = str.__str__(value)
        elif isinstance(value, int):
            key = (int, int(value))
        elif isinstance(value, float):
            key = (float, float.__repr__(value))
        else:
            return self._fresh()
        return self._numbers.setdefault(key, len(self._numbers))

    def _fresh(self) -> int:
        return self._numbers.setdefault(object(), len(self._numbers))


def _align(old: Sequence[int], new: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs (new position, old position) of two lists of numbers, ascending in both.

    Common beginning and end, then those that occur once in both as far as their order agrees; between these, the same again,
    and what is left by position.
    """
    pairs: list[tuple[int, int]] = []
    head, old_end, new_end = _trim(old, new, 0, len(old), 0, len(new), pairs)
    anchors = _anchors(old, new, head, old_end, new_end)
    i = j = head
    for anchor_j, anchor_i in [*anchors, (new_end, old_end)]:
        length, stop_i, stop_j = _trim(old, new, i, anchor_i, j, anchor_j, pairs)
        pairs += zip(range(j + length, stop_j), range(i + length, stop_i), strict=False)
        if anchor_j < new_end:
            pairs.append((anchor_j, anchor_i))
        i, j = anchor_i + 1, anchor_j + 1
    return sorted(pairs)


def _trim(
    old: Sequence[int], new: Sequence[int], i: int, i_end: int, j: int, j_end: int, pairs: list[tuple[int, int]]
) -> tuple[int, int, int]:
    """Match the common beginning and end of `old[i:i_end]` and `new[j:j_end]`: length of the beginning, where the ends start."""
    length = 0
    while i + length < i_end and j + length < j_end and old[i + length] == new[j + length]:
        pairs.append((j + length, i + length))
        length += 1
    while i_end > i + length and j_end > j + length and old[i_end - 1] == new[j_end - 1]:
        i_end -= 1
        j_end -= 1
        pairs.append((j_end, i_end))
    return length, i_end, j_end


def _anchors(old: Sequence[int], new: Sequence[int], head: int, old_end: int, new_end: int) -> list[tuple[int, int]]:
    """The longest ascending run of pairs (new position, old position) of numbers that occur once on both sides."""
    old_at = _singles(old, head, old_end)
    new_at = _singles(new, head, new_end)
    pairs = [(j, old_at[number]) for number, j in new_at.items() if number in old_at]
    # Patience: `tails[n]` is the smallest last old position of a run of n + 1 pairs, `links` its predecessor.
    tails: list[int] = []
    ends: list[int] = []
    links: list[int] = []
    for index, (_, i) in enumerate(pairs):
        length = bisect_left(tails, i)
        links.append(ends[length - 1] if length else -1)
        tails[length : length + 1] = [i]
        ends[length : length + 1] = [index]
    run = []
    index = ends[-1] if ends else -1
    while index >= 0:
        run.append(pairs[index])
        index = links[index]
    return run[::-1]


def _singles(numbers: Sequence[int], start: int, end: int) -> dict[int, int]:
    """The positions of numbers that occur once in `numbers[start:end]`, ascending."""
    last: dict[int, int] = {}
    seen: set[int] = set()
    for i in range(start, end):
        number = numbers[i]
        if number in seen:
            last.pop(number, None)
        else:
            seen.add(number)
            last[number] = i
    return last


def _written_key(key: Any, path: _Path) -> bytes:
    if not isinstance(key, str):
        raise TypeError(f"{_where(path)}: a key is {type(key).__name__}, not a string")
    return literal(key)


def _written(value: Any, path: _Path) -> bytes:
    """The JSON text of a new value; TypeError with the path of what JSON cannot say."""
    # Every value is looked at before the encoder gets it, which takes keys that are no strings and knows no paths.
    todo: list[tuple[Any, _Path]] = [(value, path)]
    seen: set[int] = set()
    while todo:
        item, at = todo.pop()
        if isinstance(item, (dict, list, tuple)):
            if id(item) in seen:
                continue
            seen.add(id(item))
        if isinstance(item, dict):
            for key in item:
                _written_key(key, at)
            todo += [(child, (at, key)) for key, child in item.items()]
        elif isinstance(item, (list, tuple)):
            todo += [(child, (at, index)) for index, child in enumerate(item)]
        elif isinstance(item, float):
            if not math.isfinite(item):
                raise TypeError(f"{_where(at)}: {item} is no JSON number")
        elif item is not None and not isinstance(item, (str, int)):
            raise TypeError(f"{_where(at)}: {type(item).__name__} is no JSON value")
    try:
        return dump(value)
    except ValueError as error:
        raise TypeError(f"{_where(path)}: {error}") from error
    except RecursionError as error:
        raise TypeError(f"{_where(path)}: nested too deeply") from error


def _where(path: _Path) -> str:
    """A path as JSONPath spells it, e.g. `$[3].content`."""
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return "".join(["$", *reversed(steps)])
