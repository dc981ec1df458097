"""What the store knows about the conversation of one request, and what its exchange leaves there for later ones."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from headroom_asgi.config import Route
from headroom_asgi.engine.engine import Engine
from headroom_asgi.engine.originals import ORIGINALS
from headroom_asgi.errors import StoreError
from headroom_asgi.logs import get_logger
from headroom_asgi.retrieval import (
    MAX_CALLS,
    MAX_NAMES,
    TOOL,
    Entry,
    Outcome,
    digest_of,
    held_key,
    key_of,
    packed,
    parents,
    unpacked,
)
from headroom_asgi.store import Store
from headroom_asgi.transforms import SCANNED_PER_COMPRESSED
from headroom_asgi.types import Edit
from headroom_asgi.wire import Payload, Round, Turn, WireFormat, splice

_log = get_logger(__name__)

# What a store does, for something to call it in the log if it fails.
Asked: TypeAlias = Callable[[str, Awaitable[bool]], Awaitable[bool | None]]

_Change: TypeAlias = tuple[Turn, Sequence[Round]]  # a turn as the client has it, and what really happened

LEDGER: Final = "ledger"  # the store's namespace
_OFF: Final = b"off"
_MAX_NAME: Final = 128  # characters of a tool's name that count
# What a round that ended so left open is answered by a later request where the provider holds the calls; elsewhere only where the
# client's own calls stand beside them, as the others are simply left out.
_OPEN: Final = frozenset({"mixed", "max_rounds", "cut"})
_OPEN_IF_SENT_AGAIN: Final = frozenset({"mixed"})


@dataclass(slots=True, repr=False)
class Conversation:
    """The conversation that a request goes on with: what was found in the store, what is to be written there.

    Attributes:
        store, tenant, ttl_s: where, whose, and how long.
        client: the request as the client sent it, decoded.
        replays: turns may be put back, as every worker sees the same entries.
        turns: the model's turns in the request.
        keys: of those turns.
        parent: a digest of all that was said in the request, with which the next turn has its key.
        values: what the store has under those keys, and others of ours.
        held: what is known of a conversation that the provider holds.
        pinned: its requests go as they come.
        doubtful: the store did not answer, so what was found on earlier turns may be missing.
        refused: why entries that were found were not put back, one reason each.
    """

    store: Store
    tenant: str
    ttl_s: float
    client: Payload
    route: str
    replays: bool
    turns: Sequence[Turn] = ()
    keys: Sequence[str] = ()
    parent: bytes = b""
    values: Mapping[str, bytes] = field(default_factory=dict)
    held: Entry = field(default_factory=Entry)
    pinned: bool = False
    doubtful: bool = False
    refused: list[str] = field(default_factory=list)

    @property
    def is_held(self) -> bool:
        """The provider holds what came before, or will hold this exchange: later requests may bring only what is new."""
        return bool(self.client.held) or self.client.holds

    @property
    def is_new(self) -> bool:
        """This is its first request."""
        return not self.turns and not self.client.held

    @property
    def is_unknown(self) -> bool:
        """No request of it went with changes of ours: it is new, or the provider holds it and nothing is known of it here."""
        return self.is_new or (bool(self.client.held) and held_key(self.client.held) not in self.values)

    @property
    def relies(self) -> bool:
        """Later requests can only ask for what is in the store now.

        A client that sends the whole conversation each time, although the provider holds it, will send these texts again.
        """
        return self.is_held and (bool(self.client.held) or self.is_new)

    @property
    def changes(self) -> int:
        """Bytes to work on for `restored`; 0 if there is nothing to do."""
        entries = sum(len(value) for key, value in self.values.items() if key != self._pin)
        return entries + len(self.client.body) if entries else 0

    @property
    def answers(self) -> frozenset[str]:
        """After which ends our calls of the last round are answered by a later request."""
        if self.is_held and self.store.shared:
            return _OPEN
        return _OPEN_IF_SENT_AGAIN if self.replays else frozenset()

    @property
    def _pin(self) -> str:
        """The key of its pin: a conversation is known by its route and the text it begins with, or by where it goes on from."""
        first = self.client.segments[0].utf8 if self.client.segments else b""
        data = f"{self.route}\n{self.client.held}\n".encode("utf-8", "surrogatepass") + first
        return hashlib.blake2b(data, digest_size=24, person=b"headroom-pin").hexdigest()

    def name(self) -> None:
        """Find the turns and their keys. A request whose turns cannot be told goes without what really happened in them."""
        try:
            self.turns = self.client.wire.turns(self.client)
        except Exception as error:
            self.refused.append(type(error).__name__)
            self.replays = False
            return
        *before, self.parent = parents(self.client, self.turns)
        self.keys = [key_of(turn, parent) for turn, parent in zip(self.turns, before, strict=True)]

    async def recall(self) -> bool:
        """Look for what earlier exchanges left: one question to the store."""
        pin = self._pin
        keys = [pin]
        if self.store.shared and self.client.held:
            keys.append(held_key(self.client.held))
        if self.replays:
            keys += self.keys
        self.values = await self.store.get_many(LEDGER, keys, tenant=self.tenant)
        self.pinned = self.values.get(pin) == _OFF
        return True

    async def ask_again(self) -> bool:
        """What the store did not say of a conversation that the provider holds, and what hangs on it from here on."""
        if self.client.held:
            self.values = await self.store.get_many(LEDGER, [held_key(self.client.held)], tenant=self.tenant)
            self.recollect()
        self.doubtful = False
        return True

    def recollect(self) -> None:
        """Read what is known of a conversation that the provider holds."""
        if self.client.held:
            self.held = self._read(held_key(self.client.held)) or self.held

    def restored(self) -> tuple[Payload, int]:
        """The request with what really happened in place of the client's turns, and how many turns that were.

        What cannot be read is as good as absent.
        """
        self.recollect()
        changes: list[_Change] = []
        if self.held.rounds:
            waiting = next((turn for turn in self.turns if turn.held), Turn("", (), held=True))
            changes.append((waiting, self.held.rounds))
        done: set[str] = set()
        for turn, key in zip(self.turns, self.keys, strict=True):
            # A turn that the client repeats is put back where it stands first: ids of calls must not come twice.
            entry = None if turn.held or key in done else self._read(key)
            done.add(key)
            if entry is not None and entry.digest == digest_of(turn):
                changes.append((turn, entry.rounds))
            elif entry is not None:
                self.refused.append("turn_differs")
        moved = self.held.goes_on not in ("", self.client.held)
        aliased = self.client.wire.hold(self.client, self.held.goes_on) if moved else []
        return self._replayed(changes, aliased)

    def _replayed(self, changes: Sequence[_Change], aliased: Sequence[Edit]) -> tuple[Payload, int]:
        """A payload with turns replaced by rounds, and how many were.

        A turn that cannot be replaced, or whose calls and results would not pair any more, stays as the client has it.
        """
        payload = self.client.knowing(dict(self.held.calls))
        edits: list[tuple[_Change, Sequence[Edit]]] = []
        for turn, rounds in changes:
            try:
                edits.append(((turn, rounds), payload.wire.replay(payload, turn, rounds)))
            except Exception as error:
                self.refused.append(type(error).__name__)
        expected = payload.wire.unpaired(payload)
        if payload.held:  # the provider has the calls
            expected |= {result.call.id for _, rounds in changes for each in rounds for result in each.results}
        for _ in range(2):
            if not edits:
                break
            made = payload.again(splice(payload.body, [*aliased, *(edit for _, several in edits for edit in several)]))
            wrong = payload.wire.unpaired(made) - expected
            if not wrong:
                return made, len(edits)
            sound = [(change, several) for change, several in edits if wrong.isdisjoint(_ids(change))]
            self.refused += ["unpaired"] * (len(edits) - len(sound))
            edits = sound
        return (payload.again(splice(payload.body, aliased)) if aliased else payload), 0

    def _read(self, key: str) -> Entry | None:
        try:
            return unpacked(self.values[key], self.client.wire) if key in self.values else None
        except StoreError:
            self.refused.append("unreadable")
            return None

    def learns(self, outcome: Outcome) -> bool:
        """There is something to remember."""
        return (self.is_held and self.store.shared) or (self.replays and outcome.hides)

    async def remember(self, outcome: Outcome, turn: Turn, names: Iterable[str], *, offered: bool, has_tool: bool) -> bool:
        """Leave what later requests need, before the client can send one.

        Args:
            outcome: how the exchange ended.
            turn: what the client gets.
            names: of what this exchange left out.
            offered: the model has our tool. Otherwise it has it only if it called it; if it did not, there is nothing to know of
                what the provider holds.
            has_tool: and it was in this request.
        """
        key = ""
        if self.replays and outcome.hides and not (self.client.held and self.client.holds):
            entry, key = packed(Entry(digest_of(turn), outcome.rounds)), key_of(turn, self.parent)
            # A request that was sent twice at once may leave two: what was put back once must not change.
            await self._put(key, entry, if_absent=True)
        if self.is_held and self.store.shared and (offered or outcome.asked):
            await self._hold(outcome, turn, names, key, has_tool=has_tool)
        return True

    def _left_out(self, names: Iterable[str]) -> tuple[str, ...]:
        """What was left out of the conversation so far."""
        return tuple(dict.fromkeys((*self.held.names, *names)))[-MAX_NAMES:]

    async def _hold(self, outcome: Outcome, turn: Turn, names: Iterable[str], key: str, *, has_tool: bool) -> None:
        wire = self.client.wire
        goes_on = wire.held_by(outcome.answers[-1])
        shows_us = has_tool or len(outcome.rounds) > 1  # else the provider's own answer is the client's
        kept = tuple(name for name in dict.fromkeys(map(wire.kept_as, outcome.answers)) if name and shows_us)
        known = self._left_out(names)
        waiting = outcome.rounds[-1:] if outcome.rounds[-1].results else ()
        calls = tuple((call.id, call.name[-_MAX_NAME:]) for call in turn.calls[:MAX_CALLS])
        entry = Entry("", waiting, goes_on, known, offered=True, kept=kept, turn=key, calls=calls)
        if known:
            await self.store.touch(ORIGINALS, known, tenant=self.tenant, ttl=self.ttl_s)
        values = {held_key(wire.held_by(answer)): packed(entry) for answer in outcome.answers if wire.held_by(answer)}
        if goes_on not in kept:  # a conversation goes on under its own name, its answers have theirs
            values |= dict.fromkeys(map(held_key, kept), packed(replace(entry, goes_on="")))
        # The client has the name of the first round that it knows of, or of the last one.
        for key, value in values.items():
            await self._put(key, value)

    async def pin(self) -> bool:
        """Let all further requests of this conversation go as they come."""
        await self._put(self._pin, _OFF)
        return True

    async def _put(self, key: str, value: bytes, *, if_absent: bool = False) -> None:
        await self.store.put(LEDGER, key, value, tenant=self.tenant, ttl=self.ttl_s, if_absent=if_absent)


async def recalled(engine: Engine, route: Route, tenant: str, payload: Payload, asked: Asked) -> Conversation:
    """The conversation of a request, with what the store has of it. `asked` awaits what a store does; None if that fails."""
    shared = engine.store.shared
    replays = shared and route.replays and route.mode == "ccr" and not payload.wire.offer(payload, TOOL).obstacle
    known = Conversation(engine.store, tenant, route.ttl_s, payload, route.path, replays=replays)
    # Where no store is shared, the pin holds in this worker; elsewhere the conversation may be refused, and pinned, once more.
    spared = engine.breaker.tripped(route, tenant, payload.model)
    if replays or spared or (known.is_held and shared):
        await engine.work(len(payload.body) // SCANNED_PER_COMPRESSED, known.name)
    known.doubtful = await asked("recall_failed", known.recall()) is None
    if spared and known.is_unknown and not known.pinned and not known.doubtful:
        known.pinned = await asked("pin_failed", known.pin()) is not None
    return known


async def kept_answers(store: Store, wire: WireFormat, tenant: str, name: str) -> Entry | None:
    """What is known of the exchange that has the answer that the provider keeps under this name."""
    key = held_key(name)
    values = await store.get_many(LEDGER, [key], tenant=tenant)
    entry = unpacked(values[key], wire) if key in values else None
    return entry if entry is not None and name in entry.kept else None


async def forget_answers(store: Store, tenant: str, entry: Entry) -> int:
    """Forget an exchange whose answers the provider keeps no longer; how many entries that were."""
    return await store.delete(LEDGER, entry.keys, tenant=tenant)


def _ids(change: _Change) -> set[str]:
    turn, rounds = change
    return {call.id for call in turn.calls} | {call.id for each in rounds for call in each.answer.calls}
