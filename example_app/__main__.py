"""The demo: starts the scripted upstream and the gateway as uvicorn servers, sends conversations, prints a table.

python -m example_app --once                 the demo's own dozen, then exit
python -m example_app --corpus DIR           recorded conversations instead
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx

from example_app import corpus, demo
from example_app.client import DemoError
from example_app.processes import Server, serve
from example_app.tokens import RequestCounter

_HTTP_TIMEOUT_S = 60.0
_MAX_PROBLEMS = 20  # lines; the first ones say what is wrong
_INTERRUPTED = 130  # what a shell expects of a command that was interrupted


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
            with _told(gateway):
                problems = _show(gateway, upstream, options.corpus)
            if not options.once:
                _stay(gateway, upstream)
    except (DemoError, FileNotFoundError, httpx.HTTPError) as error:
        print(f"the demo failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
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
    problems += [f"{stats[name]} x {name}" for name in ("validation_failures", "prefix_broken") if stats[name]]
    for name, server in (("gateway", gateway), ("upstream", upstream)):
        if server.failed():
            problems.append(f"the {name} wrote a traceback")
            print(server.written(), file=sys.stderr)
    print(shown)
    print(f"\n{corpus.FOOTNOTE if recordings else demo.FOOTNOTE}")
    refused, changed, asked = stats["validation_failures"], stats["prefix_broken"], stats["retrievals"]
    print(f"\nupstream: {stats['requests']} requests, {refused} refused, {changed} with a changed prefix, {asked} retrievals")
    print(f"took {time.monotonic() - started:.1f} s")
    for problem in problems[:_MAX_PROBLEMS]:
        print(f"PROBLEM  {problem}")
    if len(problems) > _MAX_PROBLEMS:
        print(f"PROBLEM  and {len(problems) - _MAX_PROBLEMS} more")
    sys.stdout.flush()
    return problems


@contextmanager
def _told(gateway: Server) -> Iterator[None]:
    """Whatever fails in the block, what the gateway wrote is shown."""
    try:
        yield
    except (DemoError, httpx.HTTPError):
        print(gateway.written(), file=sys.stderr)
        raise


def _stay(gateway: Server, upstream: Server) -> None:
    """Keep the servers up until the demo is interrupted or one of them ends."""
    print(f"\ngateway   {gateway.url}   (also below /team-a, /team-b, /direct)")
    print(f"upstream  {upstream.url}   (/_stats)\nCtrl-C ends", flush=True)
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
