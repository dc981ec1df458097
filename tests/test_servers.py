"""Real servers around the middleware: a streamed exchange with a hidden round, and a client that leaves in the middle of it."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.driver import PATHS, TABLE, both_dialects, question_body

ROOT = Path(__file__).resolve().parent.parent
APP = "tests.served_app:app"
SERVERS = {
    "uvicorn": ["uvicorn", APP, "--port", "{port}", "--lifespan", "off"],
    "hypercorn on asyncio": ["hypercorn", APP, "--bind", "127.0.0.1:{port}"],
    "hypercorn on trio": ["hypercorn", APP, "--bind", "127.0.0.1:{port}", "--worker-class", "trio"],
    "granian": ["granian", APP, "--port", "{port}", "--interface", "asginl", "--no-ws", "--workers-kill-timeout", "1"],
}


@contextmanager
def served(command: list[str]) -> Iterator[httpx.Client]:
    """The app behind a server of its own; a client for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    arguments = [sys.executable, "-m", *(part.format(port=port) for part in command)]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            for _ in range(300):
                try:
                    client.get("/seen")
                    break
                except httpx.TransportError:
                    assert process.poll() is None, process.communicate()[0].decode()
                    time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client for one of the servers, which all tests of this file ask."""
    with served(SERVERS[request.param]) as client:
        yield client


@pytest.fixture
def client(server: httpx.Client) -> httpx.Client:
    """A client for an app that has seen nothing yet."""
    server.get("/again")
    return server


@both_dialects
def test_text_comes_at_once_and_the_answer_when_the_hidden_round_has_it(client: httpx.Client, dialect: str) -> None:
    body = question_body(dialect, TABLE, stream=True)
    with client.stream("POST", PATHS[dialect], json=body) as response:
        assert response.headers["x-headroom-outcome"] == "compressed"
        chunks = response.iter_raw()
        said = b""
        while b"look." not in said:
            said += next(chunks)
        assert client.get("/seen").json()[0] == "round 1"
        assert b"It is d" not in said
        client.get("/go")
        said += b"".join(chunks)
    assert all(piece in said for piece in (b"It is d", b"elivere", b"d."))
    assert b"headroom_retrieve" not in said
    assert said.rstrip().endswith((b"data: [DONE]", b'{"type": "message_stop"}', b'{"type":"message_stop"}'))
    assert client.get("/seen").json() == ["round 1", "round 2"]


def test_when_the_client_leaves_the_hidden_round_is_canceled(client: httpx.Client) -> None:
    body = question_body("openai-chat", TABLE, stream=True)
    with httpx.Client(base_url=client.base_url, timeout=30, trust_env=False) as leaving:
        with leaving.stream("POST", PATHS["openai-chat"], json=body) as response:
            chunks = response.iter_raw()
            said = b""
            while b"look." not in said:
                said += next(chunks)
            for _ in range(100):
                if client.get("/seen").json() == ["round 1", "round 2"]:
                    break
                time.sleep(0.05)
    for _ in range(100):
        if client.get("/seen").json()[-1] == "round 2 canceled":
            return
        time.sleep(0.05)
    pytest.fail(str(client.get("/seen").json()))
