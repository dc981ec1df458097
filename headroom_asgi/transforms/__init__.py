"""Payload to payload: which segment goes to which compressor, what pays, in which order. The door."""

from headroom_asgi.transforms.base import Context, Decision, PipelineReport, Transform, TransformResult
from headroom_asgi.transforms.cache_aligner import CacheAligner
from headroom_asgi.transforms.content_router import ContentRouter
from headroom_asgi.transforms.memo import Memo
from headroom_asgi.transforms.messages import decoded_messages, payload_of, with_edits
from headroom_asgi.transforms.past import Pasts
from headroom_asgi.transforms.pipeline import (
    SCANNED_PER_COMPRESSED,
    Phase,
    Step,
    TransformPipeline,
    drain,
    result_of,
)
from headroom_asgi.transforms.references import Shown, shown, unfold
from headroom_asgi.transforms.repeats import Repeats, is_result

__all__ = [
    "SCANNED_PER_COMPRESSED",
    "CacheAligner",
    "ContentRouter",
    "Context",
    "Decision",
    "Memo",
    "Pasts",
    "Phase",
    "PipelineReport",
    "Repeats",
    "Shown",
    "Step",
    "Transform",
    "TransformPipeline",
    "TransformResult",
    "decoded_messages",
    "drain",
    "is_result",
    "payload_of",
    "result_of",
    "shown",
    "unfold",
    "with_edits",
]
