"""The watcher of a stream: passes on what is the client's, holds what could be our own call, swallows what is.

Frames go on in the order in which they came. A frame is held while it has the beginning of a call whose name may still become our
tool's, or what leads to a part that has not begun, or text that must not show if another round follows; what comes after it waits
behind it (keep-alives do not wait for text). The frames that end a round are held until it is known whether another one follows.
"""

from collections import deque
from collections.abc import Sequence

from headroom_asgi.errors import ResponseError
from headroom_asgi.retrieval.fates import Fate, Item, WatchedPart
from headroom_asgi.retrieval.flow import Outcome
from headroom_asgi.retrieval.frames import CONTENT, TERMINAL, ends_round, is_text, leads_to_text, says_nothing, shows
from headroom_asgi.wire import Answer, Event, EventKind, Frame, StreamCodec


class Watch:
    """The stream of one exchange, over all its rounds: upstream bytes in, client bytes out.

    For each round: `begin_round`, `feed` for each chunk, `end_round`. At the end `finish`, or `error` where it cannot go on.

    Args:
        codec: the dialect's codec for this exchange.
        tool_name: our tool's name. None: it was not offered; every byte passes as it comes, and answers are only assembled.
        structured: the client asked for structured output: text is held until no round can follow its own.
        max_hold_bytes: bytes of the upstream's stream; what is held is let through beyond this, and calls of our tool that are
            longer are an error. Of an answer that is longer nothing is kept: it passes if it does not call our tool.
    """

    def __init__(self, codec: StreamCodec, tool_name: str | None, *, structured: bool, max_hold_bytes: int) -> None:
        self._codec = codec
        self._tool = tool_name
        self._structured = structured
        self._max_hold_bytes = max_hold_bytes
        self._answered = 0  # rounds that brought an answer
        self._next = 0  # the client's next index
        self._anew = False  # the client knows of none of the rounds before this one
        self._redacted = False  # something was taken out: indices shift, and what is signed from here on is dropped
        self._texted = False
        self._visible = self._begun = False
        self._failed = False
        self._forgot = False
        self._out: list[bytes] = []  # client bytes that go out next
        self._reset()

    def _reset(self) -> None:
        """The state of one round."""
        self._first = not self._answered
        self._redacted = self._redacted or not self._first
        self._parts: dict[int | None, WatchedPart] = {}
        self._leading: list[WatchedPart] = []  # what the next part decides about
        self._queue: deque[Item] = deque()
        self._queued_bytes = 0
        self._tail: list[Item] = []  # from the first frame on that ends the round
        self._tail_bytes = 0
        self._settled = False  # the content of the tail has gone out
        self._passes = False  # and so has its end, which is too long to be held
        self._swallowed_bytes = 0
        self._asked = False  # our tool was called
        self._text = not self._structured  # text may show
        self._ended = False  # the reason or the last frame was seen
        self._gap = self._texted  # a separator is due before the next text

    @property
    def visible(self) -> bool:
        """Something of the answer has been let through, so its status can no longer change."""
        return self._visible

    @property
    def holds(self) -> bool:
        """Something of the answer waits for what comes next."""
        return bool(self._queue or self._tail)

    @property
    def failed(self) -> bool:
        """The stream carries an error, so it ends with it."""
        return self._failed

    @property
    def forgot(self) -> bool:
        """The answer is longer than may be held, so that it cannot be put together."""
        return self._forgot

    # -- what the caller does, in this order ---------------------------------------------------------------------------

    def begin_round(self, *, unseen: bool = False) -> bool:
        """A new upstream stream starts. Text of the round before it that still waits is discarded.

        Args:
            unseen: the client got none of the bytes so far; whether it never will, so that they are to be forgotten, is returned.
        """
        self._settle()
        self._reset()
        stays = self._codec.begin_anew() if unseen and not self._visible else None
        self._anew = stays is not None
        if stays is not None:
            self._out.clear()
            self._next = stays
            self._begun = False
        else:
            self._codec.begin_round()
        return self._anew

    def feed(self, chunk: bytes) -> bytes:
        """The client's bytes for some of the upstream's.

        Raises:
            ResponseError: the stream cannot be followed. Go on with `error`, which loses nothing of what was let through.
        """
        frames = self._codec.feed(chunk)
        if self._tool is None:
            self._look_on(frames)
            self._forget()
            return chunk
        self._run(frames)
        self._forget()
        return self._take()

    def end_round(self) -> tuple[bytes, Answer | None]:
        """The client's bytes that waited for the end of the round, and the round's answer.

        The answer is None if the stream failed or stopped before its end. Then nothing is held any more and nothing is made up:
        after a first round the client's stream ends as the upstream's did, after a later one `error` has to end it.

        Raises:
            ResponseError: as for `feed`.
        """
        frames = self._codec.close()
        if self._tool is None:
            self._look_on(frames)
            return b"", self._assembled()
        self._run([frame for frame in frames if not says_nothing(frame)])
        self._decide_all()
        self._forget()
        if self._first and not self._asked:
            # A broken rest goes on where nothing was taken out, since it may be half of what would have been.
            name = self._tool.encode("utf-8")
            self._tail += [
                Item(frame, [None] * len(frame.events)) for frame in frames if says_nothing(frame) and name not in frame.raw
            ]
        answer = self._assembled()
        if answer is None:
            self._text = True
            self._settle(ends=self._first or self._failed)
        elif not self._asked:
            self._text = True
            self._advance()
            if not self._first:
                self._settle()
        elif self._text:
            self._settle()
        self._answered += answer is not None
        return self._take(), answer

    def finish(self, outcome: Outcome) -> bytes:
        """The end of the client's stream, once: the notice if there is one, the last round's reason, usage of all rounds."""
        if self._tool is None:
            return b""
        self._text = True
        if self._first and not self._asked and outcome.reason == "done":  # some streams tell of a call at their end only
            self._settle(ends=True)
            return self._take()
        self._settle()
        if outcome.notice:
            self._out.append(self._codec.notice(outcome.notice, self._next))
        frames = [item.frame for item in self._tail if any(event.kind in TERMINAL for event in item.frame.events)]
        self._out.append(self._codec.finish(frames, outcome.answers, stopped=outcome.stopped))
        return self._take()

    def keep_alive(self) -> bytes:
        """A sign of life for a client that got the beginning of the answer; b"" otherwise."""
        return self._codec.keep_alive() if (self._visible or self._begun) and not self._failed else b""

    def error(self, message: str) -> bytes:
        """The end of a stream that cannot go on: what was let through already, then the dialect's error."""
        self._failed = True
        self._out.append(self._codec.error(message))
        return self._take()

    # -- frames: pass, hold, keep for the end --------------------------------------------------------------------------

    def _look_on(self, frames: Sequence[Frame]) -> None:
        """Frames that pass whatever they say."""
        for frame in frames:
            self._note(frame)
            self._visible = self._visible or any(shows(event) for event in frame.events)

    def _run(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            item = Item(frame, [self._part(event) for event in frame.events])
            # Nearly all frames are one piece of text that nothing holds.
            if (
                len(frame.events) == 1
                and frame.events[0].kind is EventKind.TEXT
                and self._text
                and not (self._queue or self._tail)
            ):
                self._emit(item)
                continue
            self._note(frame)
            if self._failed or self._passes:
                self._decide_all()
                self._text = True
                self._settle(ends=True)
                self._emit(item, ends=True)
            elif (self._tail and not self._goes_on(frame)) or ends_round(frame):
                self._tail.append(item)
                self._tail_bytes += len(frame.raw)
            elif self._queue and not self._text and says_nothing(frame):
                self._emit(item)  # text may wait long
            else:
                self._queue.append(item)
                self._queued_bytes += len(frame.raw)
            self._advance()
            self._bound(item)

    def _note(self, frame: Frame) -> None:
        for event in frame.events:
            if event.kind is EventKind.ERROR:
                self._failed = True
            elif event.kind in (EventKind.FINISH, EventKind.END):
                self._ended = True

    def _goes_on(self, frame: Frame) -> bool:
        """Content behind nothing but usage: that was no end, but a figure so far, and it goes on in front of the content."""
        if self._ended or not any(event.kind in CONTENT for event in frame.events):
            return False
        self._queue += self._tail
        self._queued_bytes += self._tail_bytes
        self._tail, self._tail_bytes = [], 0
        return True

    def _bound(self, item: Item) -> None:
        """Keep what is held, and what a call of ours may hold, within bounds."""
        if self._tail_bytes > self._max_hold_bytes and not self._passes:
            self._decide_all()
            if self._asked or not self._first:
                raise ResponseError(f"more than {self._max_hold_bytes} bytes behind the end of a round")
            self._passes = self._text = True
            self._settle(ends=True)
        if self._queued_bytes > self._max_hold_bytes:
            self._decide_all()
            self._text = True
            self._advance()
        if any(part is not None and part.fate is Fate.OURS for part in item.parts):
            self._swallowed_bytes += len(item.frame.raw)
            if self._swallowed_bytes > self._max_hold_bytes:
                raise ResponseError(f"more than {self._max_hold_bytes} bytes of arguments for {self._tool}")

    def _advance(self) -> None:
        """Let go of the frames that wait for nothing any more."""
        while self._queue and not self._waits(self._queue[0]):
            item = self._queue.popleft()
            self._queued_bytes -= len(item.frame.raw)
            self._emit(item)

    def _waits(self, item: Item) -> bool:
        for event, part in zip(item.frame.events, item.parts, strict=True):
            if part is not None and part.leads_to.fate is Fate.OPEN:
                return True
            if not self._text and (is_text(event) or leads_to_text(part)):
                return True
        return False

    def _settle(self, *, ends: bool = False) -> None:
        """Let go of everything: text only if it may show, the frames at the end without what ends the round unless `ends`."""
        items, self._queue, self._queued_bytes = self._queue, deque(), 0
        for item in items:
            self._emit(item)
        if not self._settled:
            self._settled = True
            for item in self._tail:
                self._emit(item, ends=ends)

    def _forget(self) -> None:
        """Hold no more of an answer that is too long. Whatever may be followed by a round has to be held."""
        if not self._forgot and (self._passes or self._codec.held_bytes > self._max_hold_bytes):
            self._forgot = True
            self._codec.forget()
        if self._forgot and (self._asked or not self._first):
            raise ResponseError(f"a call of {self._tool} in an answer of more than {self._max_hold_bytes} bytes")

    def _assembled(self) -> Answer | None:
        if self._failed or self._forgot or not self._ended:
            return None
        try:
            return self._codec.answer()
        except ResponseError:
            return None

    # -- parts: whose is it? -------------------------------------------------------------------------------------------

    def _part(self, event: Event) -> WatchedPart | None:
        """The part that an event belongs to, and what the event says about whose it is."""
        if event.kind is EventKind.CALL:
            part = self._parts.get(event.index)
            if part is None or event.begins or event.index is None:  # without indices calls come whole
                part = self._begin(event, Fate.OPEN)
            self._name(part, event)
            return part
        if event.kind is EventKind.PIECE:
            part = self._parts.get(event.index)
            if part is not None and part.fate is Fate.OPEN:
                part.pieces += 1
                # One piece may come with a name that still grows (empty arguments beside each of its pieces); two in a row don't.
                if part.name == self._tool or (part.name and part.pieces > 1):
                    self._decide(part)
            return part
        if event.kind not in CONTENT or event.index is None:
            return None
        part = self._parts.get(event.index)
        if part is None or event.begins:
            part = self._begin(event, Fate.OPEN if event.kind is EventKind.LEADING else Fate.SHOWN)
        return part

    def _begin(self, event: Event, fate: Fate) -> WatchedPart:
        """A new part, which decides about what led to it, and about a call that had its index."""
        before = self._parts.get(event.index)
        if before is not None and before.fate is Fate.OPEN and before not in self._leading:
            self._decide(before)
        part = self._parts[event.index] = WatchedPart(fate, is_text=event.kind is EventKind.TEXT)
        if event.kind is EventKind.LEADING:
            self._leading.append(part)
        else:
            self._lead(part)
        return part

    def _lead(self, part: WatchedPart | None) -> None:
        """What waited for the next part leads to this one, or to none at all."""
        for leading in self._leading:
            leading.leads_to = part or leading
            leading.fate = Fate.SHOWN
        self._leading = []

    def _name(self, part: WatchedPart, event: Event) -> None:
        assert self._tool is not None
        if part.fate is not Fate.OPEN:
            return
        if event.name:
            part.name += event.name
            part.pieces = 0
        if event.index is None or not self._tool.startswith(part.name):
            self._decide(part)

    def _decide(self, part: WatchedPart) -> None:
        """Whose a call is, by as much of its name as there is."""
        if part.name == self._tool:
            part.fate = Fate.OURS
            self._asked = True
        else:
            part.fate = Fate.SHOWN
            self._text = True  # the client has to answer this call, so no round follows

    def _decide_all(self) -> None:
        self._lead(None)
        for part in self._parts.values():
            if part.fate is Fate.OPEN:
                self._decide(part)

    # -- events: keep or drop ------------------------------------------------------------------------------------------

    def _emit(self, item: Item, *, ends: bool | None = None) -> None:
        """Give the client what is its own of a frame.

        Args:
            item: the frame.
            ends: keep what ends a round; None: if nothing was changed so far (servers that send usage with every frame).
        """
        frame = item.frame
        kept = []
        shows_text = False
        for event, part in zip(frame.events, item.parts, strict=True):
            if event.kind in TERMINAL:
                keep = (self._first and not self._redacted) if ends is None else ends
            else:
                keep = self._keeps(event, part)
            if keep:
                self._begun = self._begun or event.kind is EventKind.START
                kept.append(frame.moved(event, self._place(event, part)))
                self._visible = self._visible or shows(event)
                shows_text = shows_text or (event.kind is EventKind.TEXT and event.visible)
        if shows_text:
            if self._gap:
                self._out.append(self._codec.separator())
            self._gap = False
            self._texted = True
        if kept:
            self._out.append(self._codec.encode(frame, kept))

    def _keeps(self, event: Event, part: WatchedPart | None) -> bool:
        if event.kind is EventKind.START:
            return self._first or self._anew
        if event.kind is EventKind.SIGNED and self._redacted and (part is None or part.index is None):
            return False
        if part is not None and part.leads_to.fate is Fate.OURS:
            self._redacted = True
            return False
        if not self._text and (is_text(event) or leads_to_text(part)):
            self._redacted = True
            return False
        return True

    def _place(self, event: Event, part: WatchedPart | None) -> int | None:
        """The client's index: the upstream's as long as nothing was taken out, else the next one."""
        if part is None or event.index is None:
            return event.index
        if part.index is None:
            part.index = self._next if self._redacted else event.index
            self._next = max(self._next, part.index + 1)
        return part.index

    def _take(self) -> bytes:
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)
