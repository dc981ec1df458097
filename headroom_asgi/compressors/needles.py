"""What a question may be looking for: the literals of it that rows are looked up by.

Literals are names rather than prose: values of the call's arguments, quoted strings, ids and numbers, e-mails, paths, names of
people and places. A word of prose would match every row.
"""

import json
import re
from functools import lru_cache

_MAX_TEXT = 20_000  # characters of the question, and of the arguments; one that is longer names everything
_MAX_NEEDLES = 200
_KEPT_QUESTIONS = 64  # whose literals are remembered: many outputs follow one question, which may be long
_MIN_CHARS = 3  # what is shorter stands everywhere; numbers that are ids by the word before them are looked for as whole cells
_MAX_CHARS = 80  # what is longer is a text, not a name; the words in it count

_QUOTED = re.compile(r"""(?<!\w)(["'`])([^"'`\n]{3,80})\1(?!\w)|[“„«]([^”“»\n]{3,80})[”“»]""")
_EDGES = " \t\r\n$€£.,;:!?\"'`()[]{}<>#*_=~|&\\“”„«»‘’…¿¡"
_OPENERS = "\"'`(*-_[“„«•"
_INNER = re.compile(r"[=:,;|]+")
_JOINT = re.compile(r"[^\W_][_./:@+\\-][^\W_]")  # as in user_id, src/app.py, a@b.c, pay-service
_NUMBERED = re.compile(
    r"#([0-9]{1,2})(?![\w.])|\b([a-z]{2,})[ ](?:no\.?[ ]|number[ ]|id[ ])?([0-9]{1,2})(?![\w%]|[.:/-][0-9]|[ ][a-z]+s\b)",
    re.IGNORECASE,
)
_LONG_WORD = re.compile(r"[^\W\d_]{4,}+")
_STEM = 6  # letters
_AMOUNT = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
# Arguments that say how much is wanted, not what.
_PAGING_KEYS = """
    limit offset page page_size pagesize per_page perpage size count max max_results maxresults top n first last skip
    timeout
"""
_PAGING = frozenset(_PAGING_KEYS.split())

# Words before a number that is no id.
_COUNTING_WORDS = """
    about above after all and around at before below between by every exactly first for from in is last latest least most next of
    on only or over past previous second since than the third to top under until version within
"""
_COUNTING = frozenset(_COUNTING_WORDS.split())

# Words that have a capital because a sentence or a title starts with them, and that look nothing up.
_PROSE_WORDS = """
    a about above according actually add added after again all almost already also although always am an and another any
    anyone anything are as ask at available back based be because been before being below between both briefly but by
    call can cannot check choose compare compute consider continue copy could count create current day days describe did
    display do does done each either else email end error errors ever every everything example examples except explain
    extract fetch file files filter final find first fix for found from full further get give given go good got great
    group had has have he hello help her here hey hi him his how however i id if important in include info information
    input instead into is issue it its job jobs join just keep know last later latest least let like line lines list
    look looking make many may maybe me mention message might more most much must my name need needs never new next no
    none nor not note nothing now number of off ok okay old on once one only open or order orders other our out output
    over own per perhaps please plus previous print provide put question rather re read really remember remove reply
    report request respond result results return review row rows run same save say search second see select send set
    shall she should show since so some someone something sort start status still stop such sum summarize sure table
    tell than thank thanks that the their them then there these they thing this those three through thus time to today
    together tomorrow tool tools total translate try two under unless until up update us use used user users using value
    values verify very via view want was way we well were what whatever when where whether which while who whole whom
    whose why will with within without work would write yes yesterday yet you your
"""
_PROSE = frozenset(_PROSE_WORDS.split())


def needles(question: str, arguments: str = "") -> list[bytes]:
    """UTF-8 literals that rows are looked up by, most telling first, each once whatever the case of its ASCII letters.

    Args:
        question: what the user wrote.
        arguments: the arguments of the call whose result is looked at, as JSON; their values count, their keys do not.
    """
    return list(_needles(question[-_MAX_TEXT:], arguments[:_MAX_TEXT]))


@lru_cache(maxsize=_KEPT_QUESTIONS)
def _needles(question: str, arguments: str) -> tuple[bytes, ...]:
    """Many texts share a question and a call, and both take longer to read than a small text."""
    found: dict[bytes, bytes] = {}
    values = _values(arguments)
    if values is None:
        _collect(found, arguments)
    for value in values or ():
        if "\n" not in value:
            _add(found, value.strip(), least=1 if value.isdigit() else _MIN_CHARS)
        _collect(found, value)
    for literal, data in _literals(question):
        found.setdefault(literal, data)
    return tuple(found.values())[:_MAX_NEEDLES]


def forget_needles() -> None:
    """Drop what is remembered of questions and calls."""
    _needles.cache_clear()
    _literals.cache_clear()


def topics(question: str, arguments: str = "") -> frozenset[str]:
    """What a text is about, by its words: in lower case, of four letters or more, cut after six, so that endings do not count."""
    text = f"{question[-_MAX_TEXT:]} {arguments[:_MAX_TEXT]}".lower()
    return frozenset(stem(word) for word in _LONG_WORD.findall(text) if word not in _PROSE)


def stem(word: str) -> str:
    """What words that differ in their endings have in common, roughly."""
    return word[:_STEM]


@lru_cache(maxsize=_KEPT_QUESTIONS)
def _literals(question: str) -> tuple[tuple[bytes, bytes], ...]:
    """The literals of a question, by themselves in lower case."""
    found: dict[bytes, bytes] = {}
    _collect(found, question)
    return tuple(found.items())


def _values(arguments: str) -> list[str] | None:
    """The strings and numbers in JSON, in order; None if it is no JSON."""
    try:
        waiting = [json.loads(arguments, parse_int=str, parse_float=str)] if arguments else []
    except (ValueError, RecursionError):
        return None
    values: list[str] = []
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            values.append(value)
        elif isinstance(value, dict):
            waiting += [inner for key, inner in reversed(value.items()) if key.lower() not in _PAGING]
        elif isinstance(value, list):
            waiting += reversed(value)
    return values


def _collect(found: dict[bytes, bytes], text: str) -> None:
    """Add the literals of a text: quoted ones, then ids, then names."""
    for match in _QUOTED.finditer(text):
        _add(found, (match[2] or match[3]).strip())
    names: list[str] = []
    for line in text.split("\n"):
        run: list[str] = []  # names that follow each other: of one person, of one place
        starts = True  # a sentence
        for word in line.split():
            core = _core(word)
            for literal in _ids(core):
                _add(found, literal)
            if run and (word[0] in _OPENERS or not _is_name(core)):
                names += _named(run)
                run = []
            if _is_name(core) and not (starts and core.lower() in _PROSE):
                run.append(core)
            starts = word[-1] in ".!?:"
            if run and word[-1] in ".,;:!?":
                names += _named(run)
                run = []
        names += _named(run)
    for match in _NUMBERED.finditer(text):
        if match[1] or match[2].lower() not in _COUNTING:
            _add(found, match[1] or match[3], least=1)
    for name in names:
        _add(found, name)


def _core(word: str) -> str:
    """A word without the punctuation around it; an amount of money as a plain number."""
    core = word.strip(_EDGES)
    if core.endswith(("'s", "’s")):
        core = core[:-2]
    return core.replace(",", "") if _AMOUNT.fullmatch(core) else core


def _ids(word: str) -> list[str]:
    """What a word holds that is no prose: itself, and what an id is joined to, as in `id:4711` and `src/app.py:31`."""
    if "://" in word:
        return [word]
    return [part for part in dict.fromkeys((word, *map(_core, _INNER.split(word)))) if _is_id(part)]


def _is_id(word: str) -> bool:
    """With a digit, with a joint, or with a capital inside."""
    if any(map(str.isdigit, word)):
        return True
    if len(word) > _MIN_CHARS and _JOINT.search(word):
        return True
    return word[1:] != word[1:].lower() and word.lower() not in _PROSE


def _is_name(word: str) -> bool:
    """Letters only, the first one a capital."""
    return len(word) > 1 and word.isalpha() and word[0].isupper()


def _named(run: list[str]) -> list[str]:
    """What words with capitals name that follow each other: all of them together, and each that is not prose."""
    names = [word for word in run if word.lower() not in _PROSE]
    return [" ".join(run), *names] if names else []


def _add(found: dict[bytes, bytes], literal: str, least: int = _MIN_CHARS) -> None:
    data = literal.encode("utf-8", "ignore")
    if least <= len(literal) <= _MAX_CHARS and b"\0" not in data:
        found.setdefault(data.lower(), data)
