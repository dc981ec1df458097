"""The ledger's entries: what happened in rounds that no client saw, and the keys under which a later request finds it. No I/O.

A turn of the model is known by the ids of its calls, which providers make at random and clients send back. Where a turn has no
call, or ids that may not be random, it is known by itself and by everything that was said before it.
"""

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headroom_asgi._crush import Document
from headroom_asgi.errors import HeadroomError, StoreError
from headroom_asgi.retrieval.tool import TOOL
from headroom_asgi.types import ToolCall, ToolResult
from headroom_asgi.wire import Answer, Payload, Round, Turn, WireFormat, dump

MAX_ENTRY_BYTES: Final = 4 * 1024 * 1024  # originals of 256 KiB, escaped six times as long, and the answers around them
MAX_CALLS: Final = 512  # of the client's own whose tools are remembered; some 100 kB
MAX_NAMES: Final = 4096  # of originals in a conversation that the provider holds; some 150 kB
_FORM: Final = 3
_FORMS: Final = frozenset({2, _FORM})  # the calls are new in the third
# Ids that two conversations will not share have that many characters beside the tool's name, and among them that many different
# digits and capitals: of ids that count (`functions.search:3`, `call_000000000012`) few are, of random ones nearly all.
_RANDOM_LENGTH: Final = 16
_RANDOM_SIGNS: Final = 6


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """What an exchange leaves to later ones.

    Attributes:
        digest: of the turn as the client has it.
        rounds: what really happened; of a turn that the provider holds only the last round, if calls of ours wait in it.
        goes_on: where the provider holds the conversation: the id from which it goes on.
        names: and what was left out of it so far, as markers name it.
        offered: and that it has our tool.
        kept: the ids under which the provider keeps the answers of the exchange, one a round.
        turn: the key of the exchange's other entry, for a client that sends the turn again; "" if there is none.
        calls: the client's own calls that wait where the provider holds the conversation: ids and tools' names.
    """

    digest: str = ""
    rounds: tuple[Round, ...] = ()
    goes_on: str = ""
    names: tuple[str, ...] = ()
    offered: bool = False
    kept: tuple[str, ...] = ()
    turn: str = ""
    calls: tuple[tuple[str, str], ...] = ()

    @property
    def keys(self) -> list[str]:
        """Where everything is that is known of an exchange whose answers the provider keeps."""
        return [held_key(name) for name in self.kept] + ([self.turn] if self.turn else [])


def digest_of(turn: Turn) -> str:
    """A digest of what the client has of a turn: its text and its calls, arguments compared as values."""
    calls = [(call.id, call.name, _canonical(call.arguments)) for call in turn.calls]
    return _hash("turn", dump([turn.text, calls]))


def parents(payload: Payload, turns: Sequence[Turn]) -> Iterator[bytes]:
    """For each turn of a request, in order, a digest of what was said before it, and one for the next turn.

    In it are the instructions, texts and results as they are spelled, and the turns by their texts and ids; not the model, as a
    conversation may go on with another one.
    """
    document = payload.document
    state = hashlib.blake2b(payload.held.encode(), digest_size=16, person=b"headroom-parent")

    def add(data: bytes) -> None:
        state.update(len(data).to_bytes(8, "big") + data)

    opening = payload.wire.opening(payload)
    add(b"%d" % len(opening.system))
    for node in opening.system:
        add(document.raw(node))
    told = [node for node in payload.wire.values_told(payload) if node >= 0]
    nodes = deque(sorted((document.span(node)[0], node) for node in {*told, *(segment.node for segment in payload.segments)}))
    for turn in turns:
        while nodes and nodes[0][0] < turn.start:
            add(document.raw(nodes.popleft()[1]))
        yield state.digest()
        add(dump([turn.text, [[call.id, call.name] for call in turn.calls]]))
    for _, node in nodes:
        add(document.raw(node))
    yield state.digest()


def key_of(turn: Turn, parent: bytes) -> str:
    """The key of a turn that stands in the client's request."""
    if turn.calls and all(_is_random(call) for call in turn.calls):
        return _hash("calls", dump([call.id for call in turn.calls]))
    return _hash("said", parent + digest_of(turn).encode())


def held_key(held: str) -> str:
    """The key of what the provider holds under an id."""
    return _hash("held", held.encode("utf-8", "surrogatepass"))


def packed(entry: Entry) -> bytes:
    """The bytes of an entry; the answers in it are the very bytes of the rounds' answers.

    Raises:
        StoreError: it is larger than an entry may be.
    """
    rounds = (
        b"[%s,%s]" % (each.answer.document.data, dump([[result.text, result.is_error] for result in each.results]))
        for each in entry.rounds
    )
    data = b"[%d,%s,[%s]]" % (
        _FORM,
        dump([entry.digest, entry.goes_on, entry.names, entry.offered, entry.kept, entry.turn, entry.calls]),
        b",".join(rounds),
    )
    if len(data) > MAX_ENTRY_BYTES:
        raise StoreError(f"an entry of {len(data)} bytes is beyond {MAX_ENTRY_BYTES}")
    return data


def unpacked(data: bytes, wire: WireFormat) -> Entry:
    """The entry that was packed. StoreError if it is none, or of a form that is not ours."""
    try:
        document = Document(data)
        form, head, rounds = document.elements(0)
        digest, goes_on, names, offered, kept, turn, *given = json.loads(document.raw(head))
        calls = tuple((call_id, name) for call_id, name in (given[0] if given else ()))
        read = [_round(document, node, wire) for node in document.elements(rounds)]
        said = (digest, goes_on, turn, *names, *kept, *(each for call in calls for each in call))
        known = int(document.raw(form)) in _FORMS and all(isinstance(each, str) for each in said)
    except (HeadroomError, ValueError, TypeError) as error:
        raise StoreError("an entry cannot be read") from error
    if not known:
        raise StoreError("an entry of another form")
    return Entry(digest, tuple(read), goes_on, tuple(names), offered, tuple(kept), turn, calls)


def _round(document: Document, node: int, wire: WireFormat) -> Round:
    raw, given = document.elements(node)
    answer = wire.read(document.raw(raw))
    results: list[Any] = json.loads(document.raw(given))
    calls = ours(answer)
    if len(results) not in (0, len(calls)):
        raise ValueError("other results than calls")
    return Round(answer, tuple(ToolResult(call, text, wrong) for call, (text, wrong) in zip(calls, results, strict=False)))


def ours(answer: Answer) -> list[Any]:
    """The calls of our tool in an answer."""
    return [call for call in answer.calls if call.name == TOOL.name]


def _is_random(call: ToolCall) -> bool:
    """The id of a call was drawn, not counted."""
    rest = call.id.replace(call.name, "") if call.name else call.id
    return len(rest) >= _RANDOM_LENGTH and len({sign for sign in rest if sign.isdigit() or sign.isupper()}) >= _RANDOM_SIGNS


def _canonical(arguments: str) -> Any:
    """Arguments as a value without an order of keys; as they stand if they are none."""
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


def _hash(kind: str, data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=24, person=f"headroom-{kind}".encode()).hexdigest()
