"""The thread that counts: it outlives what fails, drops what waits when it is closed, and ends with its owner."""

import gc
import logging
import threading

import pytest

from headroom_asgi.engine.counting import Counter

SOON_S = 20.0


class Panic(BaseException):
    """What extensions in other languages raise."""


def thread_of(counter: Counter) -> threading.Thread:
    found: list[threading.Thread] = []
    told = threading.Event()

    def tell() -> None:
        found.append(threading.current_thread())
        told.set()

    counter._worker.submit(tell)
    assert told.wait(SOON_S)
    return found[0]


def test_a_job_that_fails_is_logged_and_the_next_one_done(caplog: pytest.LogCaptureFixture) -> None:
    counter = Counter("x")

    def panic() -> None:
        raise Panic

    with caplog.at_level(logging.WARNING, logger="headroom_asgi"):
        counter._worker.submit(panic)
        assert thread_of(counter).is_alive()
    assert [record.error for record in caplog.records] == ["Panic"]  # type: ignore[attr-defined]


def test_what_waits_is_dropped_when_it_is_closed_and_nobody_waits_for_it() -> None:
    counter, begun, go = Counter("x"), threading.Event(), threading.Event()
    worker, thread = counter._worker, thread_of(counter)
    done: list[str] = []

    def busy() -> None:
        begun.set()
        assert go.wait(SOON_S)
        done.append("begun")

    worker.submit(busy)
    assert begun.wait(SOON_S)
    counter.warm()
    worker.submit(lambda: done.append("waiting"))
    assert worker.waiting == 2
    counter.close()
    counter.wait()
    assert thread_of(counter) is not thread
    go.set()
    thread.join(SOON_S)
    assert not thread.is_alive()
    assert done == ["begun"]


def test_the_thread_ends_when_nobody_has_the_counter() -> None:
    counter = Counter("x")
    thread = thread_of(counter)
    assert thread.is_alive()
    del counter
    gc.collect()
    thread.join(SOON_S)
    assert not thread.is_alive()
