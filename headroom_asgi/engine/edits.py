"""What extensions made of a request, checked before it is taken over."""

import re
from collections.abc import Mapping
from typing import Any, Final

from headroom_asgi._crush import Document
from headroom_asgi.errors import HeadroomError, PayloadError
from headroom_asgi.logs import get_logger
from headroom_asgi.retrieval import TOOL
from headroom_asgi.transforms import with_edits
from headroom_asgi.wire import Payload, rewrite, splice

_log = get_logger(__name__)

# A header field as RFC 9110 has it: a token, and a value without control characters.
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+:[\t\x20-\x7e\x80-\xff]*")
_OFFERED: Final = "client_has_tool"  # what a dialect says of a request that has the tool


def edited_headers(before: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The headers as an extension left them, with lower-case names. ValueError if HTTP cannot carry one that changed."""
    after = {str(name).lower(): str(value) for name, value in given.items()}
    for name, value in after.items() - before.items():
        if not _HEADER.fullmatch(f"{name}:{value}"):
            raise ValueError("no header that HTTP can carry")
    return after


def edited_answer(data: bytes, seen: Any, given: Any, request_id: str) -> bytes:
    """A JSON answer as an extension left it; what did not change keeps its bytes. As it was, if JSON cannot say that."""
    try:
        return splice(data, rewrite(Document(data), 0, seen, given))
    except (HeadroomError, TypeError, ValueError, RecursionError) as error:
        _log.warning("extension_edit_refused", stage="response_received", request_id=request_id, error=type(error).__name__)
        return data


def edited_payload(payload: Payload, values: Mapping[str, Any], *, offered: bool = False) -> Payload:
    """The payload with edited fields: what did not change keeps its bytes, spans are found again.

    Args:
        payload: the payload that extensions saw.
        values: `messages` and `tools`, as far as there are any.
        offered: the retrieve tool is in it, and has to stay: what was left out could not be asked for.

    Raises:
        PayloadError: the edit would tear tool calls and their results apart, or take the retrieve tool out, or is no payload, or
            of a field that is not there.
        TypeError: JSON cannot say a value.
    """
    if not values:
        return payload
    nodes = payload.wire.fields(payload)
    if not values.keys() <= nodes.keys():
        raise PayloadError("no_such_field")
    old = payload.decoded
    edits = [edit for name, value in values.items() for edit in rewrite(payload.document, nodes[name], old[name], value)]
    edited = with_edits(payload, edits)
    if offered and edits and has_tool(payload) and not has_tool(edited):
        raise PayloadError("retrieve_tool_removed")
    return edited


def has_tool(payload: Payload) -> bool:
    """The retrieve tool is among a request's own tools."""
    return payload.wire.offer(payload, TOOL).obstacle == _OFFERED
