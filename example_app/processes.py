"""Real uvicorn servers as child processes: started on free ports, and ended with whoever started them."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from example_app.speakers import DemoError

_STARTED = re.compile(r"Uvicorn running on (http://\S+)")
_START_S = 60.0
_STOP_S = 10.0
_PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        url: where it listens.
        process: the child process.
        log: what it wrote.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: IO[str]

    def written(self) -> str:
        """Its log so far."""
        return Path(self.log.name).read_text(errors="replace")

    def failed(self) -> bool:
        """It wrote a traceback."""
        return "Traceback (most recent call last)" in self.written()


@contextmanager
def serve(app: str, **environment: str) -> Iterator[Server]:
    """Run an app factory, e.g. `example_app.upstream:app`, while the block runs. Raises DemoError if it does not start."""
    command = [sys.executable, "-m", "uvicorn", "--factory", app, "--app-dir", str(_PROJECT), "--port", "0"]
    command += ["--no-access-log", "--timeout-graceful-shutdown", "3"]
    with tempfile.NamedTemporaryFile("w+", prefix="demo-", suffix=".log") as log:
        # Port 0: the system picks a free one, and uvicorn says which; nobody can take it in between.
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield Server(_address(app, process, Path(log.name)), process, log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(app: str, process: subprocess.Popen[bytes], log: Path) -> str:
    """The address that a server says it listens on, once it does."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if found := _STARTED.search(log.read_text(errors="replace")):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise DemoError(f"{app} did not start:\n{log.read_text(errors='replace')}")
