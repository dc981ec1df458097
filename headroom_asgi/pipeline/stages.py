"""The eleven stages of an exchange, and the event that extensions receive at each of them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class PipelineStage(StrEnum):
    """One point in the life of the process (the first three) or of a request (the other eight), in order.

    Each value is the stage's lower-case name.
    """

    SETUP = "setup"
    PRE_START = "pre_start"
    POST_START = "post_start"
    INPUT_RECEIVED = "input_received"
    INPUT_CACHED = "input_cached"
    INPUT_ROUTED = "input_routed"
    INPUT_COMPRESSED = "input_compressed"
    INPUT_REMEMBERED = "input_remembered"
    PRE_SEND = "pre_send"
    POST_SEND = "post_send"
    RESPONSE_RECEIVED = "response_received"


CANONICAL_PIPELINE_STAGES: tuple[PipelineStage, ...] = tuple(PipelineStage)


@dataclass(slots=True)
class PipelineEvent:
    """What an extension sees of a request at one stage; change it in place, or return another one. Its `repr` quotes nothing.

    Attributes:
        stage: the stage being emitted.
        operation: what the request asks for, e.g. "chat".
        request_id: the request's id.
        provider: e.g. "openai", "anthropic".
        model: the model's name, as the client spells it.
        messages: the conversation, as the provider's API spells it.
        tools: the tool definitions, likewise.
        headers: the headers that go upstream.
        response: the decoded answer; set by RESPONSE_RECEIVED.
        metadata: whatever extensions want to hand on to later stages and to each other; nothing else reads it.
    """

    stage: PipelineStage
    operation: str = ""
    request_id: str | None = None
    provider: str | None = None
    model: str | None = None
    messages: list[dict[str, Any]] | None = field(default=None, repr=False)
    tools: list[dict[str, Any]] | None = field(default=None, repr=False)
    headers: dict[str, str] | None = field(default=None, repr=False)
    response: Any = field(default=None, repr=False)
    metadata: dict[str, Any] = field(default_factory=dict, repr=False)
