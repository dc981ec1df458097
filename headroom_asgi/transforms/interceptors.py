"""Interceptors: what is done to the output of certain tools before any compressor sees it. See docs/interceptors.md."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from headroom_asgi._crush import estimate
from headroom_asgi.compressors import MIN_LEFT_OUT_TOKENS, Markers, Request
from headroom_asgi.logs import get_logger
from headroom_asgi.transforms.tools import EVERY_TOOL, is_certain, is_named
from headroom_asgi.types import Interceptor

log = get_logger(__name__)

# A control sequence as ECMA-48 has it: CSI with its parameters, OSC up to its end, or a short escape. A byte of one class never
# belongs to the next, so nothing is tried twice.
_CONTROL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-Z\\^-~])")
_ERASED_LINE = "\x1b[2K"
_ERASED_REST = ("\x1b[K", "\x1b[0K")

# Text in UTF-16 that was read byte by byte: a zero before or behind each character, which no screen shows.
_SPREAD = re.compile(r"(?:\0[^\0]){8,}+|(?:[^\0]\0){8,}+")

# States of one progress bar or spinner begin with the same letters; lines that a carriage return merely separates do not.
_NO_LETTERS = re.compile(r"(?:\x1b\[[0-?]*[ -/]*[@-~]|[^A-Za-z])+")
_FACE = 200  # characters looked at
_FACE_LETTERS = 6

TERMINAL = "terminal"  # its section in the configuration


@dataclass(slots=True, repr=False)
class Intercepted:
    """A text after its interceptors.

    Attributes:
        text: what is left.
        names: of those that made it shorter, in order.
        failures: of those that failed and were skipped.
    """

    text: str
    names: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def draw(self) -> None:
        """Terminal output as it was seen, any other text as it is."""
        self._take(as_seen(self.text), TERMINAL)

    def marker(self, text: str, markers: Markers) -> str:
        """The marker for the text as it came; what is left stands behind it."""
        gone = len(text) - len(self.text)
        return markers.leave_out(text, gone, "characters", f"by {', '.join(self.names)}; what it made follows")

    def run(self, interceptor: Interceptor, arguments: str) -> None:
        """One interceptor. Raises whatever that raises, and TypeError if it gives something that is no text."""
        shorter = interceptor.function(self.text, arguments)
        if shorter is None:
            return
        if not isinstance(shorter, str):
            raise TypeError(type(shorter).__name__)
        self._take(shorter, interceptor.name)

    def _take(self, shorter: str, name: str) -> None:
        """Go on with a shorter text, if what is gone is enough for a marker."""
        if len(shorter) < len(self.text) and _tokens(self.text) - _tokens(shorter) >= MIN_LEFT_OUT_TOKENS:
            self.text = shorter
            self.names.append(name)


def intercepted(text: str, tool: str, request: Request, interceptors: Sequence[Interceptor]) -> Intercepted:
    """A tool's output after the configured interceptors for that tool; each gets what the one before it left.

    One that raises, or gives something that is no text, is skipped; what is not shorter is ignored.
    """
    done = Intercepted(text)
    for interceptor in interceptors:
        if EVERY_TOOL not in interceptor.tools and not (is_certain(tool) and is_named(tool, interceptor.tools)):
            continue
        try:
            done.run(interceptor, request.arguments)
        except Exception as error:
            # The user's own code may raise anything. What it says about the text stays out of the log.
            log.warning("interceptor_failed", interceptor=interceptor.name, error=type(error).__name__)
            done.failures.append(interceptor.name)
    return done


def as_seen(text: str) -> str:
    """Terminal output as it looked at the end: no colors or zeros between letters, of a line drawn often the last state."""
    if "\0" in text:
        text = _SPREAD.sub(lambda spread: spread[0].replace("\0", ""), text)
    if "\r" in text:
        text = "\n".join(_last_state(line) if "\r" in line else line for line in text.split("\n"))
    return _CONTROL.sub("", text) if "\x1b" in text else text


def _last_state(line: str) -> str:
    """What is seen of a line after every return to its start: later states cover earlier ones as far as they reach."""
    end = "\r" if line.endswith("\r") else ""
    states = line.rstrip("\r").split("\r")
    faces = [_NO_LETTERS.sub("", state[:_FACE])[:_FACE_LETTERS] for state in states if state and not state.isspace()]
    alike = sum(bool(a) == bool(b) and (a.startswith(b) or b.startswith(a)) for a, b in pairwise(faces))
    if alike * 2 < len(faces) - 1:
        return line
    seen, width = [], 0
    for state in reversed(states):
        _, erased, drawn = state.rpartition(_ERASED_LINE)
        plain = _CONTROL.sub("", drawn)
        if len(plain) > width:
            seen.append(plain[width:])
            width = len(plain)
        if erased or any(code in drawn for code in _ERASED_REST):
            break
    return "".join(seen) + end


def _tokens(text: str) -> int:
    return estimate(text.encode("utf-8", "surrogatepass"))
