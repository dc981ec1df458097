"""The example gateway, the demo's conversations, and the demo from end to end."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from example_app.client import Client, run
from example_app.conversations import Conversation, dozen
from example_app.corpus import used_facts
from example_app.dialects import DIALECTS
from example_app.processes import serve
from example_app.report import table
from tests.real_server import served

PROJECT = Path(__file__).resolve().parent.parent
USER = {"role": "user", "content": "and?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "list_orders", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "call_1", "content": "none"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serve("example_app.upstream:app") as server:
        yield server.url


def test_the_dozen_is_the_same_in_every_process() -> None:
    script = (
        "import hashlib; from example_app.conversations import dozen; print(hashlib.sha256(repr(dozen()).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=PROJECT,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_there_are_a_dozen_and_every_shape_of_request_is_among_them() -> None:
    told = dozen()
    assert len({conversation.name for conversation in told}) == 12
    assert {(c.wire_format, c.stream) for c in told} == {(f, s) for f in ("chat", "anthropic") for s in (True, False)}


@pytest.mark.parametrize("conversation", dozen(), ids=lambda conversation: conversation.name)
def test_no_question_holds_its_answer(conversation: Conversation) -> None:
    for asked in conversation.questions:
        assert not asked.find or f"is {asked.answer}" not in asked.spoken()
        assert not asked.find or any(asked.answer in json.dumps(result) for result in conversation.results.values())


@pytest.mark.parametrize("variant", range(3))
def test_every_answer_is_right_if_nothing_is_compressed(upstream: str, variant: int) -> None:
    with httpx.Client(base_url=upstream) as http:
        for conversation in dozen(variant):
            client = Client(http, conversation.wire_format, "", f"plain/{variant}/{conversation.name}")
            answers = [text for _, text in run(client, conversation) if text is not None]
            assert [bool(text.endswith(q.expected)) for text, q in zip(answers, conversation.questions, strict=True)] == [
                True
            ] * len(answers)


def test_the_upstream_imports_nothing_of_the_package() -> None:
    script = "import sys, example_app.upstream; sys.exit(any(name.startswith('headroom') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)


def test_a_used_fact_comes_from_a_tool_result_and_from_nowhere_before_it() -> None:
    result = {**ANSWERED, "content": '{"ticket": "T-4711", "place": "D-12", "mail": "a.b@c.example"}'}
    said = {"role": "assistant", "content": "T-4711 is at D-12, I wrote to a.b@c.example today."}
    items = list(DIALECTS["chat"].items({"messages": [{"role": "user", "content": "Where is XD-12?"}, ASKED, result, said]}))
    assert used_facts(items, prelude="") == {1: [], 3: ["T-4711", "a.b@c.example"]}
    assert used_facts(items, prelude="T-4711")[3] == ["a.b@c.example"]


def test_the_table_is_aligned() -> None:
    lines = table(("name", ">n"), [("a", "1"), ("bcd", "1,000")], ("total", "1,001")).split("\n")
    assert lines == ["name       n", "-" * 12, "a          1", "bcd    1,000", "-" * 12, "total  1,001"]


class Echo:
    """An upstream that tells what it got, or streams until its client leaves."""

    def __init__(self) -> None:
        self.left = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["path"].endswith("/endless"):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        if scope["path"].endswith(("/endless", "/silent")):
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
            return
        headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
        told = {"method": scope["method"], "path": scope["raw_path"].decode(), "query": scope["query_string"].decode()}
        answer = json.dumps({**told, "headers": headers, "body": body.decode()}).encode()
        sent = [
            (b"content-type", b"application/json"),
            (b"x-twice", b"1"),
            (b"x-twice", b"2"),
            (b"content-length", b"%d" % len(answer)),
        ]
        await send({"type": "http.response.start", "status": 207, "headers": sent})
        await send({"type": "http.response.body", "body": answer})


@pytest.fixture(scope="module")
def echo() -> Echo:
    return Echo()


@pytest.fixture(scope="module")
def gateway(echo: Echo) -> Iterator[str]:
    with served(echo) as url, serve("example_app.gateway:app", UPSTREAM_BASE_URL=f"{url}/base/") as server:
        yield server.url


def test_the_gateway_forwards_method_path_query_headers_and_body(gateway: str) -> None:
    headers = {"authorization": "Bearer k", "x-own": "1", "connection": "x-gone, keep-alive", "x-gone": "1"}
    response = httpx.put(f"{gateway}/team-a/v1/files/a%2Fb?x=1&y=%20", headers=headers, content=b"raw")
    told = response.json()
    assert (response.status_code, response.headers.get_list("x-twice")) == (207, ["1", "2"])
    assert len(response.headers.get_list("date")) == len(response.headers.get_list("server")) == 1
    assert (told["method"], told["path"], told["query"], told["body"]) == ("PUT", "/base/v1/files/a%2Fb", "x=1&y=%20", "raw")
    got = dict(told["headers"])
    assert (got["authorization"], got["x-own"], got["content-length"]) == ("Bearer k", "1", "3")
    assert "x-gone" not in got
    assert len(told["headers"]) == len(got)


def test_the_gateway_adds_no_headers_of_its_own(gateway: str) -> None:
    with socket.create_connection(("127.0.0.1", httpx.URL(gateway).port or 0)) as bare:
        bare.sendall(b"GET /x HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: bare.recv(65536), b""))
    assert [name for name, _ in json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]] == ["host"]


@pytest.mark.parametrize("path", ["/endless", "/silent"])
def test_the_gateway_ends_the_upstream_call_when_the_client_leaves(gateway: str, echo: Echo, path: str) -> None:
    echo.left.clear()
    with httpx.Client(base_url=gateway, timeout=1) as http:
        if path == "/endless":
            with http.stream("GET", path) as response:
                assert next(response.iter_raw()) == b"data: 1\n\n"
        else:
            with pytest.raises(httpx.ReadTimeout):
                http.get(path)
    assert echo.left.wait(30)


def test_the_gateway_says_502_when_the_upstream_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serve("example_app.gateway:app", UPSTREAM_BASE_URL=f"http://127.0.0.1:{port}") as server:
        response = httpx.post(f"{server.url}/v1/messages", json={"model": "m", "max_tokens": 9, "messages": [USER]})
    assert (response.status_code, response.json()["error"]["type"]) == (502, "upstream_error")


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "example_app", *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=140)


@pytest.mark.timeout(300)
def test_the_demo_answers_every_question_right_twice_in_a_row() -> None:
    for _ in range(2):
        done = demo("--once")
        assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.split("\n")
    assert max(map(len, lines)) <= 120
    rows = lines[2 : lines.index(lines[1], 2)]
    assert len(rows) == 12
    assert all(row.endswith("right") for row in rows)
    saved = [float(row.split("%")[0].split()[-1]) for row in rows]
    assert sum(share > 20 for share in saved) == 9, done.stdout
    assert sum(share <= 0 for share in saved) == 3, done.stdout
    assert sum(int(row.split()[-2]) for row in rows) >= 5, "some rows must have been left out and asked for"
    assert ", 0 refused, 0 with a changed prefix" in done.stdout


def test_the_demo_replays_recordings(tmp_path: Path) -> None:
    rows = [{"order": f"K-{n:04d}", "state": "open", "city": "Bergen", "weight": 3} for n in range(80)]
    messages = [USER, ASKED, {**ANSWERED, "content": json.dumps(rows)}, {"role": "assistant", "content": "It is K-0041."}]
    with gzip.open(tmp_path / "orders.jsonl.gz", "wt") as file:
        file.write(json.dumps({"id": "1", "format": "openai-chat", "messages": [*messages, USER, messages[-1]]}) + "\n")
    done = demo("--once", "--corpus", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    [row] = [line.split() for line in done.stdout.split("\n") if line.startswith("orders")]
    assert (row[1], row[-1]) == ("3", "2/2")


def test_the_demo_says_that_there_are_no_recordings(tmp_path: Path) -> None:
    done = demo("--once", "--corpus", str(tmp_path))
    assert done.returncode == 1
    assert "no recordings" in done.stderr


@pytest.mark.timeout(300)
def test_the_demo_stays_up_and_ends_its_servers_when_interrupted() -> None:
    command = [sys.executable, "-m", "example_app"]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            shown = "".join(iter(process.stdout.readline, "Ctrl-C ends\n"))
            urls = re.findall(r"^(?:gateway|upstream) +(http://\S+)", shown, re.MULTILINE)
            stats = [httpx.get(f"{url}/_stats").json() for url in urls]
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, shown
    assert len(urls) == 2
    assert stats[0] == stats[1]
    for url in urls:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
