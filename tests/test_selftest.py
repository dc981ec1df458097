"""The proof at start-up: every compressor and omitter does something with its sample, and one that does not keeps the app from starting."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from headroom_asgi import ConfigError, HeadroomConfig, HeadroomMiddleware
from headroom_asgi.compressors import COMPRESSORS, EVERYWHERE, EXACT_COMPRESSORS, OMITTERS, PROSE, LogCompressor, kernel
from headroom_asgi.compressors.kompress import Kompress
from headroom_asgi.compressors.selftest import SAMPLES, _proven, prove
from headroom_asgi.types import Receive, Scope, Send


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that is never called."""


@pytest.fixture(autouse=True)
def nothing_proven() -> Iterator[None]:
    """Each test is a process of its own."""
    _proven.cache_clear()
    yield
    _proven.cache_clear()


WORKERS = [*COMPRESSORS.values(), *EXACT_COMPRESSORS.values(), *OMITTERS.values(), *chain(*EVERYWHERE.values()), *PROSE]


def test_every_compressor_has_a_sample() -> None:
    # A word model is proven by the file that is loaded, which is the user's.
    assert {type(worker) for worker in WORKERS} - {Kompress} == set(SAMPLES)


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_everything_that_is_installed_is_proven(kind: Any) -> None:
    prove(kind())


class Kernel:
    """A kernel that makes nothing of any text."""

    @staticmethod
    def crush(data: bytes, **_: object) -> None:
        """Nothing pays."""


def test_a_kernel_that_does_nothing_keeps_the_app_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_crush", Kernel)
    with pytest.raises(ConfigError, match=r"^(text_compressor|smart_crusher)\.enabled: the test at start-up failed"):
        HeadroomMiddleware(inner, discover=False)


def test_a_compressor_that_fails_is_named_with_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise OSError("no such symbol")

    monkeypatch.setattr(LogCompressor, "omit", broken)
    with pytest.raises(ConfigError, match=re.escape("logs.enabled: the test at start-up failed: OSError: no such symbol")):
        HeadroomMiddleware(inner, discover=False)


def test_what_is_off_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogCompressor, "omit", lambda *_: None)
    config = HeadroomConfig()
    config.logs.enabled = False
    HeadroomMiddleware(inner, config=config, discover=False)


def test_it_is_said_what_is_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="headroom_asgi")
    HeadroomMiddleware(inner, discover=False)
    (line,) = [record for record in caplog.records if record.message == "compressors_on"]
    assert "smart_crusher" in vars(line)["names"]
