"""Payload to payload: which segment goes to which compressor, what pays, in which order. The door."""

from headroom_asgi.transforms.base import Context, Decision, PipelineReport, Transform, TransformResult
from headroom_asgi.transforms.content_router import ContentRouter
from headroom_asgi.transforms.memo import Memo
from headroom_asgi.transforms.messages import decoded_messages, payload_of, with_edits
from headroom_asgi.transforms.pipeline import (
    SCANNED_PER_COMPRESSED,
    Phase,
    Step,
    TransformPipeline,
    drain,
    result_of,
)

__all__ = [
    "SCANNED_PER_COMPRESSED",
    "ContentRouter",
    "Context",
    "Decision",
    "Memo",
    "Phase",
    "PipelineReport",
    "Step",
    "Transform",
    "TransformPipeline",
    "TransformResult",
    "decoded_messages",
    "drain",
    "payload_of",
    "result_of",
    "with_edits",
]
