"""What all tests share: the event loop they run on, where the recorded conversations are, and the order of the files."""

import gc
import os
from pathlib import Path

import hypothesis
import pytest

# How long an example takes says something about the machine, nothing about the code. The verdict on a tree is the tree's own:
# the same examples each time. `make explore` draws others.
hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("fixed")

# The files whose tests take longest, the slowest first (`--durations=0` says which). They are begun with: a worker that meets one
# of them at the end keeps the others waiting.
_LONGEST = (
    "test_corpus",
    "test_crush_sanitized",
    "test_dialect_corpus",
    "test_packaging",
    "test_conformance_splits",
    "test_crush_many",
    "test_example_app",
    "test_crush_pythons",
    "test_crush",
    "test_openai_responses_stream",
    "test_watch",
    "test_turns",
)

_NO_CORPUS = "the recorded conversations are not here: set HEADROOM_CORPUS to their folder"
_HERE = Path(__file__).resolve().parent


def _corpus() -> Path | None:
    named = os.environ.get("HEADROOM_CORPUS")
    found = Path(named) if named else _HERE.parent.parent / "shared" / "corpus"
    return found if found.is_dir() else None


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def corpus() -> Path:
    found = _corpus()
    if found is None:
        pytest.skip(_NO_CORPUS)
    return found


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """With HEADROOM_REQUIRE_ALL=1 a skip is a failure; only the corpus may be missing, since it is not part of the project."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("HEADROOM_REQUIRE_ALL") == "1" and _NO_CORPUS not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped, but HEADROOM_REQUIRE_ALL=1: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is collected is there to the end: the garbage collector need not look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they come."""
    rank = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))
