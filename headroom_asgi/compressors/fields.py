"""Members of JSON records that machines need and readers don't: links into an API, opaque ids, flags, what is empty throughout.

Decided by column: the members under one key in all records of a list. A column goes whole or stays whole, so what a reader
sees of one record is what is seen of all, and a name that is left out stands nowhere.
"""

import re
from functools import lru_cache
from typing import Final

from headroom_asgi._crush import Document, estimate
from headroom_asgi.compressors.base import Request
from headroom_asgi.compressors.columns import IDS, Column, Group, Kind, grouped, groups, head_of, left_out, without, words_of
from headroom_asgi.compressors.omission import MIN_LEFT_OUT_TOKENS, Markers, quoted
from headroom_asgi.compressors.styling import ASKS_FOR_LOOKS, is_styling
from headroom_asgi.compressors.twins import pair
from headroom_asgi.errors import ScanError

_MIN_BYTES: Final = 512  # a shorter text holds no records worth a marker
_MAX_NODES: Final = 600_000  # keys and values of a document that is looked at: some 0.8 s
_MAX_TEXT: Final = 20_000  # characters of the question, and of the arguments
_MIN_WORD: Final = 3  # letters of a word that a question names something by
_KEPT_TEXTS: Final = 64  # whose words are remembered: many outputs follow one question, which may be long
_MARKER_TOKENS: Final = 48  # of a marker that names some columns
_MAX_NAMES: Final = 3  # columns that a marker names, beside those that say what others say
_MIN_FLAGS: Final = 3  # members of a map of flags
_LONG_OPAQUE: Final = 100  # characters of an opaque string that nobody could use as a name

_TEMPLATE: Final = re.compile(rb"\{[^{}]*\}|%7B", re.IGNORECASE)
_API: Final = re.compile(rb'"(?:https?:)?(?:\\?/){2}(?:api\.|[^"]*?\\?/(?:api|_api|apis|rest)(?:\\?/|"|\?))')


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# How a record's own page is called, best first; an address of that name is never left out where it is the only one.
_PAGES: Final = ("html_url", "web_url", "permalink_url", "permalink", "url", "link", "href", "uri", "self")
# Links to pictures and feeds that decorate a record, and to smaller forms of what its page shows.
_DECORATION: Final = _words("avatar avatars gravatar icon icons favicon badge feed feeds rss atom ics ical hook hooks webhook")
_PREVIEWS: Final = _words("thumbnail thumbnails thumb logo preview image")
# Maps of nothing but such links, by what they stand under.
_DECORATION_MAPS: Final = _words("avatar avatars gravatar icon icons favicon badge")
# Links and tokens that a later call may be made with.
_USED: Final = _words(
    """next prev previous first last more cursor continue continuation page download downloads upload file files attachment
    attachments raw content contents source clone ssh git meeting join invite invitation redirect callback pay payment checkout
    reset verify confirm stream video audio token secret password passwd key code session auth authorization signature nonce
    csrf sha commit rev revision oid blob version ref path"""
)
# Opaque values that identify what a plain id identifies already.
_TWIN_IDS: Final = _words("uuid guid gid node etag checksum digest md5 integrity fingerprint lti blurhash")
# A picture of a person, in two words.
_PICTURES: Final = _words("photo image picture pic")
# What a cluster notes about a record besides the record: who wrote which member, and the text that it was once written as; and
# words that ask for it.
_BOOKKEEPING: Final = {
    "managedFields": _words("managed manager"),
    "kubectl.kubernetes.io/last-applied-configuration": _words("applied"),
}
# The global ids that GraphQL packs: opaque, although they may be short. Base64 of a small list of numbers, or of `04:User1`.
_NODE_ID: Final = re.compile(
    rb'"(?:[A-Z]{1,5}_(?:kg|kw|lA|lQ)[DH][M-P][A-Za-z0-9_-]{2,100}'
    rb'|MD(?:[A-Za-z]6|[A-Z][a-z0-9]Ol)[A-Za-z0-9+/]{4,100}={0,2})"'
)
_NODE_ID_KEY: Final = _words("node id")
_LINK_MAPS: Final = frozenset(["_links", "links"])
_FLAG_MAPS: Final = _words("permission permissions capability capabilities feature features flag flags ability abilities rights")
# An answer that something is not the case: wanted as such.
_TOLD: Final = _words(  # by its first or last word
    """error errors fail failed failure failures warning warnings exception exceptions success successful ok valid invalid status
    state result results missing score grade due deadline conflict conflicts stderr stdout exit"""
)
_TAKES_IDS: Final = re.compile(r"\bids?\b|graphql|mutat", re.IGNORECASE)
_ASKS_FOR_LINKS: Final = _words("url urls link links href address addresses")


class FieldOmitter:
    """The omitter for JSON."""

    section = "fields"
    label = "fields:members"

    def omit(self, text: str, request: Request, markers: Markers) -> str | None:
        """The JSON behind a line with the marker, without the columns that are left out; None if that does not pay."""
        if len(text) < _MIN_BYTES:
            return None
        try:
            document = Document(text.encode("utf-8"))
        except (ScanError, UnicodeEncodeError):
            return None
        root = grouped(document) if len(document) <= _MAX_NODES else None
        if root is None:
            return None
        pair(document, root)
        judge = _Judge(document, request)
        columns = [column for group in groups(root) for column in judge.choose(group)]
        if sum(_tokens(document, column) for column in columns) < MIN_LEFT_OUT_TOKENS + _MARKER_TOKENS:
            return None
        units = sum(len(column.values) for column in columns)
        marker = markers.leave_out(left_out(document, root), units, "members", _summary(columns))
        return f"{marker}\n{without(document, root)}"


def _asked(request: Request) -> frozenset[str]:
    """The words of the question and of the call's arguments, plural or not."""
    return _named(request.question[-_MAX_TEXT:]) | _named(request.arguments[:_MAX_TEXT])


def _asks_for_ids(request: Request) -> bool:
    """The call asked for ids by their name, or the question speaks of what takes them."""
    return any(_TAKES_IDS.search(text) for text in (request.question[-_MAX_TEXT:], request.arguments[:_MAX_TEXT]))


def forget_words() -> None:
    """Drop what is remembered of questions and calls."""
    _named.cache_clear()


@lru_cache(maxsize=_KEPT_TEXTS)
def _named(text: str) -> frozenset[str]:
    words = {word for word in words_of(text) if len(word) >= _MIN_WORD}
    return frozenset(words | {word.removesuffix("s") for word in words} | {f"{word}s" for word in words})


class _Judge:
    """Decides which columns of a document are left out.

    Args:
        document: the document.
        request: whose question and arguments name what stays.
    """

    def __init__(self, document: Document, request: Request) -> None:
        self._document = document
        asked = _asked(request)
        self._request = request
        self._asked = asked
        self._links = asked.isdisjoint(_ASKS_FOR_LINKS)  # may go
        self._looks = asked.isdisjoint(ASKS_FOR_LOOKS)

    def choose(self, group: Group) -> list[Column]:
        """Mark the columns of a group that are left out. Never all of them, and none that the question names."""
        chosen = [column for column in group.columns.values() if self._goes(group, column)]
        if len(chosen) == len(group.columns):
            return []
        for column in chosen:
            column.left = True
        return chosen

    def _goes(self, group: Group, column: Column) -> bool:
        """A column is left out, as far as its group has others that stay."""
        if column.goes is None:
            column.goes = False  # until it is known: what stands in it may ask
            named = self._is_named(column)
            used = not column.words.isdisjoint(_USED) and not self._is_own_template(group, column)
            goes = not named and (column.key in _BOOKKEEPING or (not used and self._is_noise(group, column)))
            goes = goes or (not named and column.twin is not None and self._stays(*column.twin))
            # In which format something is to be written is asked for often, how it looks seldom.
            goes = goes or (self._looks and not column.words <= self._asked and is_styling(column, group))
            column.goes = goes
        return column.goes

    def _is_named(self, column: Column) -> bool:
        """The question has the word that says what a key is about, or all of its words, or asks for what a cluster notes."""
        words = frozenset(word for word in column.words if len(word) >= _MIN_WORD)
        asks = _BOOKKEEPING.get(column.key, frozenset())
        return head_of(column.key) in self._asked or (bool(words) and words <= self._asked) or not asks.isdisjoint(self._asked)

    def _stays(self, group: Group, column: Column) -> bool:
        """Neither a column is left out nor one that it stands in."""
        if self._goes(group, column):
            return False
        while group.above is not None:
            outer = group.above.columns.get(group.key)
            if outer is not None and self._goes(group.above, outer):
                return False
            group = group.above
        return True

    def _is_noise(self, group: Group, column: Column) -> bool:
        match column.kind:
            case Kind.EMPTY:
                return group.listed and not _tells(column.key) and not self._is_in_named(group)
            case Kind.LINK:
                return self._links and self._is_noise_link(group, column)
            case Kind.OPAQUE:
                known = _is_known(group) and self._is_noise_token(column)
                return known or self._is_global_id(group, column)
            case Kind.BLOB:
                return _is_known(group)
            case Kind.VECTOR:  # of a record among others; alone it is what was asked for
                return _is_in_listed(group) and _is_known(group, opaque=True)
            case Kind.MAP:
                return _is_known(group) and self._is_noise_map(column, group.groups[column.key])
            case Kind.OTHER:
                return self._is_global_id(group, column)

    def _is_in_named(self, group: Group) -> bool:
        """The question names something that the group is part of, so what is not the case there counts as well."""
        around: Group | None = group
        while around is not None:
            if head_of(around.key) in self._asked:
                return True
            around = around.above
        return False

    def _is_noise_map(self, column: Column, inner: Group) -> bool:
        """A map of flags or of links, or of noise only."""
        if not inner.records or "" in inner.groups:
            return False
        if not column.words.isdisjoint(_FLAG_MAPS) and not inner.groups and len(inner.columns) >= _MIN_FLAGS:
            return all(flag.flags for flag in inner.columns.values())
        if column.key in _LINK_MAPS and self._links and _are_links(inner):
            return True
        return all(self._goes(inner, each) for each in inner.columns.values())

    def _is_noise_link(self, group: Group, column: Column) -> bool:
        """A link for a program: a picture or feed beside a name, a template, or one that the record's own address begins."""
        page = _page(group)
        if _is_map_of(group, _DECORATION_MAPS):
            return _is_known(group, opaque=True)
        if self._is_address_of_part(group, column):
            return True
        if column is page:
            return False
        if not column.words.isdisjoint(_DECORATION) or ("profile" in column.words and not column.words.isdisjoint(_PICTURES)):
            return _is_known(group, opaque=True)
        if page is None:
            return False
        if not column.words.isdisjoint(_PREVIEWS):
            return True
        values = [self._document.raw(value) for value in column.values]
        if any(_TEMPLATE.search(value) for value in values):
            return True
        starts = [self._document.raw(each.values[0])[:-1] for each in (page, *_own(group))]
        if any(values[0].startswith((start + b"/", start + b"?", start + b"#", start + b"\\/")) for start in starts):
            return True
        return bool(_API.match(values[0])) and not _API.match(starts[0])

    def _is_address_of_part(self, group: Group, column: Column) -> bool:
        """The address in an API of what a record names by its id as well: a user, a status, a project."""
        if column.key != "self" or not group.key or group.above is None or not _is_in_listed(group.above):
            return False
        raw = self._document.raw
        if not _API.match(raw(column.values[0])):
            return False
        for other in group.columns.values():
            if other is not column and len(other.values) == len(column.values) and head_of(other.key) in ("id", "key", "name"):
                pairs = zip(column.values, other.values, strict=True)
                if all(
                    raw(link)[:-1].endswith((b"/" + raw(name).strip(b'"'), b"=" + raw(name).strip(b'"'))) for link, name in pairs
                ):
                    return True
        return False

    def _is_global_id(self, group: Group, column: Column) -> bool:
        """GraphQL's own id of records that have a plain one as well; or an address, if nobody asked for ids."""
        if column.words >= _NODE_ID_KEY:
            known = _is_known(group)
        else:
            known = column.key == "id" and _has_page(group, column) and not _asks_for_ids(self._request)
        return known and all(map(_NODE_ID.fullmatch, map(self._document.raw, column.values)))

    def _is_own_template(self, group: Group, column: Column) -> bool:
        """Addresses with places to fill in, below those of the records: a caller who fills them in knows how they go on."""
        own = [each for each in _own(group) if len(each.values) == len(column.values)]
        if column.kind is not Kind.LINK or not own:
            return False
        raw = self._document.raw
        return all(
            _TEMPLATE.search(raw(value)) and raw(value).startswith(raw(address)[:-1] + b"/")
            for value, address in zip(column.values, own[0].values, strict=True)
        )

    def _is_noise_token(self, column: Column) -> bool:
        """An opaque string that says the same as a plain id beside it, or is too long for anybody to use it."""
        values = (self._document.raw(value) for value in column.values)
        first = next(value for value in values if value.startswith(b'"') and len(value) > len(b'""'))
        if not column.words.isdisjoint(_TWIN_IDS):
            return self._document.data.count(first) == 1  # nothing refers to it
        return column.key not in IDS and len(first) > _LONG_OPAQUE


def _tells(key: str) -> bool:
    """A name promises an answer, which may be that something is not the case."""
    words = words_of(key)
    return not _TOLD.isdisjoint((*words[:1], *words[-1:]))


def _own(group: Group) -> list[Column]:
    """The addresses of the records themselves, for programs."""
    columns = (group.columns.get(key) for key in ("url", "self"))
    return [column for column in columns if column is not None and column.kind is Kind.LINK]


def _page(group: Group) -> Column | None:
    """The address that a record is known by: its own, or that of the record that it is part of."""
    around: Group | None = group
    while around is not None:
        for key in _PAGES:
            column = around.columns.get(key)
            if column is not None and column.kind is Kind.LINK:
                return column
        around = around.above
    return None


def _is_known(group: Group, *, opaque: bool = False) -> bool:
    """A record can be told from others by a plain id or name (`opaque`: any), of its own or of the record that it is part of."""
    kinds = (Kind.OTHER, Kind.OPAQUE) if opaque else (Kind.OTHER,)
    around: Group | None = group
    while around is not None:
        if any(key in around.columns and around.columns[key].kind in kinds for key in IDS):
            return True
        around = around.above
    return False


def _has_page(group: Group, column: Column) -> bool:
    """The records that have this column have addresses of their own as well; the last one may be cut off."""
    pages = (group.columns.get(key) for key in _PAGES)
    least = max(len(column.values) - 1, 1)
    return any(page is not None and page.kind is Kind.LINK and len(page.values) >= least for page in pages)


def _is_map_of(group: Group, names: frozenset[str]) -> bool:
    """A group is a map under such a name, and its members are no records, which have ids or names."""
    return not names.isdisjoint(words_of(group.key)) and not any(key in group.columns for key in IDS)


def _is_in_listed(group: Group) -> bool:
    """A group is the records of a list, or part of them."""
    around: Group | None = group
    while around is not None:
        if around.listed and around.records:
            return True
        around = around.above
    return False


def _are_links(group: Group) -> bool:
    """A map of links, none of them one that is followed: further pages, downloads."""
    if not group.records or not all(column.words.isdisjoint(_USED) for column in group.columns.values()):
        return False
    for column in group.columns.values():
        if column.kind is Kind.MAP:
            inner = group.groups[column.key]
            if inner.groups or "href" not in inner.columns or inner.columns["href"].kind is not Kind.LINK:
                return False
        elif column.kind not in (Kind.LINK, Kind.EMPTY):
            return False
    return True


def _tokens(document: Document, column: Column) -> int:
    """Tokens that a column takes in a table: its name, and its values, once where they are the same."""
    name = estimate(column.key.encode("utf-8", "surrogatepass")) + 1
    if column.kind is Kind.EMPTY:
        return name
    values = [document.raw(value) for value in column.values]
    if column.kind is Kind.MAP:
        values = list(dict.fromkeys(values))
    elif values.count(values[0]) == len(values):
        values = values[:1]
    return name + estimate(b"\t".join(values))


def _summary(columns: list[Column]) -> str:
    """Names of columns that said something, and how many did not."""
    columns = sorted(columns, key=lambda column: not column.said)  # a reader has to know of all twins
    names = list(dict.fromkeys(column.said or quoted(column.key) for column in columns if column.kind is not Kind.EMPTY))
    most = sum(bool(column.said) for column in columns) + _MAX_NAMES
    empty = len({column.key for column in columns if column.kind is Kind.EMPTY})
    more = len(names) - most
    if more > 1:
        names[most:] = [f"{more} more"]
    said = [", ".join(names)] if names else []
    if empty:
        said.append(f"{empty} false, null or empty in all")
    return "; ".join(said)
