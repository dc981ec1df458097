"""Results of searches and lists of files: entries that a reader seldom asks for left out, and the middle of very many."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.lines import leave_out_runs, lines_of, named_lines
from headroom_asgi.compressors.omission import MIN_LEFT_OUT_TOKENS, Markers, quoted

# Of one file so many hits stay: who looks for a place finds it by then, who wants all of them can ask.
_HITS: Final = 30
_LAST_HITS: Final = 5
_LONG: Final = 2_000  # characters of one line of a file: minified, or data
_LARGE: Final = 64_000  # characters, some 16,000 tokens: of a longer list of files the middle goes as well
_LARGE_HEAD: Final = 200  # lines
_LARGE_TAIL: Final = 50
_LOOKED_AT: Final = 400  # characters of a line in which its path stands
_NAMED: Final = 3  # files or folders that a marker names

_GENERATED = "in generated files"
_MANY = "more in the same file"
_LONG_LINE = "in very long lines"
_NOISE = "in folders that tools fill"
_MIDDLE = "more entries"

# Folders that tools fill, and pairs of a folder and one in it.
_FOLDER_NAMES = """
    node_modules bower_components .git .hg .svn __pycache__ .mypy_cache .pytest_cache .ruff_cache .tox .nox .venv venv
    site-packages
    .gradle .next .nuxt .svelte-kit .parcel-cache .turbo .cache .terraform .serverless .eggs .ipynb_checkpoints .pnpm-store
    .dart_tool DerivedData Pods
"""
_FOLDERS: Final = frozenset(_FOLDER_NAMES.split())
_PAIRS: Final = frozenset(
    {("target", "debug"), ("target", "release"), ("build", "lib"), ("build", "intermediates"), (".yarn", "cache")}
)
# Files that tools write: exact names, and how others end.
_FILE_NAMES = """
    package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml bun.lockb bun.lock poetry.lock uv.lock Pipfile.lock pdm.lock
    Cargo.lock Gemfile.lock composer.lock go.sum flake.lock mix.lock Podfile.lock packages.lock.json gradle.lockfile pubspec.lock
    deno.lock
"""
_FILES: Final = frozenset(_FILE_NAMES.split())
_FILE_ENDS: Final = (
    ".min.js",
    ".min.css",
    ".bundle.js",
    ".chunk.js",
    ".js.map",
    ".css.map",
    ".pb.go",
    "_pb2.py",
    "_pb2.pyi",
    ".pyc",
)


def generated_by(path: str, asked: str = "") -> str:
    """The folder or file name that says that a tool wrote the file of a path; "" if none does, or if it is asked for.

    Args:
        path: with slashes of either kind.
        asked: the question and the arguments of the call: what they name is looked at on purpose.
    """
    parts = path.replace("\\", "/").rstrip("/").split("/")
    if not _FOLDERS.isdisjoint(parts):
        return next((part for part in parts if part in _FOLDERS and part not in asked), "")
    name = parts[-1]
    if name in _FILES or name.endswith(_FILE_ENDS):
        return "" if name in asked else name
    pair = next((pair for pair in pairwise(parts) if pair in _PAIRS), None)
    return "/".join(pair) if pair is not None and "/".join(pair) not in asked else ""


@dataclass(slots=True, repr=False)
class _Entry:
    """A line of a result, and why it may go.

    Attributes:
        line: its number in the text.
        place: the file of a hit, or the folder that an entry is left out for.
        number: of the line in that file; 0 where none is said.
    """

    line: int
    place: str
    number: int = 0
    reason: str = ""


@dataclass(slots=True, repr=False)
class _Found:
    """The entries of a text, by line; lines that are none are in none."""

    lines: Sequence[str]
    asked: str
    entries: dict[int, _Entry] = field(default_factory=dict)

    def reasons(self) -> list[str]:
        """For each line why it may go."""
        return [entry.reason if (entry := self.entries.get(number)) is not None else "" for number in range(len(self.lines))]

    def said(self, start: int, end: int) -> str:
        """What the marker says of lines that are left out: of which files or folders they are."""
        run = [entry for number in range(start, end) if (entry := self.entries.get(number)) is not None]
        reasons = ", ".join(dict.fromkeys(entry.reason for entry in run))
        places = Counter(entry.place for entry in run if entry.place)
        parts = []
        for place, count in places.most_common(_NAMED):
            numbers = [entry.number for entry in run if entry.place == place and entry.number]
            parts.append(f"{quoted(place)} {f'lines {min(numbers)} to {max(numbers)}' if numbers else count}")
        if len(places) > _NAMED:
            parts.append(f"{len(places) - _NAMED} more")
        return f"{reasons}: {', '.join(parts)}" if parts else reasons


class SearchCompressor:
    """The omitter for results of searches. What it leaves out are whole lines; all others keep their bytes and order."""

    section = "search"
    label = "search:lines"

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The result with runs of hits left out; None if there is no run worth it."""
        found = _asked(text, request)
        _read_hits(found)
        return _left(found, request, markers)


class ListingCompressor:
    """The omitter for lists of files, as `ls`, `find` and `tree` make them."""

    section = "search"
    label = "search:entries"

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The list with runs of entries left out; None if there is no run worth it."""
        found = _asked(text, request)
        _read_entries(found)
        if len(text) > _LARGE:
            for number in range(_LARGE_HEAD, len(found.lines) - _LARGE_TAIL):
                found.entries.setdefault(number, _Entry(number, "", reason=_MIDDLE))
        return _left(found, request, markers)


def _asked(text: str, request: Request) -> _Found:
    return _Found(lines_of(text), f"{request.question}\n{request.arguments}")


def _left(found: _Found, request: Request, markers: Markers) -> str | None:
    """The text without what has a reason to go and is not named by the question."""
    reasons = found.reasons()
    if sum(map(len, found.lines)) < MIN_LEFT_OUT_TOKENS or not any(reasons):
        return None
    for number in named_lines(found.lines, request):
        reasons[number] = ""
    return leave_out_runs(found.lines, reasons, markers, found.said)


# -- hits -----------------------------------------------------------------------------------------------------------------

_HIT = re.compile(r"((?:[A-Za-z]:[\\/])?[^\s:][^:\n]{0,300}):([0-9]{1,9})[:-]")
_CONTEXT = re.compile(r"-([0-9]{1,9})-")
_NUMBERED = re.compile(r"([0-9]{1,9})([:-])")
_BLOCK_END: Final = "--"


def _read_hits(found: _Found) -> None:
    """Every line that names its file and line, or stands below the name of its file; then which of them may go."""
    hits: dict[str, list[_Entry]] = {}
    heading = ""  # the file that lines with only a number are of
    for number, line in enumerate(found.lines):
        start = line[:_LOOKED_AT]
        hit = _HIT.match(start)
        bare = None if hit is not None else _NUMBERED.match(start)
        if hit is not None:
            entry = _Entry(number, hit[1], int(hit[2]))
        elif bare is not None:
            entry = _Entry(number, heading, int(bare[1]))
        else:
            if start and start != _BLOCK_END and not start[0].isspace():
                heading = start
            continue
        found.entries[number] = entry
        if hit is not None or (bare is not None and bare[2] == ":"):
            hits.setdefault(entry.place, []).append(entry)
    for path, entries in hits.items():
        _judge(path, entries, found)
    _follow(found, hits)


def _judge(path: str, entries: Sequence[_Entry], found: _Found) -> None:
    """Which hits in a file may go."""
    generated = generated_by(path, found.asked)
    for at, entry in enumerate(entries):
        if generated:
            entry.reason = _GENERATED
        elif _HITS <= at < len(entries) - _LAST_HITS:
            entry.reason = _MANY
        elif len(found.lines[entry.line]) > _LONG:
            entry.reason = _LONG_LINE


def _follow(found: _Found, hits: dict[str, list[_Entry]]) -> None:
    """Lines around hits go with the hit before them, or behind them at the beginning of a block: as `grep -C` shows them."""
    reason = ""
    waiting: list[_Entry] = []
    stays = {entry.line for entries in hits.values() for entry in entries if not entry.reason}
    for number, line in enumerate(found.lines):
        entry = found.entries.get(number)
        if line == _BLOCK_END:
            found.entries[number] = _Entry(number, "", reason=reason)
            waiting = []
            reason = ""
            continue
        if entry is None:
            path = next((line[: at.start()] for at in _CONTEXT.finditer(line[:_LOOKED_AT]) if line[: at.start()] in hits), None)
            if path is None:
                reason = ""
                continue
            entry = found.entries[number] = _Entry(number, path)
        if entry.reason:
            reason = entry.reason
            for before in waiting:
                before.reason = reason
            waiting = []
        elif number in stays:
            reason = ""
            waiting = []
        else:
            entry.reason = reason
            if not reason:
                waiting.append(entry)


# -- lists of files -------------------------------------------------------------------------------------------------------

_BRANCH = re.compile(r"([│|\s\u00a0]*)(?:[├└]|[|`+\\]-)[-─]{1,3}[ \u00a0](\S.*)")
_SIZED = re.compile(r"(?:[0-9.]+[KMGTB]?\t)?(.*?)\s*$")
_FOLDER = re.compile(r"(\S.{0,300}):$")


def _read_entries(found: _Found) -> None:
    """Every entry that lies in a folder that tools fill, by its path, by the folder above it in a tree, or by its heading."""
    deeper = -1  # entries of a tree that stand further to the right are in `inside`
    inside = ""
    headed = ""  # by the heading over it
    for number, line in enumerate(found.lines):
        start = line[:_LOOKED_AT]
        branch = _BRANCH.match(start)
        if branch is not None:
            column = len(branch[1])
            if deeper >= 0 and column > deeper:
                found.entries[number] = _Entry(number, inside, reason=_NOISE)
                continue
            inside = generated_by(branch[2].rstrip("/*@ "), found.asked)
            deeper = column if inside in _FOLDERS else -1
            continue
        deeper = -1
        heading = _FOLDER.match(start)
        if heading is not None:
            headed = generated_by(heading[1], found.asked)
        if not start.strip():
            continue
        place = headed or ("" if "/" not in start and "\\" not in start else _in_folder(_SIZED.match(start), found.asked))
        if place:
            found.entries[number] = _Entry(number, place, reason=_NOISE)


def _in_folder(path: re.Match[str] | None, asked: str) -> str:
    """The folder of a path that tools fill; the folder itself is no entry in it."""
    if path is None:
        return ""
    parent, _, name = path[1].rstrip("/\\").replace("\\", "/").rpartition("/")
    return generated_by(parent, asked) or (name if name.endswith(_FILE_ENDS) and name not in asked else "")
