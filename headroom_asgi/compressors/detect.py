"""What kind of text a text is, decided from the text alone."""

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from itertools import pairwise
from typing import Final

from headroom_asgi.compressors.html import is_page


class ContentKind(Enum):
    """The kinds, each with compressors of its own."""

    JSON = "json"  # one document or several
    VIEW = "view"  # a file with its lines numbered
    HTML = "html"  # a web page
    LOG = "log"  # what a program said while it ran: times, levels, tests, downloads, stack traces
    SEARCH = "search"  # lines of files with path and number before them
    LISTING = "listing"  # names of files, one a line
    DIFF = "diff"  # a patch
    CODE = "code"
    MARKUP = "markup"  # XML, or a piece of HTML
    TABLE = "table"  # lines cut into equally many cells
    TEXT = "text"  # anything else


_BLANKS = " \t\r\n"
_NUMBERED = re.compile(r"^ *([0-9]+)(\t|→| ?[|:])(.*)", re.MULTILINE)
_HIT = re.compile(r"(?: {2}|\t|[^\s0-9]).*[A-Za-z]{2}")
_VIEW_SAMPLE = 2000  # characters looked at; views have their numbers from the first lines on
_PAIRS = {"{": "}", "[": "]", '"': '"'}

_SAMPLE = 16_384  # characters of the beginning that name the kind of a text in several pieces
_LINE_SAMPLE = 240  # characters of a line that are looked at, and as many of its end as the longest pattern there needs
_END_SAMPLE = 48

# How the lines of a kind begin. Every pattern is tried at the beginning of a line only, over characters of which each has one
# place to go, so that a line costs no more than its sample. Most begin with a letter or a sign, which is all that is looked at in
# a line of another kind.
_TIME = r"""
    [\[(<]?[0-9]{4}[-/.][0-9]{2}[-/.][0-9]{2}[T ,_]+[0-9]{2}:[0-9]{2}
  | [\[(<]?[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?![0-9:-])
  | [A-Z][a-z]{2}\ [ 0-9][0-9]\ [0-9]{2}:[0-9]{2}:[0-9]{2}
  | \[?[A-Z][a-z]{2}\ [A-Z][a-z]{2}\ [ 0-9][0-9]\ [0-9]{2}:[0-9]{2}
  | \[?[0-9]{1,2}[/ -][A-Z][a-z]{2}[/ -][0-9]{4}[: ][0-9]{2}:
  | [0-9]{1,3}(?:\.[0-9]{1,3}){3}\ \S{1,40}\ \S{1,40}\ \[
  | [IWEFD][0-9]{4}\ [0-9]{2}:
  | \[\ *[0-9]+\.[0-9]{3,6}\][ ]
  | [^\t\n]{1,80}\t[^\t\n]{1,120}\t\ufeff?[0-9]{4}-[0-9]{2}-[0-9]{2}T
"""
_LEVEL = r"""
    [\[<(]?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|SEVERE|FAIL|PANIC)[\]>)]?(?:[\s:!\[|]|$)
  | [ewfnhid](?:rror|arning|atal|ote|elp|nfo|int|ebug)(?:\[\w{1,20}\])?:[ ]
  | (?:time|ts|timestamp|level|lvl|severity)=[^\s=]{1,80}\ [\w.]{1,40}=
  | npm\ (?:ERR!|(?:WARN|warn|error|info|http|notice|timing|verb)\b)
  | \#\#\[[a-z]{1,20}\]
  | \[[A-Za-z][\w.:/-]{2,60}\][ ]
"""
_TEST = r"""
    [PFSXO](?:ASSED|AILED|KIPPED|FAIL|PASS|XPASSED|FAILED|ASS|AIL|K|KIP)(?:[\s:!]|$)
  | ok\ [0-9]+
  | not\ ok\ [0-9]+
  | \ *---\ (?:PASS|FAIL|SKIP):[ ]
  | \ *===\ (?:RUN|PAUSE|CONT|NAME)[ ]
  | \ *[✓✔✗✘✕√✅❌][ ]
  | \#\ (?:Subtest:|tests|pass|fail|duration_ms)[ ]
  | \[\ *(?:RUN|OK|FAILED|PASSED|-{5,}|={5,})\ *\][ ]
  | [=_-]{5}[=_-]*(?:\ [^\n]{0,200}\ [=_-]{3,})?\s*$
  | collect(?:ed|ing)\ [0-9.]
  | T(?:est\ Suites|ests|ime)\b
  | R(?:an\ [0-9]+\ tests?)\b
  | test\ result\b
  | running\ [0-9]+\ test
  | Snapshots:
"""
_TRACE = r"""
    Traceback\ \(most\ recent
  | \s+(?:File\ "[^"\n]{1,200}",\ line\ [0-9]
      |at\ [^\s(]{1,200}(?:\ \[as\ [^\]\n]{1,60}\])?\ ?\([^()\n]{0,200}:[0-9]+
      |at\ (?:async\ )?\S{1,180}:[0-9]+:[0-9]+\s*$
      |\.\.\.\ [0-9]+\ (?:more|common)
      |-->\ \S{1,200}:[0-9]+:[0-9]+)
  | Caused\ by:[ ]
  | goroutine\ [0-9]+\ \[
  | thread\ '[^'\n]{1,80}'\ (?:\([0-9]+\)\ )?panicked
  | [a-z]\w{0,40}\.(?:\w{1,40}\.){0,8}[A-Z]\w{0,60}(?:Exception|Error)\b
  | [A-Z]\w{0,60}(?:Error|Exception|Warning):[ ]
  | E\ {2,7}\S
"""
_BUILD = r"""
    D(?:ownloading|ownloaded|estroying)\ \S
  | C(?:ollecting|ompiling|hecking|reating)\ \S
  | (?:Fetching|Installing|Unpacking|Preparing|Extracting|Resolving|Applying|Operations\ to)\ \S
  | \s+(?:Compiling|Downloaded|Downloading|Checking|Finished|Running|Fresh|Building|Creating|Applying|Using\ cached)[ ]
  | \s+(?:inflating|creating|extracting):[ ]
  | Re(?:quirement\ already\ satisfied|ading\ package|ceiving\ objects:|solving\ deltas:)
  | S(?:electing|etting\ up|uccessfully)\b
  | (?:Processing\ triggers|Building\ dependency|Attempting\ uninstall)\b
  | (?:Get|Hit|Ign):[0-9]+[ ]
  | \[[ 0-9]+/[0-9]+\][ ]
  | \[\ *[0-9]{1,3}%\][ ]
  | make(?:\[[0-9]+\])?:[ ]
  | >\ (?:Task|Configure)\ :
  | Step\ [0-9]+/[0-9]+\ :
  | \#[0-9]+\ (?:\[|[0-9]+\.[0-9]|DONE|CACHED|sha256:|exporting|resolve|naming|writing)
  | remote:[ ]
  | (?:Counting|Compressing|Unpacking)\ objects:[ ]
  | [0-9a-f]{12}:\ (?:Pull|Already|Waiting|Verifying|Download|Pushed|Layer|Extracting|Mounted)
  | [0-9]{1,3}(?:\.[0-9]+)?%\ ?[\[|]
  | (?:gcc|g\+\+|cc|clang|ld|ar|javac|tsc|cmake)\ -
"""
_SIGNS = r"\s:\"'<>|()*?{}=,;"  # what names of files seldom have
_SEARCH = rf"""
    (?:[A-Za-z]:[\\/])?[^{_SIGNS}]{{1,240}}:[0-9]+(?:[:-]|\ +\S)
  | [^{_SIGNS}]{{0,200}}?[./\\][^{_SIGNS}]{{0,200}}?-[0-9]+-
  | [0-9]+-(?:\ |$)
  | --$
"""
_NAME = r"\w.@+~\[\]()$%=-"
_LISTING = rf"""
    [-dlbcps][-r][-w][-xsStT][-r][-w][-xsStT][-r][-w][-xsStT][.+@]?\ +[0-9?]
  | total\ [0-9.]+[KMG]?\s*$
  | [│|\ \u00a0]{{0,160}}(?:[├└]|[|`+\\]-)[-─]{{1,3}}[ \u00a0]
  | (?:[0-9.]+[KMGTB]?\t)?(?:\.{{0,2}}/|~/|[A-Za-z]:\\|[\w.@+~-]{{1,100}}[/\\])
      (?:[{_NAME}]{{1,150}}[/\\]){{0,40}}[{_NAME}]{{0,150}}(?<![0-9]-):?\s*$
"""
_TABLE = r"\ *\|[^\n]*\|\s*$ | [+|][-=+:|\ ]{3,}[+|]\s*$"
_MARKUP = r"\s*<(?:[!?][A-Za-z\[-]|/?[A-Za-z][\w:.-]{0,60}(?:[\s/>]|$))"
_CODE = r"""
    \#\s?(?:include|define|ifn?def|endif|pragma|if|else|import)\b
  | \s*(?:
      i(?:mport|nclude)\ [\w.{}*"'<@/:]+[^.?!\n]{0,100}$
    | (?:from|package|using|use|namespace|module|require)\ [\w.{}*"'<@/:]+[^.?!\n]{0,100}$
    | (?:def|class|func|fn|function|interface|struct|enum|impl|trait|type|sub|proc)\ [^\n]{0,180}[({:;,]\s*(?:[}\\]\s*)?$
    | (?:(?:pub|public|private|protected|static|final|const|let|var|export|default|async|abstract|override|extern|inline|mut
        |void|int|char|bool|float|double|long|unsigned|auto)\ +)+[\w<>\[\]*&:?,.$({]
    | (?:if|for|while|switch|elif|else\ if|catch|match|foreach|with)\ ?\(?[^\n]{1,200}[:{]\s*$
    | (?:else|try|finally|do|loop|except)\b[^\n]{0,100}[:{]\s*$
    | (?:return|raise|throw|yield|await|assert|del|break|continue|pass|goto|delete)\b(?:\ [^\n]{0,200})?;?\s*$
    | [\])}]+[;,)]*\s*$
    | @\w[\w.]{0,60}(?:\([^\n]{0,150})?\s*$
    | /[/*] | \*[/ ] | --\ | ;;
    | (?:self|this|cls)[.\[]
    | [\w.$\[\]"'>-]{1,80}(?:\ ?(?:[+*/|&-]|:)?=\ ?[^=\s] | \([^\n]{0,200}(?:\);?|[({\[,:])\s*$)
    )
"""
_BEGINNINGS: Final = re.compile(
    rf"(?P<log>{_TIME}|{_LEVEL}|{_TEST}|{_TRACE}|{_BUILD})|(?P<listing>{_LISTING})|(?P<table>{_TABLE})"
    rf"|(?P<search>{_SEARCH})|(?P<markup>{_MARKUP})|(?P<code>{_CODE})",
    re.VERBOSE | re.ASCII,
)
# What stands at the end of a line of a log: the result of a test, how far it is. Few lines end like that at all.
_ENDINGS = re.compile(
    r"\.\.\. ?(?:ok|OK|FAIL|ERROR|skipped|FAILED|ignored|done)\b.{0,20}$"
    r"|(?:PASSED|FAILED|SKIPPED|ERROR|XFAIL|[.FEsx])(?: +\[ *\d+%\])$|\d{1,3}%$|\(\d+(?:\.\d+)? ?m?s\)$"
)
_LAST = ("%]", "%", "s)", "ok", "OK", "FAIL", "ERROR", "ED", "skipped", "ignored", "done", "'")
_CODE_ENDS = (";", "{")
_KINDS = {kind.value: kind for kind in ContentKind}

# Lines of a patch; those between them are counted, not looked at.
_HUNK = re.compile(r"^@@ -[0-9]+(?:,[0-9]+)? \+[0-9]+(?:,[0-9]+)? @@", re.MULTILINE)
_PATCHED = re.compile(
    r"[-+ @\\\r]|diff |index |(?:old|new|deleted) (?:file )?mode |similarity |rename |copy |Binary |GIT |commit |Author:|Date:|$"
)


def detect(text: str) -> ContentKind:
    """The kind of a text; of one in several pieces, the kind of most lines at its beginning.

    JSON is claimed by its first and last character; its compressor checks the rest.
    """
    claimed = claim(text)
    if claimed is not None:
        return claimed
    sample = text[:_SAMPLE]
    lines = [line for line in sample.split("\n") if line.strip()]
    if _HUNK.search(sample) and _is_patch(lines):
        return ContentKind.DIFF
    return kind_of(line_kinds(lines))


def claim(text: str) -> ContentKind | None:
    """The kind of a text that is of one kind by how it begins, or None."""
    inside = text.strip(_BLANKS)
    if not inside:
        return ContentKind.TEXT
    if len(inside) > 1 and _PAIRS.get(inside[0]) == inside[-1]:
        return ContentKind.JSON
    if is_page(text):
        return ContentKind.HTML
    sample = text[:_VIEW_SAMPLE]
    numbered = _NUMBERED.findall(sample)
    return _numbered_kind(numbered) if len(numbered) * 2 > sample.count("\n") else None


def _numbered_kind(lines: Sequence[tuple[str, str, str]]) -> ContentKind | None:
    """A file whose numbers go up by one, or what a search found in one; None for rows of cells and other things with a number.

    Args:
        lines: number, sign and what stands behind it, of each.
    """
    numbers = [int(number) for number, _, _ in lines]
    sign = lines[0][1].strip(" ")
    if sign in "|\t" and _are_cells([line.lstrip().count(sign) for _, _, line in lines]):
        return None
    if sum(later == number + 1 for number, later in pairwise(numbers)) * 2 >= len(numbers) - 1:
        return ContentKind.VIEW
    rises = numbers == sorted(set(numbers)) and numbers[0] > 0
    # A search prints lines as they are, with what indents them; who writes a list puts one blank.
    hits = sum(_HIT.match(line) is not None for _, _, line in lines)
    return ContentKind.SEARCH if rises and lines[0][1] == ":" and hits * 2 > len(lines) else None


def _are_cells(counts: Sequence[int]) -> bool:
    """Nearly all lines have as many signs between cells as the first one."""
    return len(counts) >= _FEW and counts[0] > 0 and counts.count(counts[0]) * 10 >= 9 * len(counts)


def line_kinds(lines: Iterable[str]) -> list[ContentKind | None]:
    """The kind that each line looks like on its own; None for one that could be of any kind."""
    kinds: list[ContentKind | None] = []
    for line in lines:
        found = _BEGINNINGS.match(line[:_LINE_SAMPLE])
        if found is not None and found.lastgroup in ("log", "listing", "table", "search"):
            kinds.append(_KINDS[found.lastgroup])
        elif line.endswith(_LAST) and _ENDINGS.search(line[-_END_SAMPLE:]):
            kinds.append(ContentKind.LOG)
        elif found is None and line.rstrip().endswith(_CODE_ENDS):
            kinds.append(ContentKind.CODE)
        else:
            kinds.append(_KINDS[found.lastgroup] if found is not None and found.lastgroup else None)
    return kinds


def kind_of(kinds: Sequence[ContentKind | None]) -> ContentKind:
    """The kind of lines that belong together, none of them blank: that of most that have one, if it is enough of them."""
    counts = {kind: kinds.count(kind) for kind in _SHARES}
    best = max(counts, key=lambda kind: counts[kind])
    return best if counts[best] >= _FEW and counts[best] * 100 >= _SHARES[best] * len(kinds) else ContentKind.TEXT


_FEW = 3  # lines that make a kind
# Of a hundred lines, how many must look like the kind that all are taken for. Logs quote anything; grep's lines are all alike.
_SHARES = {
    ContentKind.LOG: 25,
    ContentKind.SEARCH: 60,
    ContentKind.LISTING: 60,
    ContentKind.TABLE: 60,
    ContentKind.MARKUP: 50,
    ContentKind.CODE: 40,
}


def _is_patch(lines: Sequence[str]) -> bool:
    """Most lines stand behind a patch's signs."""
    return sum(_PATCHED.match(line) is not None for line in lines) * 100 >= 90 * len(lines)
