"""The demo: starts the scripted upstream and the gateway as uvicorn servers, sends conversations, prints a table.

python -m example_app --once                 the demo's own dozen, then exit
python -m example_app --corpus DIR           recorded conversations instead
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import httpx

from example_app import corpus, demo
from example_app.client import DemoError
from example_app.processes import Server, serve
from example_app.tokens import RequestCounter

_HTTP_TIMEOUT_S = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo. The exit status is 0 if every answer was right and every request valid."""
    parser = argparse.ArgumentParser(prog="python -m example_app", description="Conversations through the example gateway.")
    parser.add_argument("--once", action="store_true", help="exit after the table")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="replay the recorded conversations in DIR")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end)
    try:
        with (
            serve("example_app.upstream:app") as upstream,
            serve("example_app.gateway:app", UPSTREAM_BASE_URL=upstream.url) as gateway,
        ):
            problems = _show(gateway, upstream, options.corpus)
            if not options.once:
                _stay(gateway, upstream)
    except (DemoError, FileNotFoundError, httpx.HTTPError) as error:
        print(f"the demo failed: {error!r}", file=sys.stderr)
        return 1
    return 1 if problems else 0


def _show(gateway: Server, upstream: Server, recordings: Path | None) -> list[str]:
    """Send the conversations, print what came of them; what went wrong is returned."""
    started = time.monotonic()
    with (
        httpx.Client(base_url=gateway.url, timeout=_HTTP_TIMEOUT_S, trust_env=False) as to_gateway,
        httpx.Client(base_url=upstream.url, timeout=_HTTP_TIMEOUT_S, trust_env=False) as to_upstream,
    ):
        places = demo.Places(to_gateway, to_upstream, RequestCounter())
        shown, problems = corpus.replay(places, recordings) if recordings else demo.play(places)
        stats = places.stats()
    problems += [
        f"{count} x {name}" for name, count in stats.items() if name in ("validation_failures", "prefix_broken") and count
    ]
    problems += [f"the {name} wrote a traceback" for name, it in (("gateway", gateway), ("upstream", upstream)) if it.failed()]
    print(shown)
    print(f"\n{corpus.FOOTNOTE if recordings else demo.FOOTNOTE}")
    refused, changed, asked = stats["validation_failures"], stats["prefix_broken"], stats["retrievals"]
    print(f"\nupstream: {stats['requests']} requests, {refused} refused, {changed} with a changed prefix, {asked} retrievals")
    print(f"took {time.monotonic() - started:.1f} s")
    for problem in problems:
        print(f"PROBLEM  {problem}")
    if problems:
        print(gateway.written(), file=sys.stderr)
    sys.stdout.flush()
    return problems


def _stay(gateway: Server, upstream: Server) -> None:
    """Keep the servers up until the demo is interrupted or one of them ends."""
    print(
        f"\ngateway   {gateway.url}   (also below /team-a, /team-b, /direct)\nupstream  {upstream.url}   (/_stats)\nCtrl-C ends",
        flush=True,
    )
    try:
        while gateway.process.poll() is None and upstream.process.poll() is None:
            time.sleep(0.2)
    except KeyboardInterrupt:
        print()


def _end(_signal: int, _frame: FrameType | None) -> None:
    """End as an interrupt does, so that the servers are ended too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
