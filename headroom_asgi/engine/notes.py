"""What is jotted down about an exchange while it goes on, for response headers and the report."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

from headroom_asgi.engine.counting import Tally
from headroom_asgi.observers import Report
from headroom_asgi.transforms import PipelineReport

# Why nothing was compressed, the most telling reason first.
_TELLING: Final = ("failed", "does_not_pay", "kind", "exact_match_tool", "small", "disabled", "frozen")


@dataclass(slots=True, repr=False)
class Notes:
    """The facts of one exchange, as far as they are known.

    Attributes:
        started: when the request body was complete, by the performance counter.
        added_ms: from then to the inner app's call.
        outcome: the code that says what was done, and why not; `canceled` until that is known.
        tally: token figures of the changed texts.
        report: what the pipeline did.
        obstacle: why nothing might be left out.
        replayed, replay_refused: turns of the request in whose place what really happened was put, or could not be.
        prefix_risk: forwarded bytes may differ from an earlier turn's, because an extension was skipped, the store failed, or
            reasoning had to go.
        controls: what a trusted caller's headers said: `bypass`, `mode`, `tenant`.
        rounds, retrievals: calls of the inner app, and originals that were asked for.
        misses: of the latter those that could not be given.
        unread: why the answer passes without being read to its end.
        status: of the response.
        upstream_ids: what the upstream calls the rounds' responses, where it says so.
        sent, received: POST_SEND and RESPONSE_RECEIVED have fired.
    """

    started: float = field(default_factory=time.perf_counter)
    added_ms: float = 0.0
    outcome: str = "canceled"
    tally: Tally = field(default_factory=lambda: Tally(0, 0))
    report: PipelineReport = field(default_factory=PipelineReport)
    obstacle: str = ""
    replayed: int = 0
    replay_refused: int = 0
    prefix_risk: bool = False
    controls: tuple[str, ...] = ()
    rounds: int = 0
    retrievals: int = 0
    misses: int = 0
    unread: str = ""
    status: int = 0
    upstream_ids: list[str] = field(default_factory=list)
    sent: bool = False
    received: bool = False

    def frozen(self, **known: Any) -> Report:
        """The report, with what else is known of the request."""
        figures = self.tally.figures
        reasons: dict[str, int] = {}
        for decision in self.report.decisions:
            reasons[decision.reason] = reasons.get(decision.reason, 0) + 1
        return Report(
            outcome=self.outcome,
            status=self.status,
            tokens_before=figures.before,
            tokens_after=figures.after,
            method=figures.method,
            transforms=self.report.labels,
            reasons=reasons,
            left_out=self.report.left_out,
            controls=self.controls,
            rounds=self.rounds,
            retrievals=self.retrievals,
            misses=self.misses,
            unread=self.unread,
            obstacle=self.obstacle,
            replayed=self.replayed,
            replay_refused=self.replay_refused,
            prefix_risk=self.prefix_risk,
            warnings=self.report.warnings,
            added_ms=self.added_ms,
            **known,
        )


def outcome_of(report: PipelineReport) -> str:
    """`compressed`, or `skipped:` and the most telling of the segments' reasons."""
    if report.changed or report.labels:
        return "compressed"
    reasons = {reason.split(":")[0]: reason for reason in {decision.reason: None for decision in report.decisions}}
    telling = next((reasons[name] for name in _TELLING if name in reasons), "no_tool_output")
    return f"skipped:{telling}"
