"""Workers of several hosts on one store. `python -m tests.fleet` does it at length."""

import pytest

from tests.fleet import run


@pytest.mark.parametrize(("kind", "hosts"), [("redis", 2), ("sqlite", 1)])
@pytest.mark.timeout(300)
def test_what_one_worker_left_out_each_of_them_gives_back(kind: str, hosts: int) -> None:
    assert run(400, hosts, kind) == {"right": 400, "wrong": 0, "missing": 0}
