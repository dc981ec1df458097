"""What works on text alone, over as many lines as are looked at and over ten hostile megabytes: MB/s, and seconds.

Each cell is to stay below a second; HTML and code are only read where a text is told as such.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from headroom_asgi._crush import Above
from headroom_asgi.compressors import (
    EVERYWHERE,
    OMITTERS,
    ContentKind,
    DiffCompressor,
    ListingCompressor,
    LogCompressor,
    Markers,
    Omitter,
    Request,
    SearchCompressor,
    detect,
    open_string,
    sections,
)

_SIZE: Final = 10_000_000
_COUNT: Final = 99_000  # lines; of a text of more than 100,000 nothing is left out line by line
_REQUEST: Final = Request("why did order ORD-10007 fail in src/app.py?", "r" * 32, '{"command": "make test", "path": "/srv/app"}')

_LINES: Final[dict[str, Callable[[int], str]]] = {
    "log": lambda at: (
        f"2025-03-01 10:{at // 60 % 60:02}:{at % 60:02},120 {'WARN' if at % 9 == 0 else 'INFO'} request {at} took {at % 97} ms\n"
    ),
    "tests": lambda at: f"tests/test_app{at % 20}.py::test_number_{at} PASSED [{at % 100:3}%]\n",
    "search": lambda at: f"src/package{at // 90}/module.py:{at % 90 * 7}:    return call(value_{at})\n",
    "listing": lambda at: f"./{'node_modules/' if at % 3 else ''}package{at}/index.js\n",
    "prose": lambda at: f"Sentence {at} says something that nobody has to read, and goes on for a while about it.\n",
}
_HOSTILE: Final[dict[str, str]] = {
    "one line": "a" * _SIZE,
    "one line of words": "error a/b:1: " * (_SIZE // 13),
    "line feeds": "\n" * _SIZE,
    "a million lines": "abcd 1234\n" * (_SIZE // 10),
    "brackets": "[{\n" * (_SIZE // 3),
    "blanks": (" " * 239 + "x\n") * (_SIZE // 241),
    "almost paths": ("a-1" * 80 + "\n") * (_SIZE // 241),
    "almost code": ("def ({ " * 34 + "\n") * (_SIZE // 239),
    "hunks": "diff --git a/a b/a\n" + "@@ -1,9 +1,9 @@\n" * (_SIZE // 16),
    "traces": "Traceback (most recent call last):\n  File\n" * (_SIZE // 42),
    "a million brackets": "[" * 1_000_000,
    "tags": "<!doctype html>" + "<table><tr><td rowspan=99 colspan=99>" * (_SIZE // 37),
    "open tags": "<html>" + "<a href=x " * (_SIZE // 10),
    "cut JSON": '{"type":"text","text":"' + "a\\n" * (_SIZE // 3),
    "base64, almost": ("aB3" * 700 + " ") * (_SIZE // 2101),
    "lines of base64": ("aB3/" * 17 + "\n") * (_SIZE // 69),
    "functions": "def f(a):\n    return (\n" * (_SIZE // 23),
    "deeper and deeper": "".join(" " * (at % 200) + "x:\n" for at in range(_SIZE // 104)),
    "fences": "```\n" * (_SIZE // 4),
    "quotes": '"' * _SIZE,
    "numbered": "".join(f"{at}\tabcdefghij\nX\n" for at in range(1, _SIZE // 19)),
}
_WORKERS: Final[dict[str, Omitter]] = {
    "logs": LogCompressor(),
    "search": SearchCompressor(),
    "listing": ListingCompressor(),
    "diff": DiffCompressor(),
    "html": OMITTERS[ContentKind.HTML],
    "code": OMITTERS[ContentKind.CODE],
    **{omitter.section: omitter for omitter in EVERYWHERE[ContentKind.TEXT]},
}


def main() -> None:
    """Print a table: inputs down, detection, sections and omitters across."""
    names = ["detect", "sections", "cut", "fold", *_WORKERS]
    print(f"{'MB/s and seconds':26}" + "".join(f"{name:>16}" for name in names))
    inputs = {name: _made(line) for name, line in (_LINES | {"diff": _patch}).items()} | _HOSTILE
    for name, text in inputs.items():
        times = [_seconds(partial(call, text)) for call in (detect, sections, open_string, _folded)]
        times += [_seconds(partial(worker.omit, text, _REQUEST, Markers("r" * 32))) for worker in _WORKERS.values()]
        cells = (f"{len(text) / 1e6 / max(taken, 1e-6):8.0f} {taken:6.2f}s" for taken in times)
        print(f"{name:26}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


def _made(line: Callable[[int], str]) -> str:
    """As many such lines as are looked at, ten megabytes at most."""
    count = min(_COUNT // line(1000).count("\n"), _SIZE // len(line(1000)))
    return "".join(map(line, range(count)))


def _patch(at: int) -> str:
    """The part of a patch about one file."""
    name = f"src/a{at}.py" if at % 5 else "yarn.lock"
    body = (
        "".join(f" context {line}\n" for line in range(9))
        + f"-old {at}\n+new {at}\n"
        + "".join(f" behind {line}\n" for line in range(9))
    )
    return f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -1,19 +1,19 @@\n{body}"


def _folded(text: str) -> None:
    """The text and a part of it as two results."""
    data = text.encode()
    Above().add([data, data[: len(data) // 2]], [32, 32], [(n, b"result %d" % n, b"") for n in (1, 2)])


def _seconds(call: Callable[[], object]) -> float:
    """Seconds of this thread's CPU time."""
    started = time.thread_time()
    call()
    return time.thread_time() - started


if __name__ == "__main__":
    main()
