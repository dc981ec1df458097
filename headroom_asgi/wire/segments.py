"""The texts in a request that can be decided about, and how a reader counts the tool results that they are in."""

from collections.abc import Iterable, Mapping
from typing import Final

from headroom_asgi._crush import Document
from headroom_asgi.types import RETRIEVE_NAME
from headroom_asgi.wire.written import written

SOME_TOOL: Final = "?"  # what stands for the name of a tool that may be any


def one_of(names: Iterable[str]) -> str:
    """What stands for the name of a tool of which only these are possible: a line each."""
    return "\n".join(dict.fromkeys(filter(None, names))) or SOME_TOOL


class Results:
    """The tool results of a conversation, counted from 1, as far as a dialect has come.

    Results of the retrieve tool, whoever serves it, do not count: the client may not have them.
    """

    def __init__(self) -> None:
        self.tools = ""  # what those may be of whose calls are not in the request, once there is one
        self._count = 0
        self._texts = 0
        self._counts = False
        self._told: set[int] = set()
        self._open: list[tuple[int, int]] = []

    def add(self, tool: str, arguments: int) -> None:
        """The next result: the tool's name and the node of the call's arguments, -1 if unknown."""
        self._counts = not tool.endswith(RETRIEVE_NAME)
        self._texts = 0
        self._count += self._counts
        if self._counts and arguments >= 0 and arguments not in self._told:
            self._told.add(arguments)
            self._open.append((self._count, arguments))

    def take(self) -> tuple[tuple[int, int], tuple[tuple[int, int], ...]]:
        """The place of the next text in that result, and what calls there were up to it and not yet taken, by their results."""
        if not self._counts:
            return (0, 0), ()
        self._texts += 1
        calls, self._open = tuple(self._open), []
        return (self._count, self._texts), calls


class Segment:
    """One addressable piece of text in a payload, and what is known about it. Text is decoded when it is asked for.

    Attributes:
        node: the STRING node in the payload's document.
        role: the role of its message, as the dialect spells it.
        tool_name: the tool whose result this is, "" if unknown.
        tools: that name; where the call is not in the request, as the provider holds it, what stands for those that it may be.
        call: the id of such a call, "" of all others.
        is_error: the result is marked as an error.
        frozen: never to be touched (signed, cited, not a tool result ...; what a retrieve tool gave, whoever serves it, under
            whatever prefix: originals); such segments serve as context only.
        question: the nodes of the nearest user text before it, in order.
        place: the numbers of its tool result and, in that, of its text, from 1; (0, 0) in none, or in one of the retrieve tool.
    """

    __slots__ = (
        "_arguments",
        "_calls",
        "_document",
        "_text",
        "_utf8",
        "call",
        "frozen",
        "is_error",
        "node",
        "place",
        "question",
        "role",
        "tool_name",
        "tools",
    )

    def __init__(
        self,
        document: Document,
        node: int,
        *,
        role: str,
        tool_name: str = "",
        tools: str = "",
        call: str = "",
        arguments: int = -1,
        question: tuple[int, ...] = (),
        is_error: bool = False,
        frozen: bool = False,
        results: Results | None = None,
    ) -> None:
        self._document = document
        self._text: str | None = None
        self._utf8: bytes | None = None
        self._arguments = arguments
        self.question = question
        self.node = node
        self.role = role
        self.tool_name = tool_name
        self.tools = tool_name or tools
        self.call = call if tools and not tool_name else ""
        self.is_error = is_error
        self.frozen = frozen or _gives_originals(self.tools)
        self.place, self._calls = results.take() if results is not None else ((0, 0), ())

    def named(self, calls: Mapping[str, str]) -> None:
        """Take over the tool's name, if these calls (names by ids) are known by now."""
        if self.call in calls:
            self.tool_name = self.tools = calls[self.call]
            self.frozen = self.frozen or _gives_originals(self.tool_name)

    @property
    def facts(self) -> tuple[object, ...]:
        """All that is known about it but for the question, which many share: of bodies that begin with the same bytes, equal ones
        have the same text and call if they stand in those bytes and look back.
        """
        return (self.node, self.role, self.tools, self.is_error, self.frozen, self.place, self._arguments, self._calls)

    @property
    def looks_back(self) -> bool:
        """Whatever belongs to it stands before it."""
        others = (self._arguments, *self.question[-1:], *(node for _, node in self._calls))
        return all(node < self.node for node in others)

    @property
    def text(self) -> str:
        """The decoded text; unpaired surrogates stay surrogates."""
        if self._text is None:
            self._text = self._document.text(self.node)
        return self._text

    @property
    def utf8(self) -> bytes:
        """The text in UTF-8; unpaired surrogates as `surrogatepass` writes them."""
        if self._utf8 is None:
            self._utf8 = self._document.utf8(self.node)
        return self._utf8

    @property
    def span(self) -> tuple[int, int]:
        """Byte span of the string literal, quotes included."""
        return self._document.span(self.node)

    @property
    def raw(self) -> bytes:
        """The string literal as it is spelled."""
        return self._document.raw(self.node)

    @property
    def raw_arguments(self) -> bytes:
        """The arguments of the call that produced this text as they are spelled, b"" if unknown."""
        return self._document.raw(self._arguments) if self._arguments >= 0 else b""

    @property
    def tool_arguments(self) -> str:
        """JSON text of the arguments of the call that produced this text, "" if unknown."""
        if self._arguments < 0:
            return ""
        kind_is_text = self._document.raw(self._arguments)[:1] == b'"'
        return self._document.text(self._arguments) if kind_is_text else self._document.raw(self._arguments).decode("utf-8")

    def written(self) -> list[tuple[int, str, bytes]]:
        """Texts of several lines that the model wrote in calls up to that of this result, and that no earlier segment told of.

        Each behind the number of the call's result, and its name in the arguments.
        """
        return [(number, *said) for number, node in self._calls for said in written(self._document, node)]

    @property
    def preceding_user_text(self) -> str:
        """Text of the nearest user message before this one, "" if there is none."""
        return "\n".join(self._document.text(node) for node in self.question)


def _gives_originals(tools: str) -> bool:
    return RETRIEVE_NAME in tools and any(one.endswith(RETRIEVE_NAME) for one in tools.split("\n"))
