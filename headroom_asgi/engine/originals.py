"""Where originals go, and how they are searched."""

from headroom_asgi._crush import crush
from headroom_asgi.store import Store
from headroom_asgi.transforms import PipelineReport

ORIGINALS = "originals"  # the store's namespace for what was left out


async def keep(store: Store, report: PipelineReport, *, tenant: str, ttl_s: float) -> None:
    """Put every text that something was left out of, and every part that was, into a store."""
    for name, text in report.originals().items():
        value = text.encode("utf-8", "surrogatepass")
        await store.put(ORIGINALS, name, value, tenant=tenant, ttl=ttl_s, if_absent=True)


def line_view(text: str) -> str:
    """A text by lines: JSON in its crushed form, so that its rows can be searched and counted; anything else as it is."""
    try:
        found = crush(text.encode("utf-8"))
    except UnicodeEncodeError:
        found = None
    return found[0].decode("utf-8") if found is not None else text
