"""The terms of one request: whether the model has our tool, and whether anything may be left out."""

from dataclasses import replace
from typing import Final

from headroom_asgi.config import Mode
from headroom_asgi.engine.conversation import Conversation
from headroom_asgi.retrieval import TOOL
from headroom_asgi.wire import Offer, Payload

HELD: Final = "server_held"


def bound(payload: Payload, mode: Mode, *, shared: bool) -> bool:
    """The provider holds the conversation, maybe our tool: answers are looked through and remembered, whatever goes upstream.

    Args:
        payload: the request as it came.
        mode: the route's, or the lower one that its caller asked for.
        shared: all workers see the same store.
    """
    if not payload.held or not shared or mode not in ("ccr", "lossless"):
        return False
    return not payload.wire.offer(payload, TOOL).obstacle


def terms(payload: Payload, mode: Mode, known: Conversation | None, *, shared: bool) -> tuple[Offer, bool]:
    """How our tool gets into a request, or the obstacle to leaving anything out; and whether the model may have the tool, so that
    its answers are looked through for calls.

    What the provider holds can only be gone on with by those who know what happened in it, on every worker. Where it holds the
    tools as well (`Offer.fixed`), ours is among them in all requests of a conversation or in none: it stays where it was offered
    once, also where nothing is left out any more; and where nothing is known of that, it may be there.

    Args:
        payload: the request as it came, or as extensions changed it.
        mode: the route's, or the lower one that its caller asked for.
        known: what earlier exchanges left.
        shared: all workers see the same store.
    """
    if mode != "ccr" and (mode != "lossless" or not payload.held):
        return Offer(obstacle=mode), False
    if (payload.held or payload.holds) and not shared:
        return Offer(obstacle=HELD if mode == "ccr" else mode), False
    offer = payload.wire.offer(payload, TOOL)
    offered = known is not None and known.held.offered
    if offer.fixed and not offer.obstacle:
        obstacle = mode if mode != "ccr" else "" if offered else HELD
        return (replace(offer, obstacle=obstacle) if offered else Offer(obstacle=obstacle)), True
    # Where earlier requests had our tool, what hangs on the conversation goes on through one that has not.
    goes_on = offered and offer.obstacle != "client_has_tool"
    return (offer, not offer.obstacle or goes_on) if mode == "ccr" else (Offer(obstacle=mode), goes_on)
