"""The dialects that the scripted upstream speaks."""

from example_app.dialects.anthropic import Anthropic
from example_app.dialects.base import Address, Dialect, Envelope, Memory, RefusedError
from example_app.dialects.bedrock import Converse, Invoke
from example_app.dialects.chat import Chat
from example_app.dialects.gemini import Gemini
from example_app.dialects.ollama import Ollama
from example_app.dialects.responses import Responses
from example_app.view import WireFormat

__all__ = ["DIALECTS", "Address", "Dialect", "Envelope", "Memory", "RefusedError", "dialect_at"]

DIALECTS: dict[WireFormat, Dialect] = {
    "chat": Chat(),
    "responses": Responses(),
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "converse": Converse(),
    "invoke": Invoke(),
    "ollama": Ollama(),
}


def dialect_at(path: str, query: str) -> tuple[Dialect, Address] | None:
    """The dialect that is spoken at an address, and what the address says."""
    for dialect in DIALECTS.values():
        if (address := dialect.address(path.removesuffix("/"), query)) is not None:
            return dialect, address
    return None
