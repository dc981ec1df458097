"""What dialects of content blocks share: pairs of calls and results, reasoning that has to go, blocks that a stream left open."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from headroom_asgi._crush import Document
from headroom_asgi.types import Edit
from headroom_asgi.wire.answers import Answer, Part, PartKind
from headroom_asgi.wire.nodes import elements_at, text_at
from headroom_asgi.wire.splice import arrange


def unpaired(said: Iterable[tuple[str, Sequence[str]]], *, held: bool = False) -> frozenset[str]:
    """Ids of calls that the user's turn behind them does not answer exactly once, and of results that answer no such call.

    Messages of one role in a row are one turn; others than the two (instructions) may stand between turns.

    Args:
        said: the role of every message, and the ids of the calls in it or, of a user's, of the results.
        held: the first results answer calls that are with the provider.
    """
    wrong: set[str] = set()
    calls: Counter[str] = Counter()
    results: Counter[str] = Counter()
    answered = False  # a user turn stands behind the calls
    for role, ids in said:
        if role == "assistant":
            if answered:
                wrong |= _differing(calls, results)
                calls, results, answered = Counter(), Counter(), False
            held = False
            calls.update(ids)
        elif role == "user":
            results.update(ids)
            calls.update(ids if held else ())
            answered = True
    return frozenset(wrong | _differing(calls, results) if answered else wrong)


def _differing(calls: Counter[str], results: Counter[str]) -> set[str]:
    """Ids that are not in both exactly once."""
    return {key for key in calls | results if calls[key] != 1 or results[key] != 1}


def staying(answer: Answer, gone: frozenset[int], is_empty: Callable[[Document, Part], bool]) -> list[Part]:
    """The parts of an answer that may go back to the API, which sends empty texts but does not take them.

    Args:
        answer: the answer.
        gone: calls to leave out. What was signed behind the first of them is bound to it, and what is signed may not end a turn.
        is_empty: says of a part whether it is an empty text.
    """
    kept: list[Part] = []
    for part in answer.parts:
        bound = part.kind is PartKind.SIGNED and any(node < part.node for node in gone)
        if part.node not in gone and not bound and not is_empty(answer.document, part):
            kept.append(part)
    while gone and kept and kept[-1].kind is PartKind.SIGNED:
        kept.pop()
    return kept


class OpenBlocks:
    """The blocks of a stream that began at the client and did not end there: all end before anything else is said.

    Args:
        spell_stop: the end of a block.
    """

    def __init__(self, spell_stop: Callable[[int], bytes]) -> None:
        self._spell_stop = spell_stop
        self._indices: dict[int, None] = {}
        self._owed = b""

    def begin(self, index: int) -> None:
        """The client got the beginning of a block, or more of it."""
        self._indices[index] = None

    def end(self, index: int) -> None:
        """The client got its end."""
        self._indices.pop(index, None)

    def close(self) -> bytes:
        """The ends of all of them, which go out now."""
        ends = b"".join(map(self._spell_stop, self._indices))
        self._indices.clear()
        return ends

    def owe(self, data: bytes) -> None:
        """Something has to go out before the next bytes, if there are any."""
        self._owed += data

    def paid(self, data: bytes) -> bytes:
        """The next bytes, behind what was owed."""
        data, self._owed = self._owed + data if self._owed else data, b""
        return data


@dataclass(frozen=True, slots=True, repr=False)
class Blocks:
    """What the content blocks of a dialect are: each function says it of one block."""

    is_signed: Callable[[Document, int], bool]
    is_call: Callable[[Document, int], bool]
    is_result: Callable[[Document, int], bool]


def unsigned_edits(document: Document, messages: int, blocks: Blocks, *, leads_calls: bool) -> list[Edit]:
    """The edits that take all signed blocks out of an array of messages; a message that has nothing else goes whole.

    `leads_calls`: the calls that wait for their results have to begin with what was signed. Then all of it stays that came since
    the user last spoke, so that what is signed next fits the request after this one, too.
    """
    nodes = document.elements(messages)
    end = _asked_last(document, nodes, blocks) if leads_calls else len(nodes)
    edits: list[Edit] = []
    gone: set[int] = set()
    for at, message in enumerate(nodes[:end]):
        content = elements_at(document, message, "content")
        kept = [i for i, block in enumerate(content) if not blocks.is_signed(document, block)]
        if content and not kept:
            gone.add(at)
        elif len(kept) < len(content):
            edits += arrange(document, document.get(message, "content"), kept)
    return edits + (arrange(document, messages, [at for at in range(len(nodes)) if at not in gone]) if gone else [])


def _asked_last(document: Document, messages: Sequence[int], blocks: Blocks) -> int:
    """The position behind what the user said before the calls that wait; the end, if none wait."""
    roles = [text_at(document, message, "role") for message in messages]
    said = [at for at, role in enumerate(roles) if role == "assistant"]
    if not said or not any(blocks.is_call(document, block) for block in elements_at(document, messages[said[-1]], "content")):
        return len(messages)
    for at in range(said[-1] - 1, -1, -1):
        content = elements_at(document, messages[at], "content")
        if roles[at] == "user" and not any(blocks.is_result(document, block) for block in content):
            return at + 1
    return 0
