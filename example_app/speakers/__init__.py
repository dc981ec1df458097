"""The client's side of every dialect: requests, turns to append, and what a stream adds up to, read strictly."""

from example_app.speakers.anthropic import AnthropicSpeaker, InvokeSpeaker
from example_app.speakers.base import Asked, DemoError, Speaker, Talk, Tool
from example_app.speakers.openai import ChatSpeaker, ResponsesSpeaker
from example_app.speakers.others import ConverseSpeaker, GeminiSpeaker, OllamaSpeaker, assembled_chunks
from example_app.view import WireFormat

__all__ = ["SPEAKERS", "Asked", "DemoError", "Speaker", "Talk", "Tool", "assembled_chunks"]

SPEAKERS: dict[WireFormat, Speaker] = {
    "chat": ChatSpeaker(),
    "responses": ResponsesSpeaker(),
    "anthropic": AnthropicSpeaker(),
    "gemini": GeminiSpeaker(),
    "converse": ConverseSpeaker(),
    "invoke": InvokeSpeaker(),
    "ollama": OllamaSpeaker(),
}
