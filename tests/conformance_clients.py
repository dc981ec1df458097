"""The official clients that the conformance table is about."""

from tests.conformance_base import Client
from tests.conformance_langchain import LangChainAnthropic, LangChainOpenAI
from tests.conformance_openai import MistralChat, OpenAIChat, OpenAIResponses, OpenAIResponsesHeld
from tests.conformance_others import Anthropic, AnthropicBedrock, Bedrock, Gemini, Ollama

CLIENTS: tuple[type[Client], ...] = (
    OpenAIChat,
    LangChainOpenAI,
    MistralChat,
    OpenAIResponses,
    OpenAIResponsesHeld,
    Anthropic,
    LangChainAnthropic,
    AnthropicBedrock,
    Bedrock,
    Gemini,
    Ollama,
)
