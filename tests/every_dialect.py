"""The dialects that generic tests run over."""

from conversations import Anthropic, Chat, Ollama, Toy
from conversations_bedrock import Bedrock, Invoke
from conversations_gemini import Gemini, GeminiArray
from conversations_responses import Responses

# Those that providers speak.
REAL_DIALECTS = (Chat(), Responses(), Anthropic(), Ollama(), Bedrock(), Invoke(), Gemini(), GeminiArray())
DIALECTS = (Toy(), *REAL_DIALECTS)
