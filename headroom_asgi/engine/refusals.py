"""When a provider refuses a body that was changed: what is tried then, and who is spared it from then on."""

import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeAlias

from headroom_asgi.config import Mode, Route
from headroom_asgi.engine.edits import has_tool
from headroom_asgi.retrieval import TOOL, Entry
from headroom_asgi.wire import Payload, splice

REFUSED: Final = frozenset({400, 413, 422})
MAX_ERROR_BYTES: Final = 64 * 1024  # a longer answer is no provider's error
# What a shorter body cannot have caused, and what the client's own body, as long or longer, would not mend. (An array that is too
# long is that of the tools, of which the client has one less.)
_TOO_LONG: Final = re.compile(
    rb"context[ _-]?(length|window|size|limit)|exceed.{0,40}context|(?<!array )too long"
    rb"|too many tokens|maximum.{0,40}tokens|token limit",
    re.IGNORECASE,
)
# Reasoning is bound to what was sent before it, which may not be what the client has: its own body would not fit it either.
_REASONING: Final = re.compile(rb"thinking|thought|signature|reasoning", re.IGNORECASE)
# The thread is not there, or cannot be gone on with from there, or not now: no other body would be, and the client knows how to.
# (Of a request that is refused while another one is under way the second try may well be taken: that says nothing of ours.)
# Gateways hand it on as a text within theirs.
_THREAD: Final = re.compile(rb"error_code\W{1,16}thread_")
_FINGERPRINT: Final = re.compile(rb"error_code\W{1,16}thread_fingerprint_")
# What validators quote of a request, printed in a text (pydantic's `input` and `input_value`), to the end of that text.
_PRINTED: Final = re.compile(
    r"""(?:(?<!\\)\\*+["']input\\*+["']: ?|\binput_value=)(?=\\*+[\[{"'])(?:[^"\\]++|\\.)*+""", re.DOTALL
)
BAD_REQUEST: Final = 400
# What a call is answered with that we once answered, or would have.
_LOST: Final = "Error: the result of this call was lost. Call again if you still need it."
_COOL_DOWN_S: Final = 60.0  # a model that takes no tools is asked again once a minute
_MAX_TRIPPED: Final = 1024  # models are named by clients
_Where: TypeAlias = tuple[Route, str, str]
SURE: Final = 3  # refusals that a worker believes that cannot tell others


class Second(Enum):
    """What a provider is asked after it refused a body of ours."""

    OWN = "own"  # the client's own bytes
    UNSIGNED = "unsigned"  # our body without the reasoning that is bound to another one
    ANSWERED = "answered"  # our body with answers to calls of ours that the provider holds, and whose results are lost


def second_try(status: int, error: bytes, *, held: bool = False) -> Second | None:
    """What may be taken where ours was refused with this answer; None if nothing is likely to. `held`: by the provider."""
    said = _unquoted(error)
    if status not in REFUSED or _TOO_LONG.search(said) or (held and _THREAD.search(said)):
        return None
    if _REASONING.search(said):
        return Second.UNSIGNED if status == BAD_REQUEST else None
    return Second.OWN


def _unquoted(error: bytes) -> bytes:
    """An answer without what it quotes of the request, which may speak of anything."""
    try:
        spelled = json.dumps(json.loads(error, object_hook=_without_input))
    except (ValueError, RecursionError):
        spelled = json.dumps(error.decode("utf-8", "replace"))
    return _PRINTED.sub("", spelled).encode()


def _without_input(value: dict[str, Any]) -> dict[str, Any]:
    """An error in pydantic's words has what is wrong under `msg`, where under `loc`, and what was given under `input`."""
    return {key: item for key, item in value.items() if key != "input" or "loc" not in value}


def of_ours(error: bytes, payload: Payload, mode: Mode, held: Entry) -> bool:
    """A refusal where the provider holds the conversation may speak of a call of ours, or of the tools that a thread began with.

    It does not if it names a call that is known to wait for the client, and that the request says nothing of.
    """
    waiting = [call_id.encode("utf-8", "surrogatepass") for call_id, _ in held.calls if call_id]
    if any(
        re.search(rb"(?<![\w-])%b(?![\w-])" % re.escape(call_id), error) and call_id not in payload.body for call_id in waiting
    ):
        return False
    return mode == "ccr" or held.offered or _FINGERPRINT.search(error) is not None or has_tool(payload)


def mended(payload: Payload, second: Second, refusal: bytes) -> Payload | None:
    """The body of ours that is tried then; None if there is nothing to mend."""
    wire = payload.wire
    edits = wire.unsigned(payload) if second is Second.UNSIGNED else wire.reconciled(payload, refusal, TOOL, _LOST)
    return payload.again(splice(payload.body, edits)) if edits else None


class Breaker:
    """Where bodies of ours were refused lately, by route, tenant and model: new conversations there are left alone for a while.

    Args:
        after: refusals, with nothing of ours accepted between them, that are believed. Where workers share a store one will do,
            as all of them know then what goes as it comes; a worker for itself has to be sure.
        clock: seconds that never go back.
    """

    def __init__(self, after: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._known: OrderedDict[_Where, tuple[int, float]] = OrderedDict()  # refusals, and until when they count
        self._after = after
        self._clock = clock

    def trip(self, route: Route, tenant: str, model: str, *, sure: bool = False) -> None:
        """A body was refused that the client's own would not have been; `sure`: that is so whatever was accepted before."""
        where = (route, tenant, model)
        refusals = self._after if sure else self._known.get(where, (0, 0.0))[0] + 1
        self._known[where] = refusals, self._clock() + _COOL_DOWN_S if refusals >= self._after else 0.0
        self._known.move_to_end(where)
        if len(self._known) > _MAX_TRIPPED:
            self._known.popitem(last=False)

    def accepted(self, route: Route, tenant: str, model: str) -> None:
        """A body of ours was taken: as long as refusals are not believed yet, they are counted anew."""
        where = (route, tenant, model)
        if self._known and self._known.get(where, (0, 0.0))[1] <= self._clock():
            self._known.pop(where, None)

    def tripped(self, route: Route, tenant: str, model: str) -> bool:
        """It has not been long."""
        return bool(self._known) and self._clock() < self._known.get((route, tenant, model), (0, 0.0))[1]
