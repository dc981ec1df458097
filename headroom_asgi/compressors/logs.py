"""Logs of programs, tests and builds: passed tests, progress and lines like others left out, and a word on what they were."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import groupby
from typing import Final

from headroom_asgi._crush import Words
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.lines import leave_out_runs, lines_of, named_lines, with_words
from headroom_asgi.compressors.omission import MIN_LEFT_OUT_TOKENS, Markers
from headroom_asgi.compressors.times import without_times

# Lines that always stay, besides those that tell of trouble: what was run, and how it ended.
_HEAD: Final = 4
_TAIL: Final = 6
_CONTEXT: Final = 3  # lines before and behind trouble that stay, unless they are tests that passed or progress
_SEEN: Final = 3  # how often a line stays that differs from others in its numbers only; three show what changes
_LARGE: Final = (
    64_000  # characters, some 16,000 tokens: of a longer log, ordinary lines far from both ends and from trouble go as well
)
_LARGE_HEAD: Final = 100  # lines
_LARGE_TAIL: Final = 200
_LOOKED_AT: Final = 400  # characters of a line that are looked at for words
_FACE: Final = 60  # characters of a line among which its letters are counted
_LETTERS: Final = 6  # of a line that can be repeated with other numbers; lines of numbers are data

_NAMING_SHARE: Final = 4  # what more than one line in so many holds tells no line from another
_PASTED: Final = 10_000  # characters of a question that is more than one

_PASSED = "passed test"
_PROGRESS = "progress"
_ALIKE = "like lines above"
_TRACE = "stack trace as above"
_WARNED = "of warnings as above"
_ORDINARY = "ordinary line"


class LogCompressor:
    """The omitter for logs. What it leaves out are whole lines; all others keep their bytes and order."""

    section = "logs"
    label = "logs:lines"

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The log with runs of lines left out; None if there is no run worth it."""
        lines = lines_of(text)
        if len(text) < MIN_LEFT_OUT_TOKENS or len(lines) <= _HEAD + _TAIL:
            return None
        looked_at = [line[:_LOOKED_AT] for line in lines]
        troubled = with_words(looked_at, _TROUBLE)
        reasons = _results(looked_at, troubled)
        told = troubled | with_words(looked_at, _OUTCOME)
        near = _near([number in told and not reason for number, reason in enumerate(reasons)])
        _mark_alike(reasons, lines, near)
        if len(text) > _LARGE:
            _mark_ordinary(reasons, near)
        _mark_traces(reasons, lines)
        if _SUMMARY in text and not _ASKS_FOR_WARNINGS.search(request.question[-_PASTED:] + request.arguments[:_PASTED]):
            _mark_warnings(reasons, lines)
        _keep_edges(reasons)
        named = named_lines(lines, _as_asked(request), _NAMING_SHARE)
        for number in named:
            reasons[number] = ""
        left = leave_out_runs(lines, reasons, markers, lambda start, end: _said(lines[start:end], Counter(reasons[start:end])))
        whole = {lines[number] for number in named}
        return without_times(left or text, request, whole, markers) or left


def _as_asked(request: Request) -> Request:
    """What is asked, without a question that has a log in it: it names every line of the next run."""
    return request if len(request.question) <= _PASTED else replace(request, question="")


# -- results of tests, and progress ---------------------------------------------------------------------------------------

# What runners put before every line of a job: its name and the time, a tag, a stream.
_PREFIX = re.compile(
    r"[^\t\n]{1,80}\t[^\t\n]{1,120}\t\ufeff?[0-9T:.Z-]{10,40} |[\[(]?[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.,]{5,20}Z?[\])]? "
    r"|#[0-9]+ [0-9.]+ "
)
_PREFIXED: Final = frozenset("0123456789[(#")
# How such a line begins, behind its prefix. All begin with letters or signs of their own, so that other lines cost little.
_BEGINNING = re.compile(
    r"""
  (?P<passed>
    (?:PASSED|XFAIL|SKIPPED|XPASS)\ (?:\[[0-9]+\]\ )?\S+(?:::|\.|/)\S
  | [.sx]{8,}(?:\ +\[\ *[0-9]+%\])?\s*$
  | ok\ +[0-9]+\b(?!.*\#\ *TODO)
  | ok\s+\S+\s+[0-9.(]
  | ---\ (?:PASS|SKIP):\ \S
  | ===\ (?:RUN|PAUSE|CONT|NAME)\ +\S
  | \[\ *(?:RUN|OK)\ *\]\ \S
  | [✓✔√✅]\ \S
  | PASS\ +\S+\.[cm]?[jt]sx?\b
  | Tests\ run:\ [0-9]+,\ Failures:\ 0,\ Errors:\ 0,.{0,80}\ --?\ in[ ]
  )
| (?P<progress>
    (?:Downloading|Downloaded|Collecting|Fetching|Fetched|Obtaining|Unpacking|Extracting|Preparing\ to\ unpack
      |Selecting\ previously|Setting\ up|Processing\ triggers\ for|Compiling|Checking|Installing|Removing|Updating|Adding|Locking
      |Copying|Building\ wheel|Created\ wheel|Stored\ in\ directory|Using\ cached|Pulling|Pushing|Resolving|Linking
      |Transforming|Creating\ table|Applying|Applied\ patch|Reading\ package|Fresh|Preparing\ metadata|Getting\ requirements
      |Found\ existing\ installation|Attempting\ uninstall|Uninstalling|Synthesizing|Emptying)\b
  | Requirement\ already\ satisfied
  | (?:inflating|creating|extracting|copying|adding|byte-compiling|writing|running|reading)[: ]\ *\S+\s*\S*\s*\S*\s*$
  | (?:Get|Hit|Ign):[0-9]+[ ]
  | [0-9a-f]{12}:\ (?:Pull|Already|Waiting|Verifying|Download|Pushed|Layer|Extracting|Mounted|Preparing)
  | (?:remote:\ )?(?:Receiving|Resolving|Counting|Compressing|Enumerating|Unpacking|Writing|Updating)\ (?:objects|deltas|files):
  | \[[ 0-9]+/[0-9]+\]\ \S
  | \[\ *[0-9]{1,3}%\]\ \S
  | [0-9][0-9.]{0,5}%(?:\s|$|\[|\|)
  | npm\ (?:http|timing|verb|sill)\b
  | >\ Task\ :\S+(?:\ (?:UP-TO-DATE|NO-SOURCE|FROM-CACHE|SKIPPED))?\s*$
  | \[INFO\]\ (?:Download|Progress)
  | make(?:\[[0-9]+\])?:\ (?:Entering|Leaving)\ directory
  | (?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|ar|ranlib|rustc|javac)\ -
  | \#[0-9]+\ (?:sha256:|extracting\ |transferring\ |resolve\ )
  )""",
    re.VERBOSE,
)
# Where the result stands at the end of the line.
_ENDS: Final = ("ok", "OK", "PASSED", "Passed", "SKIPPED", "XFAIL", "XPASS", "%]", "ignored", "sec", "'")
_ENDING = re.compile(
    r"""
    \S+\ +(?:<-\ \S+\ +)?(?:PASSED|SKIPPED|XFAIL|XPASS)(?:\ +\[\ *[0-9]+%\])?$
  | \S+\.py\ [.sx]+\ +\[\ *[0-9]+%\]$
  | .{0,400}?\ \.\.\.\ ?(?:ok|OK|PASSED|Passed|ignored|skipped\b.{0,120})$
  | \S+\ >\ .{1,300}\ (?:PASSED|SKIPPED)$
  | [0-9]+/[0-9]+\ Test\ +\#[0-9]+:.{0,200}\ Passed\ +[0-9.]+\ sec$
  """,
    re.VERBOSE,
)
_BAR = re.compile(r"[0-9]%\|[^|]{0,120}\||[ \[|][0-9]{1,3}(?:\.[0-9]+)?%[ \])|].{0,120}[#=█━▌▉>-]{3}|[#=█━▌▉]{6}.{0,40}[0-9]%")
# The name of a test on a line before its description, which ends in the result.
_TEST_NAME = re.compile(r"test\w* \([\w.]+\)\s*$")
# What a report says of a test that passed, between its name and the next one.
_PASS_DETAIL = re.compile(r"\s*(?:---|\.\.\.|duration_ms: [0-9.]+|type: '(?:test|suite)'|# Subtest: .*|)\s*$")
# What a person looks for in a log, in any case, and as part of a name too, as in `TypeError`; and words of how it went.
_TROUBLE_WORDS = """
    error warn fail fatal critical severe exception traceback panic abort denied refused rejected timeout timed_out
    time_out cannot could_not can't unable not_found no_such killed segmentation core_dumped undefined unresolved
    unexpected unknown conflict deprecat invalid missing assert exit_code exit_status exited return_code stopped crash
    unhealthy out_of_memory oom leak overflow corrupt retry interrupt disconnect unauthorized forbidden not_ok ✗ ✘ ✕ ❌ ⚠ ✖
    ##[ npm_err
"""
_OUTCOME_WORDS = """
    skipped xfail ==== _passed _tests tests: total summary succe complete finished problems vulnerabilit build_
"""
_TROUBLE: Final = Words(word.replace("_", " ").encode() for word in _TROUBLE_WORDS.split())
_OUTCOME: Final = Words([b"____", *(word.replace("_", " ").encode() for word in _OUTCOME_WORDS.split())])


def _results(lines: Sequence[str], troubled: AbstractSet[int]) -> list[str]:
    """Why a line may go on its own account: a test that passed, progress; "" for every other."""
    reasons = [_result(line, trouble=number in troubled) for number, line in enumerate(lines)]
    for number, line in enumerate(lines[:-1]):
        if reasons[number + 1] == _PASSED and not reasons[number] and (not line.strip() or _TEST_NAME.match(line)):
            reasons[number] = _PASSED
    for number in range(1, len(lines)):
        if reasons[number - 1] == _PASSED and not reasons[number] and _PASS_DETAIL.match(_unprefixed(lines[number])):
            reasons[number] = _PASSED
    return reasons


def _result(line: str, *, trouble: bool) -> str:
    rest = _unprefixed(line).strip()
    found = _BEGINNING.match(rest)
    if found is None and rest.endswith(_ENDS):
        found = _ENDING.match(rest)
    if found is not None:
        if found.lastgroup != _PROGRESS:
            return _PASSED
        return "" if trouble else _PROGRESS
    return _PROGRESS if "%" in rest and not trouble and _BAR.search(rest) else ""


def _unprefixed(line: str) -> str:
    if line[:1] not in _PREFIXED and "\t" not in line[:_WIDE]:
        return line
    found = _PREFIX.match(line)
    return line[found.end() :] if found is not None else line


# -- lines like others ----------------------------------------------------------------------------------------------------


def _near(troubles: Sequence[bool]) -> list[bool]:
    """For each line whether it tells of trouble or stands near a line that does."""
    near = [False] * len(troubles)
    for number, trouble in enumerate(troubles):
        if trouble:
            start = max(0, number - _CONTEXT)
            near[start : number + _CONTEXT + 1] = [True] * (min(len(near), number + _CONTEXT + 1) - start)
    return near


_NO_DIGITS = str.maketrans("", "", "0123456789")


def _mark_alike(reasons: list[str], lines: Sequence[str], near: Sequence[bool]) -> None:
    """Lines that differ from several above in their numbers only. The last in a row of them stays, to show how far it went."""
    seen: Counter[str] = Counter()
    worded: dict[str, bool] = {}
    for number, shape in enumerate("\n".join(lines).translate(_NO_DIGITS).split("\n")):
        if reasons[number] or near[number]:
            continue
        seen[shape] += 1
        if seen[shape] > _SEEN:
            if shape not in worded:
                worded[shape] = sum(map(str.isalpha, shape[:_FACE])) >= _LETTERS
            reasons[number] = _ALIKE if worded[shape] else ""
    for start, end in _runs_of(reasons, _ALIKE):
        # Equal lines can be said in one without losing any.
        same = all(line == lines[start] for line in lines[start:end])
        reasons[start if same else end - 1 : end] = [""] * (end - start if same else 1)


def _runs_of(reasons: Sequence[str], reason: str) -> Iterator[tuple[int, int]]:
    """Start and end of each run of lines that have this reason."""
    at = 0
    for found, group in groupby(reasons):
        start, at = at, at + len(list(group))
        if found == reason:
            yield start, at


def _mark_ordinary(reasons: list[str], near: Sequence[bool]) -> None:
    """Lines of a long log that tell of no trouble, far from both ends."""
    for number in range(_LARGE_HEAD, len(reasons) - _LARGE_TAIL):
        if not reasons[number] and not near[number]:
            reasons[number] = _ORDINARY


# -- stack traces ---------------------------------------------------------------------------------------------------------

_OPENS = re.compile(
    r"Traceback \(most recent|goroutine [0-9]+ \[|thread '[^'\n]{1,80}' |(?:Caused by: |[\w.$]{1,200}(?:Exception|Error)\b)"
)
_OPENING: Final = Words([b"traceback (", b"goroutine ", b"thread '", b"caused by: ", b"exception", b"error"])  # one stands there
_INDENT: Final = (" ", "\t")
_FRAME = re.compile(r"\s+\S|\S{1,200}\([^\n]{0,100}\)\s*$|\s*$|created by ")


def _mark_traces(reasons: list[str], lines: Sequence[str]) -> None:
    """Frames of a stack trace that stands above already; its first line stays, and so does what was raised."""
    known: set[str] = set()
    for start, end in _traces(lines):
        frames = "\n".join(lines[start:end])
        if frames in known:
            reasons[start:end] = [_TRACE] * (end - start)
        known.add(frames)


def _traces(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where the frames of stack traces stand: the lines behind one that opens a trace, up to one that is no frame."""
    at = 0
    for opener in sorted(with_words([line[:_LOOKED_AT] for line in lines], _OPENING)):
        start = opener + 1
        framed = start < len(lines) and lines[start][:1] in _INDENT
        if start <= at or not (framed or lines[opener].startswith("goroutine")):
            continue
        if not _OPENS.search(lines[opener][:_LOOKED_AT]):
            continue
        at = start
        while at < len(lines) and _FRAME.match(lines[at][:_LOOKED_AT]) and lines[at].strip():
            at += 1
        if at > start:
            yield start, at


# -- warnings at the end of a test run -------------------------------------------------------------------------------------

_SUMMARY: Final = "= warnings summary"
_SUMMARY_ENDS: Final = ("===", "-- Docs")
_WARNING = re.compile(r"\s+\S{1,300}:[0-9]+: (\w{0,80}Warning: .*)")
_ASKS_FOR_WARNINGS = re.compile(r"warning|deprecat", re.IGNORECASE)


def _mark_warnings(reasons: list[str], lines: Sequence[str]) -> None:
    """What pytest says of warnings in other places, word for word the same as of the first."""
    said: set[str] = set()
    for start, end in _warnings(lines):
        text = _warning(lines[start:end])
        if text in said:
            reasons[start:end] = [_WARNED] * (end - start)
        elif text and not any(reasons[start:end]):  # it stays to the last line
            said.add(text)


def _warning(paragraph: Sequence[str]) -> str:
    """All that a paragraph says of a warning, but for which tests and at which place; "" if it is about something else."""
    rests = [_unprefixed(line) for line in paragraph]
    first = next((number for number, rest in enumerate(rests) if rest[:1] in _INDENT), 0)
    found = _WARNING.match(rests[first][:_LOOKED_AT])
    if found is None:
        return ""
    others = rests if rests[first] != paragraph[first] else paragraph  # a message may have times in it that are no prefixes
    return "\n".join([rests[first][found.start(1) :], *others[first + 1 :]])


def _warnings(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where the paragraphs of summaries of warnings stand, with the blank line behind each."""
    start = -1
    for number, line in enumerate(lines):
        rest = _unprefixed(line)
        if _SUMMARY in rest[:_WIDE]:
            start = number + 1
        elif rest.startswith(_SUMMARY_ENDS):
            start = -1
        elif start >= 0 and not rest.strip():
            yield start, number + 1
            start = number + 1


# -- what stays, and what is said -----------------------------------------------------------------------------------------


def _keep_edges(reasons: list[str]) -> None:
    """The first and last lines stay, and the first of each run, to show what the others are."""
    reasons[:_HEAD] = [""] * min(_HEAD, len(reasons))
    reasons[-_TAIL:] = [""] * min(_TAIL, len(reasons))
    for reason in (_PASSED, _PROGRESS):
        for start, _ in list(_runs_of(reasons, reason)):
            if not reasons[start - 1]:
                reasons[start] = ""


_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}|[0-9]{2}:[0-9]{2}:[0-9]{2}")
_LEVELS: Final = ("trace", "debug", "info", "notice")
_LEVEL_WORDS: Final = Words(level.encode() for level in _LEVELS)
_LEVEL = re.compile(rf"\b({'|'.join(_LEVELS)})\b", re.IGNORECASE)
_WIDE = 120  # characters of a line in which its level and time stand


def _said(run: Sequence[str], counts: Counter[str]) -> str:
    """What was left out: how many lines of what, of which levels, and from when to when."""
    parts = [
        f"{count} {reason}{'' if count == 1 or reason not in (_PASSED, _ORDINARY) else 's'}"
        for reason, count in counts.most_common()
    ]
    starts = [line[:_WIDE] for line in run]
    leveled = (_LEVEL.search(starts[number]) for number in sorted(with_words(starts, _LEVEL_WORDS)))
    levels = Counter(found[1].upper() for found in leveled if found)
    parts += [f"{count} {level}" for level, count in levels.most_common()]
    first, last = (_MOMENT.search(line[:_WIDE]) for line in (run[0], run[-1]))
    if first and last and first[0] != last[0]:
        parts.append(f"{first[0]} to {last[0]}")
    return ", ".join(parts)
