"""The proof at start-up that each compressor and omitter does something, as doing nothing looks like having nothing to do.

A kernel built for another machine, a package of an extra in a version that answers otherwise: it would only show in the bill.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from headroom_asgi.compressors.base import Compressed, Compressor, Request
from headroom_asgi.compressors.code import CodeCompressor
from headroom_asgi.compressors.detect import ContentKind, detect
from headroom_asgi.compressors.diff import DiffCompressor
from headroom_asgi.compressors.envelopes import EnvelopeCompressor
from headroom_asgi.compressors.extract import Extractor
from headroom_asgi.compressors.fields import FieldOmitter
from headroom_asgi.compressors.html import HTMLExtractor
from headroom_asgi.compressors.large import LargeOmitter
from headroom_asgi.compressors.logs import LogCompressor
from headroom_asgi.compressors.omission import Markers, Omitter, ProseOmitter
from headroom_asgi.compressors.opaque import OpaqueOmitter
from headroom_asgi.compressors.search import ListingCompressor, SearchCompressor
from headroom_asgi.compressors.smart_crusher import SmartCrusher
from headroom_asgi.compressors.snapshots import SnapshotOmitter
from headroom_asgi.compressors.text import TextCompressor
from headroom_asgi.compressors.views import ViewCompressor
from headroom_asgi.errors import ConfigError

_REF: Final = "0" * 32
_NAMES: Final = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven")


@dataclass(frozen=True, slots=True, repr=False)
class Sample:
    """A text of a kind, of which something must be made."""

    kind: ContentKind
    text: str


def _lines(count: int, line: str) -> str:
    """Lines that differ in their number, and in a word."""
    return "".join(line.format(at=at, name=_NAMES[at * 5 % 8]) + "\n" for at in range(count))


def _records() -> list[dict[str, object]]:
    return [
        {
            "id": at,
            "name": f"{_NAMES[at % 8]} {at}",
            "url": f"https://api.example.com/orders/{at}",
            "events_url": f"https://api.example.com/orders/{at}/events{{/privacy}}",
            "html_url": f"https://example.com/orders/{at}",
            "deleted_at": None,
            "is_archived": False,
        }
        for at in range(12)
    ]


_PROGRAM: Final = "\n\n".join(
    f"def {name}(values):\n    total = 0\n"
    + "".join(f"    total += values[{at}] * {at + 3}\n" for at in range(12))
    + "    return total"
    for name in _NAMES
)
_PATCH: Final = "".join(
    f"diff --git a/src/{name}.py b/src/{name}.py\n--- a/src/{name}.py\n+++ b/src/{name}.py\n@@ -1,25 +1,25 @@\n"
    + "".join(f" {name} before {at}\n" for at in range(12))
    + f"-old {name}\n+new {name}\n"
    + "".join(f" {name} behind {at}\n" for at in range(12))
    for name in _NAMES
)
_PAGE: Final = (
    "<!DOCTYPE html><html><head><title>Orders</title><style>"
    + "p { margin: 0 } " * 80
    + "</style></head><body>"
    + "".join(
        f'<div class="order order--{at}" data-id="{at}"><p>Order {at} went to {_NAMES[at % 8]}.</p></div>' for at in range(20)
    )
    + "</body></html>"
)
_BASE64: Final = base64.b64encode(b"".join(hashlib.sha256(name.encode()).digest() for name in _NAMES * 10)).decode()
_STORY: Final = " ".join(
    f"The {name} team wrote its report on the {_NAMES[at % 8]} project and sent it to all the others who had asked for one. "
    f"Nobody knows yet what will come of it in the long run, and nobody seems to mind that very much either."
    for at, name in enumerate(_NAMES * 3)
)

SAMPLES: Final[Mapping[type, Sample]] = {
    SmartCrusher: Sample(ContentKind.JSON, json.dumps(_records(), indent=2)),
    EnvelopeCompressor: Sample(
        ContentKind.JSON, json.dumps({"type": "text", "text": _lines(40, 'print("{name}", "{at}")')}, separators=(",", ":"))
    ),
    TextCompressor: Sample(
        ContentKind.TEXT, "These are the orders:\n" + json.dumps(_records(), indent=2) + "\nThat is all of them.\n"
    ),
    ViewCompressor: Sample(ContentKind.VIEW, "".join(f"{at:6}\tline of {_NAMES[at % 8]}\n" for at in range(1, 120))),
    FieldOmitter: Sample(ContentKind.JSON, json.dumps(_records())),
    HTMLExtractor: Sample(ContentKind.HTML, _PAGE),
    LogCompressor: Sample(ContentKind.LOG, _lines(80, "tests/test_{name}.py::test_number_{at} PASSED [ 50%]")),
    SearchCompressor: Sample(
        ContentKind.SEARCH, _lines(300, "src/package/module_{name}.py:{at}:    return call(value_{at}, None)")
    ),
    ListingCompressor: Sample(ContentKind.LISTING, _lines(300, "./node_modules/{name}-{at}/index.js")),
    DiffCompressor: Sample(ContentKind.DIFF, _PATCH),
    CodeCompressor: Sample(ContentKind.CODE, _PROGRAM),
    OpaqueOmitter: Sample(ContentKind.TEXT, f"The key is this:\n{_BASE64}\nDo not lose it.\n"),
    SnapshotOmitter: Sample(
        ContentKind.TEXT,
        _lines(40, '- generic [ref=e{at}]:\n  - link "{name}" [ref=f{at}] [cursor=pointer]:\n    - /url: /of/{name}/{at}'),
    ),
    LargeOmitter: Sample(ContentKind.TEXT, "\n".join([_STORY] * 10)),
    Extractor: Sample(ContentKind.TEXT, _STORY),
}


def prove(worker: Compressor | Omitter | ProseOmitter) -> None:
    """Show that a compressor or omitter does something; once in a process.

    Raises:
        ConfigError: it failed, or made nothing of a text of its kind; names its section.
    """
    if type(worker) in SAMPLES and not getattr(worker, "missing", ""):
        _proven(type(worker))


@cache
def _proven(kind_of_worker: type) -> None:
    worker, sample = kind_of_worker(), SAMPLES[kind_of_worker]
    try:
        left = _left(worker, sample.text) if detect(sample.text) is sample.kind else None
    except Exception as error:  # whatever another project's code raises
        raise ConfigError(f"{worker.section}.enabled: the test at start-up failed: {type(error).__name__}: {error}") from error
    if left is None or len(left) >= len(sample.text):
        raise ConfigError(f"{worker.section}.enabled: the test at start-up failed: {worker.section} makes nothing of its sample")


def _left(worker: Any, text: str) -> str | None:
    """What a worker makes of a text, None if it makes nothing of it."""
    if hasattr(worker, "compress"):
        made: Compressed | None = worker.compress(text, Request())
        return made.text if made is not None else None
    markers = Markers(_REF)
    spans = [[(0, len(text))]] if isinstance(worker, Extractor) else []
    left: str | None = worker.omit(text, *spans, Request(ref=_REF), markers)
    return left if markers.omissions else None
