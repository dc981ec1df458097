"""What a query asks for: words, phrases and conditions on columns.

`status=failed`, `city: Oslo` and `total >= 100` are conditions where the text has such a column, `(key)=x` asks for the key of a
map; anything else is words. The whole query is a phrase as well.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

_MAX_QUERY: Final = 1_000  # characters that are looked at
_MAX_TERMS: Final = 32  # keeps the search linear in the text
_MAX_WORDS: Final = 24  # of these; what else is looked for follows them
_MAX_CONDITIONS: Final = 8  # each name may need a look at the whole text

_NAME = r"""(?:"([^"]+)"|'([^']+)'|(\(key\)|[\w$@][\w.$@\[\]-]*))"""
_AMOUNT = r"(?<![\w.,])[$€£¥]? ?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?![\w,]|\.[0-9])"
_AMOUNTS = re.compile(_AMOUNT)
_NO_MARKS = dict.fromkeys(map(ord, "$€£¥, "))
_CONDITION = re.compile(
    rf"""(?<![\w.(-]){_NAME}\s*(>=|<=|!=|==|=|>|<|:)\s*(?:"([^"]*)"|'([^']*)'|({_AMOUNT}|[^\s,;&|"'=:<>!][^\s,;&|]*))"""
)
_REST = re.compile(r"(?:\s+(?!(?:and|or|where)\b)[^\s,;&|=:<>!]+(?![^\s]|\s*[=:<>!]))*")  # words that may belong to a value
_QUOTED = re.compile(r"""(?<!\w)(["'`])([^"'`]+)\1(?!\w)""")
_POSSESSIVE = re.compile(r"['’]s\b")
_WORD = re.compile(r"""[^\s"'`,;()\[\]{}<>|]+""")
_EDGES = ".:!?…"

_PROSE = """
    a about all an and any are as at be by can did do does find for from get give has have how i if in is it list look many me my
    of on or please search show that the their there these this to was were what when where which who whose why with
"""
_STOP = frozenset(_PROSE.split())


class Term(NamedTuple):
    """One thing that is looked for, folded.

    Attributes:
        text: what has to stand there; of a plural without its last letter, which may follow any word.
        column: of a condition the column, normalized.
        operator: of a condition.
        is_plural: the word had that letter.
        is_phrase: made of more than was asked for word by word, so it need not be found.
    """

    text: str
    column: str = ""
    operator: str = "="
    is_plural: bool = False
    is_phrase: bool = False

    @property
    def word(self) -> str:
        """What was asked for."""
        return f"{self.text}s" if self.is_plural else self.text


def parsed(query: str, is_column: Callable[[str], bool]) -> list[Term]:
    """The terms of a query, each once. `is_column`: whether the text has a column of that normalized name."""
    folded = query.casefold()[:_MAX_QUERY]
    terms: dict[Term, None] = {}
    rest, last = [], 0
    for match in islice(_CONDITION.finditer(folded), _MAX_CONDITIONS):
        name = normalized(match[1] or match[2] or match[3])
        if match.start() < last or not is_column(name):
            continue
        value = next(text for text in (match[5], match[6], match[7], "") if text is not None)
        value = value if match[7] is None else value.strip(_EDGES) or value
        if not value:
            continue
        rest.append(folded[last : match.start()])
        last = match.end()
        operator = match[4].replace("==", "=").replace(":", "=")
        more = _REST.match(folded, last) if match[7] is not None and operator == "=" else None
        if more is not None and more[0].strip():
            terms[Term(f"{value}{more[0]}".rstrip(_EDGES), name, is_phrase=True)] = None
        terms[Term(value, name, operator)] = None
    words = _words(" ".join([*rest, folded[last:]]), bare=not terms)
    phrase = Term(folded.strip().replace("\t", " "), is_phrase=True)
    if terms or [term.word for term in words] != [phrase.text]:
        terms[phrase] = None
    others = (Term(spelling, is_phrase=True) for spelling in _spellings(folded))
    return list(dict.fromkeys([*terms, *words[:_MAX_WORDS], *others]))[:_MAX_TERMS]


def _words(text: str, *, bare: bool) -> list[Term]:
    """The quoted phrases and the words of a text; without prose, unless nothing else is there and `bare`."""
    words = [match[2].strip() for match in _QUOTED.finditer(text)]
    words += [word.strip(_EDGES) for word in _WORD.findall(_POSSESSIVE.sub(" ", _QUOTED.sub(" ", text)))]
    telling = [word for word in words if word and word not in _STOP]
    terms = []
    for word in telling or (words if bare else ()):
        value = word.rpartition("=")[2]
        if value != word:  # of a column that is not there, but a log may have it so
            terms.append(Term(word, is_phrase=True))
        terms.append(_term(value))
    return [term for term in terms if term.text]


def _spellings(text: str) -> Iterator[str]:
    """How else the amounts in a text may be written: "$1,460.50" as 1460.50 and 1460.5."""
    for match in islice(_AMOUNTS.finditer(text), _MAX_CONDITIONS):
        whole, point, fraction = plain_number(match[0]).partition(".")
        spelled = {match[0].strip(), f"{whole}{point}{fraction}", f"{whole}.{fraction.rstrip('0') or '0'}" if point else whole}
        yield from sorted(spelled - {match[0].strip()})
        if point and not fraction.strip("0"):
            yield whole


def plain_number(amount: str) -> str:
    """An amount without its currency and its commas."""
    return amount.translate(_NO_MARKS)


def _term(word: str) -> Term:
    if len(word) > 4 and word.isalpha() and word.endswith("s") and not word.endswith("ss"):
        return Term(word[:-1], is_plural=True)
    return Term(word)


def normalized(name: str) -> str:
    """A column's name as it is compared: case, blanks, `_`, `-` and `[0]` do not matter."""
    return re.sub(r"[\s_-]+|\[0\]", "", name.casefold())
