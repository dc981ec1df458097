"""Web pages: the text that a reader sees, with headings, lists, tables, forms and links; the page itself can be asked for.

The tree is made and read by the HTML library. What its text would lose or run together (numbers of lists, raised digits, spans of
table cells, choices, dates of machines) is first written into the page as text, tag by tag.
"""

import re
from html import unescape
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl

from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.omission import Markers, pays

try:
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree
except ImportError:  # the extra [html]
    MISSING = "resiliparse is not installed: pip install 'headroom-asgi[html]'"
else:
    MISSING = ""  # why pages stay as they are

_PAGE: Final = re.compile(
    r"\s*+(?:<\?xml[^>]*+>\s*+)?(?:<!--.{0,2000}?-->\s*+)?<(?:!doctype\s++html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_HEAD: Final = 4000  # characters that tell a page
_TAG: Final = re.compile(r"</?+([a-zA-Z][a-zA-Z0-9]*+)\b[^<>]*+>")
_MIN_TAGS: Final = 16  # of a piece of a page, in its head; prose with some tags is read as it is
_PAGE_TAGS: Final = """
    a abbr article aside b blockquote br button caption code dd div dl dt em figcaption figure footer form h1 h2 h3 h4 h5 h6
    header hr i iframe img input label li link main meta nav ol option p picture pre script section select small source span
    strong style sub sup svg path table tbody td tfoot th thead time title tr u ul video
"""
_KNOWN_TAGS: Final = frozenset(_PAGE_TAGS.split())
# A file that the model works on: there the tags are the text.
_SOURCE: Final = re.compile(r"\.(?:[sx]?html?|jinja2?|j2|hbs|ejs|erb|vue|svelte|php|twig|liquid|njk|mustache)\b", re.IGNORECASE)
_MAX_TAGS: Final = 200_000  # of a page that is read: some 0.3 s
_MAX_SPAN: Final = 100  # columns or rows of one cell
_MAX_CARRIED: Final = 64  # cells that reach down into the same row
_MAX_COVERED: Final = 20_000  # places of a page that cells reach down into
_MAX_METAS: Final = 500  # tags of a head that are looked at
# Hardly any text beside large scripts: what the page shows stands in them.
_FEW: Final = 4000  # characters of text
_MUCH: Final = 8192  # characters of scripts
_SCRIPT_SHARE: Final = 25  # characters of scripts for one of text
_MAX_FACTS: Final = 12  # of a page's head
_MAX_FACT: Final = 500  # characters of one


def is_page(text: str) -> bool:
    """A text is a web page or a piece of one: by its first tag, or because a third of it is tags."""
    head = text[:_HEAD]
    if _PAGE.match(head) is not None:
        return True
    if not head.lstrip().startswith("<"):
        return False
    tags = [match for match in _TAG.finditer(head) if match[1].lower() in _KNOWN_TAGS]
    return len(tags) >= _MIN_TAGS and 3 * sum(match.end() - match.start() for match in tags) >= len(head)


class HTMLExtractor:
    """The omitter for web pages."""

    section = "html"
    label = "html:page"
    missing = MISSING

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The page's text behind a marker that says what it was.

        None if the text is hardly shorter, if it stands in the page's scripts, or if the page is a file that is worked on.
        """
        if self.missing or text.count("<") > _MAX_TAGS or _is_source(request.arguments):
            return None
        try:
            seen = _read(text)
        except UnicodeEncodeError:  # an unpaired surrogate
            return None
        if len(seen) < _FEW and _in_scripts(text) > max(_MUCH, len(seen) * _SCRIPT_SHARE):
            return None
        if len(seen) * 3 > len(text) * 2 or not pays(text[len(seen) :]):
            return None
        marker = markers.leave_out(text, len(text), "characters of HTML", "their text and links follow")
        return f"{marker}\n{seen}\n"


def _is_source(arguments: str) -> bool:
    return "://" not in arguments and _SOURCE.search(arguments) is not None


def _in_scripts(page: str) -> int:
    """Characters that stand in a page's scripts."""
    page = page.lower()
    found = 0
    start = page.find("<script")
    while start >= 0:
        end = page.find("</script", start)
        if end < 0:
            return found + len(page) - start
        found += end - start
        start = page.find("<script", end)
    return found


# Pieces of the page that stand in scripts of their own until the page shows them.
_TEMPLATE: Final = re.compile(
    r"""<script\b(?=[^<>]*?\btype\s*+=\s*+["']?text/(?:html|template|ng-template|x-template|x-handlebars(?:-template)?)\b)[^<>]*+>""",
    re.IGNORECASE,
)


def _shown(page: str) -> str:
    """A page with its templates as parts of it."""
    pieces: list[str] = []
    at = 0
    for match in _TEMPLATE.finditer(page):
        if match.start() < at:
            continue
        end = page.find("</script", match.end())
        if end < 0:
            break
        pieces += (page[at : match.start()], "<div>", page[match.end() : end], "</div")
        at = end + len("</script")
    return "".join([*pieces, page[at:]]) if pieces else page


# -- before: facts that stand in tags, written as text ----------------------------------------------------------------

_MARKED: Final = re.compile(
    r"<(/?+)(h[1-6]|su[bp]|del|s|strike|ol|li|option|br|t[dhr]|table|time|relative-time|abbr|input|meta|summary|label|button|iframe|"
    r"video|audio|progress|meter)\b([^<>]*+)>",
    re.IGNORECASE,
)
_ATTRIBUTE: Final = re.compile(r"""([a-zA-Z][\w:-]*+)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'>]++))?+""")
_OPENS: Final = {f"h{level}": "#" * level + " " for level in range(1, 7)} | {
    "sup": "^",
    "sub": "_",
    "del": "~~",
    "s": "~~",
    "strike": "~~",
}
_BEFORE: Final = frozenset(["ol", "iframe", "video", "audio"])  # what stands in them is no text, or one of their entries
_CLOSES: Final = {"del": "~~", "s": "~~", "strike": "~~", "summary": ": ", "label": " ", "button": " "}


class _Writer:
    """Writes what tags say behind them, as text. One for each page: it knows in which tables it is."""

    def __init__(self) -> None:
        self._tables: list[list[int]] = []  # of each open table, how many more rows each cell reaches down, by column
        self._column = 0
        self._in_cell = False
        self._room = _MAX_COVERED

    def __call__(self, match: re.Match[str]) -> str:
        """A tag, with what it says."""
        tag, name = match[0], match[2].lower()
        if name in ("td", "th", "tr", "table"):
            return self._cells(tag, name, match[1] == "/", match[3])
        if match[1]:
            return f"{tag}{_CLOSES[name]}" if name in _CLOSES else tag
        if name in _OPENS:
            return f"{tag}{_OPENS[name]}"
        if name == "br":
            return " / " if self._in_cell else tag
        if not match[3] and name != "option":
            return tag
        said = _said(name, _attributes(match[3]))
        return f"{said}{tag}" if name in _BEFORE else f"{tag}{said}"

    def _cells(self, tag: str, name: str, closes: bool, inside: str) -> str:  # noqa: FBT001
        """A tag of a table, with empty cells where one covers several, so that each value stands in its own column."""
        if name == "table":
            if closes and self._tables:
                self._tables.pop()
            elif not closes:
                self._tables.append([])
            self._in_cell = False
            return tag
        self._in_cell = name in ("td", "th") and not closes
        if closes or not self._tables:
            return tag
        if name == "tr":
            self._column = 0
            return tag
        return self._covered() + self._cell(tag, inside)

    def _covered(self) -> str:
        """The cells that reach into this place from above."""
        carried = self._tables[-1]
        covered = ""
        while self._column < len(carried) and carried[self._column] > 0 and self._room:
            self._room -= 1
            carried[self._column] -= 1
            self._column += 1
            covered += "<td>(as above)</td>"
        return covered

    def _cell(self, tag: str, inside: str) -> str:
        """A cell, behind it empty ones for the columns that it covers as well."""
        if "span" not in inside.lower():
            self._column += 1
            return tag
        said = _attributes(inside)
        across, down = _span(said.get("colspan")), _span(said.get("rowspan"))
        carried = self._tables[-1]
        if down > 1 and self._column + across <= _MAX_CARRIED:
            carried += [0] * (self._column + across - len(carried))
            carried[self._column : self._column + across] = [down - 1] * across
        self._column += across
        return tag if across == 1 else f"{tag}[{across} columns] "


def _span(value: str | None) -> int:
    return min(int(value), _MAX_SPAN) if value and value.isdecimal() and int(value) else 1


def _attributes(inside: str) -> dict[str, str]:
    """Attributes of a tag by their names in lower case; one without a value has its name."""
    return {match[1].lower(): unescape(match[2].strip("\"'")) if match[2] else match[1] for match in _ATTRIBUTE.finditer(inside)}


def _said(name: str, said: dict[str, str]) -> str:
    """What the attributes of an opening tag say to a reader."""
    fact = ""
    match name:
        case "time" | "relative-time":
            fact = f"[{said['datetime']}] " if "datetime" in said else ""
        case "abbr":
            fact = f"({said['title']}) " if "title" in said else ""
        case "ol":
            fact = f"(numbered from {said['start']}) " if "start" in said else ""
        case "li":
            fact = f"{said['value']}. " if "value" in said else ""
        case "option":
            fact = " | *" if "selected" in said else " | "
        case "input":
            kind = said.get("type", "").lower()
            if kind in ("checkbox", "radio"):
                fact = " [x] " if "checked" in said else " [ ] "
        case "meta":
            fact = f"{said['itemprop']}: {said['content']}" if "itemprop" in said and "content" in said else ""
        case "progress" | "meter":
            fact = f"[{said['value']}/{said.get('max', '1')}] " if "value" in said else ""
        case "iframe" | "video" | "audio":
            fact = f"[{name}: {said['src']}] " if "src" in said else ""
    return fact.replace("&", "&amp;").replace("<", "&lt;")


# -- what nobody sees ----------------------------------------------------------------------------------------------------

_TAGGED: Final = re.compile(r"<[a-zA-Z][^<>\s/]*+[\s/]([^<>]*+)>")  # with something behind its name
_MAY_HIDE: Final = re.compile(r"\bhidden\b|\bstyle\b", re.IGNORECASE)
_HIDES: Final = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|(?:font-size|opacity)\s*:\s*0(?![.0-9]*[1-9])"
    r"|(?:left|top|text-indent)\s*:\s*-\d{3}",
    re.IGNORECASE,
)
_HIDDEN: Final = "[hidden] "  # in front of text that the page does not show: it must not be read as if it did


def _marked_hidden(match: re.Match[str]) -> str:
    """A tag, behind which it says so if the page does not show what follows."""
    if _MAY_HIDE.search(match[1]) is None:
        return match[0]
    said = _attributes(match[1])
    return f"{match[0]}{_HIDDEN}" if "hidden" in said or _HIDES.search(said.get("style", "")) else match[0]


# -- addresses of links --------------------------------------------------------------------------------------------------

# A link, if nothing but words, marked up or not, and pictures stand in it. In the text its words and its address stand between
# marks, for which no page has a use.
_LINK: Final = re.compile(
    r"(<[aA]\s[^<>]*+>\s*+)((?:[^<>]++|</?+(?i:b|cite|code|em|i|img|span|strong|tt)\b[^<>]*+>)++)(</[aA]\s*+>)"
)
_BEGINS, _ENDS, _BEHIND = "\ufdd0", "\ufdd1", "\ufdd2"
_ADDRESSED: Final = re.compile(rf"{_BEGINS}([^{_BEGINS}-{_BEHIND}]*+){_ENDS}(\s*+\()([^{_BEGINS}-{_BEHIND}]*+)(?<=\)){_BEHIND}")
# It shows something: a word, or the text of a picture.
_SPEAKS: Final = re.compile(r"""(?:^|>)[^<>]*?[^<>\s]|<img\s[^<>]*?\balt\s*+=\s*+["']?+[^\s"'<>]""", re.IGNORECASE)


def _between_marks(match: re.Match[str]) -> str:
    words = match[2].rstrip()
    if _SPEAKS.search(words) is None:
        return match[0]
    return f"{match[1]}{_BEGINS}{words}{_ENDS}{match[2][len(words) :]}{match[3]}{_BEHIND}"


def _without_marks(text: str) -> str:
    return text.replace(_BEGINS, "").replace(_ENDS, "").replace(_BEHIND, "")


# What sites call the address that is shared there; who only leads back to it (`return_url`) does something else.
_MAX_QUERY: Final = 2000  # characters
_SHARED: Final = frozenset(["u", "url", "link", "text", "body", "media", "href", "status", "title"])


class _Addresses:
    """Leaves out addresses that a reader has already, or nobody follows: a link's own words, what the same words led to when they
    were a link last, and links that hand the page's own address to another site, where it is shared or remembered.

    Args:
        page: the page, whose head may say its address.
    """

    def __init__(self, page: str) -> None:
        self._own = _own_address(page)
        self._site = "/".join(self._own.split("/", 3)[:3])
        self._given: dict[str, str] = {}

    def __call__(self, match: re.Match[str]) -> str:
        words, opens, address = match[1], match[2], match[3][: -len(")")]
        if address in (words, f"mailto:{words}") or self._given.get(words) == address or self._shares(address):
            return words
        if "://" not in words:  # words that are an address themselves would be taken for it
            self._given[words] = address
        return f"{words}{opens}{address})"

    def _shares(self, address: str) -> bool:
        whom, _, query = address.partition("?")
        if (
            not self._own
            or not query
            or len(query) > _MAX_QUERY
            or not whom.startswith(("http:", "https:", "mailto:"))
            or whom.startswith(self._site)
        ):
            return False
        return any(name.lower() in _SHARED and self._own in value.split() for name, value in parse_qsl(query))


# -- the text ----------------------------------------------------------------------------------------------------------

_META: Final = re.compile(r"<(meta|link)\b([^<>]*+)>", re.IGNORECASE)
_FACT: Final = re.compile(
    r"(?:og:|article:)?(?:description|author|publisher|date|pubdate|published_time|modified_time)|(?:dc\.|citation_)(?:date|doi)",
    re.IGNORECASE,
)
# Links into the page itself, and what is an address of none at all: as text.
_NOWHERE: Final = re.compile(
    r"""<a(?=[\s>])(?:[^<>]*?\bhref\s*+=\s*+(?:"(?:#|javascript:)|'(?:#|javascript:))|(?![^<>]*\bhref\s*=))[^<>]*+>""",
    re.IGNORECASE,
)
# The site's own search for what the link's text says.
_SEARCH: Final = re.compile(r" \((?:https?://[^\s/()?]++)?/(?:[^\s/()?]++/)*?search(?:/[^\s/()?]++)*+/?+\?[^\s()]*+\)")
_WIDE: Final = re.compile(r"(?<=\S) {2,}(?=\()")
_TRAILING: Final = re.compile(r"[ \t]+(?=\n)")
_BLANK_LINES: Final = re.compile(r"\n{3,}")


def _read(page: str) -> str:
    """A page's text, with its title and what its head says of it first."""
    seen = _NOWHERE.sub("<span>", _TAGGED.sub(_marked_hidden, _shown(page)))
    seen = _MARKED.sub(_Writer(), seen)
    marks = not any(mark in page for mark in (_BEGINS, _ENDS, _BEHIND))
    tree = HTMLTree.parse(_LINK.sub(_between_marks, seen) if marks else seen)
    text = extract_plain_text(
        tree,
        preserve_formatting=True,
        main_content=False,
        list_bullets=True,
        alt_texts=True,
        links=True,
        form_fields=True,
        skip_elements=["nav", "footer", "[role=navigation]", "[role=contentinfo]"],
    )
    if marks:
        text = _without_marks(_ADDRESSED.sub(_Addresses(page), text))
    text = text.replace("\t\t", "\t").replace("•", "-")
    for pattern, instead in ((_SEARCH, ""), (_WIDE, " "), (_TRAILING, ""), (_BLANK_LINES, "\n\n")):
        text = pattern.sub(instead, text)
    text = text.strip("\n ")
    title = " ".join(_without_marks(tree.title or "").split())
    head = [title] if title and not text.startswith(title) else []
    return "\n".join([*head, *_facts(page, text), text])


def _own_address(page: str) -> str:
    """A page's address, as its head says it; "" if it does not."""
    for match in islice(_META.finditer(page), _MAX_METAS):
        said = _attributes(match[2])
        if said.get("rel", "").lower() == "canonical" or said.get("property", "").lower() == "og:url":
            address = said.get("href") or said.get("content") or ""
            return address if address.startswith(("http:", "https:")) else ""
    return ""


def _facts(page: str, text: str) -> list[str]:
    """What a page's head says of it and its text does not."""
    facts: dict[str, str] = {}
    for match in islice(_META.finditer(page), _MAX_METAS):
        said = _attributes(match[2])
        name = said.get("name") or said.get("property") or said.get("rel", "")
        value = " ".join((said.get("content") or said.get("href") or "").split())
        wanted = name.lower() == "canonical" if match[1].lower() == "link" else _FACT.fullmatch(name) is not None
        if wanted and value and len(value) <= _MAX_FACT and value not in text and value not in facts:
            facts[value] = name
        if len(facts) == _MAX_FACTS:
            break
    return [f"{name}: {value}" for value, name in facts.items()]
