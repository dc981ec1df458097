"""What compression hooks are told, before and after the pipeline."""

from dataclasses import dataclass

from headroom_asgi.transforms import Step, TransformResult, decoded_messages


@dataclass(frozen=True, slots=True)
class CompressContext:
    """What `pre_compress` hooks are told besides the messages."""

    request_id: str
    provider: str
    model: str
    route: str
    tenant: str


def told(step: Step) -> TransformResult:
    """What `post_compress` hooks are told: fresh messages, figures by the estimate."""
    report = step.report
    return TransformResult(
        messages=decoded_messages(step.payload),
        tokens_before=sum(d.tokens_before for d in report.decisions),
        tokens_after=sum(d.tokens_after for d in report.decisions),
        transforms_applied=list(report.labels),
        markers_inserted=list(report.markers),
        warnings=list(report.warnings),
        timing=dict(report.timing),
    )
