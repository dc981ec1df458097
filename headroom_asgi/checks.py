"""Checks of settings: each raises a ConfigError that names the key, the value and what was expected."""

import difflib
from collections.abc import Collection, Iterable

from headroom_asgi.errors import ConfigError


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint at the known name that is meant, "" if none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def expect(ok: bool, key: str, value: object, expected: str) -> None:  # noqa: FBT001
    """ConfigError with the key, the value and what was expected, if it is not ok."""
    if not ok:
        raise ConfigError(f"{key}: {value!r} is not {expected}")


def check_number(key: str, value: object, kind: type[int] | type[float], least: float) -> None:
    """It is a number of that kind, and large enough."""
    accepted: tuple[type, ...] = (int,) if kind is int else (int, float)
    word = "a whole number" if kind is int else "a number"
    ok = isinstance(value, accepted) and not isinstance(value, bool)
    expect(ok and value >= least, key, value, f"{word} of at least {least:g}")  # type: ignore[operator]


def check_flag(key: str, value: object) -> None:
    """It is True or False."""
    expect(isinstance(value, bool), key, value, "True or False")


def check_list(key: str, value: object, of: str) -> None:
    """It is a list of something; not the thing itself, although that may be a list as well (an observer that collects, say)."""
    expect(isinstance(value, Collection) and not isinstance(value, str) and not callable(value), key, value, f"a list of {of}")


def check_section(key: str, value: object, kind: type) -> None:
    """It is an object of that class."""
    expect(isinstance(value, kind), key, value, f"a {kind.__name__}")


def check_choice(key: str, value: object, choices: tuple[str, ...]) -> None:
    """It is one of these words."""
    hint = suggest(value, choices) if isinstance(value, str) else ""
    expect(value in choices, key, value, f"one of {', '.join(map(repr, choices))}{hint}")
