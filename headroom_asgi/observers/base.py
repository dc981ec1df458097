"""What is said about an exchange once it is over: one frozen report, free of any text of the conversation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Report:
    """One exchange in figures.

    Attributes:
        request_id: the client's `x-request-id`, else one of ours.
        dialect, provider, model: of the request; empty if it could not be decoded.
        route: the path pattern whose settings held.
        mode: `audit`, `lossless` or `ccr`.
        outcome: `compressed`, `audit`, `answered`, `skipped:REASON`, `failed_open:WHERE`, or `canceled` before it was known;
            `reasoning_dropped` if the provider took the request without the model's earlier reasoning only; `results_lost` if it
            holds calls of ours of which nothing is known here any more, and took the request with an error as their results.
        stream: the client asked for a stream.
        status: of the response, 0 if there was none.
        tokens_before, tokens_after: of the texts that were changed; the tool definition counts as added text.
        method: `exact`, `scaled` or `estimate`: how those were counted.
        transforms: labels of what was applied.
        reasons: number of segments by what was decided about them.
        left_out: rows (lines, blocks) that were left out and can be asked for.
        rounds: calls of the inner app.
        retrievals: originals that the model asked for.
        misses: those that were never written in its conversation, or were more than may be handed out; many of them are a model
            that guesses, or was told to.
        unread: why the answer passed without being read to its end, "" if it was read, or nobody had to: `too_large`,
            `unsupported_encoding`, `unreadable`. A call of our tool in it may have reached the client.
        controls: what a trusted caller's headers decided: `bypass`, `mode`, `tenant`. A conversation keeps its prefix, and its
            originals, where all its requests say the same.
        obstacle: why nothing might be left out (and mostly our tool was not offered): a mode, or a fact of the request.
        replayed: turns of the model in whose place what really happened was put, hidden rounds and all.
        replay_refused: turns for which that is known, but that are not as the client got them, or cannot be put back.
        prefix_risk: an extension was skipped, or the store failed, or reasoning had to go, so the forwarded bytes may differ from
            an earlier turn's.
        warnings: for people, free of any text as well, e.g. that the system prompt changes between conversations.
        added_ms: milliseconds from the complete request body to the inner app's call.
    """

    request_id: str
    dialect: str = ""
    provider: str = ""
    model: str = ""
    route: str = ""
    mode: str = ""
    outcome: str = ""
    stream: bool = False
    status: int = 0
    tokens_before: int = 0
    tokens_after: int = 0
    method: str = "estimate"
    transforms: tuple[str, ...] = ()
    reasons: Mapping[str, int] = field(default_factory=dict)
    left_out: int = 0
    rounds: int = 0
    retrievals: int = 0
    misses: int = 0
    unread: str = ""
    controls: tuple[str, ...] = ()
    obstacle: str = ""
    replayed: int = 0
    replay_refused: int = 0
    prefix_risk: bool = False
    warnings: tuple[str, ...] = ()
    added_ms: float = 0.0

    @property
    def tokens_saved(self) -> int:
        """Negative if more was added than saved; never clamped."""
        return self.tokens_before - self.tokens_after


Observer: TypeAlias = Callable[[Report], None]
