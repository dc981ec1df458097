"""Where originals go, and how they are searched."""

from collections.abc import Sequence
from typing import Final

import anyio

from headroom_asgi._crush import crush
from headroom_asgi.store import MemoryStore, Store
from headroom_asgi.transforms import PipelineReport

ORIGINALS: Final = "originals"  # the store's namespace for what was left out
_WRITERS: Final = 8  # as many connections as a store at the other end of a network has at hand


async def keep(store: Store, report: PipelineReport, *, tenant: str, ttl_s: float) -> int:
    """Put every text that something was left out of, and every part that was, into a store; how many that are.

    On every turn but a text's first they are there already: that takes one question, whatever their number.
    """
    if not report.names or await store.touch(ORIGINALS, report.names, tenant=tenant, ttl=ttl_s) == len(report.names):
        return len(report.names)
    originals = report.originals()
    names = iter(originals)

    async def put() -> None:
        for name in names:  # the writers share it
            value = originals[name].encode("utf-8", "surrogatepass")
            await store.put(ORIGINALS, name, value, tenant=tenant, ttl=ttl_s, if_absent=True)

    if type(store) is MemoryStore:  # it answers at once
        await put()
        return len(originals)
    try:
        async with anyio.create_task_group() as group:
            for _ in range(min(_WRITERS, len(originals))):
                group.start_soon(put)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return len(originals)


async def load(store: Store, names: Sequence[str], *, tenant: str) -> dict[str, str]:
    """Texts that were kept, by the names that markers give them, as far as they are still there.

    They may be large, so each has the time that a store has for an answer.
    """
    found: dict[str, str] = {}
    for name in names:
        values = await store.get_many(ORIGINALS, [name], tenant=tenant)
        if name in values:
            found[name] = values[name].decode("utf-8", "surrogatepass")
    return found


def line_view(text: str) -> str:
    """A text by lines: JSON in its crushed form, so that its rows can be searched and counted; anything else as it is."""
    try:
        found = crush(text.encode("utf-8"))
    except UnicodeEncodeError:
        found = None
    return found[0].decode("utf-8") if found is not None else text
