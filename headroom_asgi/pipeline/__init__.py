"""The lifecycle: eleven stages, the event of each, and the extensions that receive it."""

from headroom_asgi.pipeline.extensions import (
    Failure,
    PipelineExtension,
    PipelineExtensionManager,
    copied,
    discover_pipeline_extensions,
)
from headroom_asgi.pipeline.stages import CANONICAL_PIPELINE_STAGES, PipelineEvent, PipelineStage

__all__ = [
    "CANONICAL_PIPELINE_STAGES",
    "Failure",
    "PipelineEvent",
    "PipelineExtension",
    "PipelineExtensionManager",
    "PipelineStage",
    "copied",
    "discover_pipeline_extensions",
]
