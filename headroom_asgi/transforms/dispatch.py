"""The dispatch table: which kind of text goes to whom, and what comes of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from headroom_asgi._crush import Document
from headroom_asgi.compressors import (
    COMPRESSORS,
    EVERYWHERE,
    EXACT_COMPRESSORS,
    MISSING,
    OMITTERS,
    PROSE,
    Compressed,
    ContentKind,
    CutDocument,
    Kompress,
    Markers,
    OpenString,
    Request,
    Section,
    Span,
    cut_document,
    detect,
    open_string,
    prove,
    sections,
    split_markers,
)
from headroom_asgi.config import CompressorRule
from headroom_asgi.errors import ConfigError, ScanError
from headroom_asgi.transforms.interceptors import TERMINAL, Intercepted, intercepted
from headroom_asgi.transforms.tools import EVERY_TOOL, is_named
from headroom_asgi.types import Edit, Interceptor
from headroom_asgi.wire import literal, splice

_LONG_LITERAL = 512  # bytes of a string in JSON from which on it is looked into
_MAX_DEPTH = 4  # of JSON in strings of JSON
# The first line of a text that was shortened before: by another of us on the way, or in a transcript that is played again.
_SHORT = re.compile(r"\[(?:json|text)[a-z0-9]*(?:;| in | cut in |\]\n)")


class DispatchTable:
    """The compressors and omitters of one route, by kind.

    Args:
        rules: those that are switched on.
        interceptors: the user's own functions that come first.

    Raises:
        ConfigError: one that was asked for needs a package that is not installed.
    """

    def __init__(self, rules: Sequence[CompressorRule], interceptors: Sequence[Interceptor] = ()) -> None:
        on = {rule.name: rule.except_tools for rule in rules}
        for rule in rules:
            if rule.required and rule.name in MISSING:
                raise ConfigError(f"{rule.name}.enabled: {MISSING[rule.name]}")
        self._compressors = {kind: (c, on[c.section]) for kind, c in COMPRESSORS.items() if c.section in on}
        self._exact = {kind: (c, on[c.section]) for kind, c in EXACT_COMPRESSORS.items() if c.section in on}
        self._omitters = {
            kind: [
                (o, on[o.section]) for o in (OMITTERS.get(kind), *EVERYWHERE.get(kind, ())) if o is not None and o.section in on
            ]
            for kind in ContentKind
        }
        self._prose = [(omitter, on[omitter.section]) for omitter in PROSE if omitter.section in on]
        if len(self._prose) > 1:
            raise ConfigError("kompress.enabled: extract is on as well; prose is made shorter by one of them")
        self._rules = " ".join(f"{rule.name}{sorted(rule.except_tools)}" for rule in rules)
        self._rules += "".join(f" {one.name}{id(one.function)}" for one in interceptors)  # alive as long as we are
        self._tool_counts = bool(interceptors) or any(rule.except_tools for rule in rules)
        self._interceptors = tuple(interceptors)
        self._terminal = on.get(TERMINAL)

    def prove(self) -> None:
        """Show that everything that is on does something; once in a process. ConfigError if something does not."""
        for compressor, _ in (*self._compressors.values(), *self._exact.values()):
            prove(compressor)
        for omitter, _ in chain.from_iterable(self._omitters.values()):
            prove(omitter)
        for prose, _ in self._prose:
            prove(prose)

    def handles(self, kind: ContentKind, tool: str, *, exact: bool, redeemable: bool) -> bool:
        """Something can be done about texts of that kind from that tool, whose output may have to keep its bytes."""
        if redeemable and any(EVERY_TOOL in one.tools or is_named(tool, one.tools) for one in self._interceptors):
            return True
        excepted = [except_tools for _, except_tools in self._omitters[kind]] if redeemable and not exact else []
        compressor = (self._exact if exact else self._compressors).get(kind)
        excepted += [compressor[1]] if compressor is not None else []
        excepted += [except_tools for _, except_tools in self._prose] if redeemable and not exact else []
        return not all(is_named(tool, except_tools) for except_tools in excepted)

    @property
    def has_prose(self) -> bool:
        """Something is done about prose."""
        return bool(self._prose)

    def reads_words(self, tool: str) -> bool:
        """Something is done about a tool's texts that has to know which words stay."""
        return any(omitter.section == Kompress.section and not is_named(tool, excepted) for omitter, excepted in self._prose)

    def ask(self, text: str, tool: str, request: Request) -> None:
        """Ask the request's masks for every piece of a text that needs one."""
        run = _Run(tool, request, Markers(request.ref))
        self._left(self._intercepted(text, run, []), run)

    def said(self, tool: str, *, exact: bool) -> str:
        """What decides about a tool's texts, for the memo."""
        return f"{exact} {self._rules} {tool if self._tool_counts else ''}"

    def shorten(
        self, text: str, kind: ContentKind, tool: str, request: Request, *, exact: bool, failures: list[str]
    ) -> Compressed | None:
        """The shorter form: pieces left out first, where the reader can ask for them, then what is left re-laid losslessly.

        Args:
            text: a tool's output.
            kind: its kind.
            tool: the tool's name.
            request: what a compressor may know besides.
            exact: the model quotes the output byte for byte.
            failures: gets the names of interceptors that failed.

        Raises:
            CompressError: a lossless form does not read back.
        """
        if _SHORT.match(split_markers(text)[1]):
            return None
        run = _Run(tool, request, Markers(request.ref))
        rest = text
        if request.ref:
            rest = self._intercepted(text, run, failures)
            kind = kind if rest is text else detect(rest)
            rest = self._left(rest, run)
        compressor = (self._exact if exact else self._compressors).get(kind)
        compressed = None
        if compressor is not None and not is_named(tool, compressor[1]):
            compressed = compressor[0].compress(rest, request)
        if not run.markers.omissions:
            return compressed
        if compressed is None:
            compressed = Compressed(rest, "")
        text = "\n".join([*run.heads, compressed.text])
        label = "+".join(filter(None, [*run.labels, compressed.label]))
        return Compressed(text, label, (*run.markers.omissions, *compressed.omissions))

    def _intercepted(self, text: str, run: "_Run", failures: list[str]) -> str:
        """What the interceptors leave of a tool's whole output; the marker goes to its head."""
        done = intercepted(text, run.tool, run.request, self._interceptors)
        failures += done.failures
        if self._draws(run.tool):
            done.draw()
        if not done.names:
            return text
        run.labels |= {f"interceptor:{name}": None for name in done.names}
        run.heads.append(done.marker(text, run.markers))
        return done.text

    def _drawn(self, text: str, run: "_Run") -> str:
        """A string in JSON, as it was seen if it is terminal output; behind its marker."""
        done = Intercepted(text)
        if self._draws(run.tool):
            done.draw()
        if not done.names:
            return text
        run.labels[f"interceptor:{TERMINAL}"] = None
        return f"{done.marker(text, run.markers)}\n{done.text}"

    def _draws(self, tool: str) -> bool:
        return self._terminal is not None and not is_named(tool, self._terminal)

    def _left(self, text: str, run: "_Run", depth: int = 0) -> str:
        """The text without what its sections' omitters leave out; of JSON, the texts in its strings first.

        Markers that stand before JSON go to the head of the whole text where the JSON is all of it, or all of a string in it, so
        that it still is JSON.
        """
        found_sections = sections(text)
        if len(found_sections) > 1 or found_sections[0].kind is not ContentKind.JSON:
            cut = cut_document(text)
            if cut is not None and len(cut.whole) >= _LONG_LITERAL:
                return self._left_of_cut(cut, run, depth)
        pieces: list[str] = []
        prose: list[Span] = []
        at = 0
        for section in found_sections:
            piece = self._left_of(section, run, depth)
            if section.kind is ContentKind.JSON and len(found_sections) == 1:
                heads, piece = split_markers(piece)
                run.heads += heads
            if section.kind is ContentKind.TEXT:
                prose.append((at, at + len(piece)))
            elif section.kind is ContentKind.HTML and piece is not section.text:  # a page's text behind its marker
                prose.append((at + len(piece) - len(split_markers(piece)[1]), at + len(piece)))
            pieces.append(piece)
            at += len(piece)
        return self._less_prose("".join(pieces), prose, run)

    def _left_of(self, section: Section, run: "_Run", depth: int) -> str:
        """A section without what its omitters leave out."""
        piece = section.text
        cut = cut_document(piece) if section.kind is ContentKind.TEXT and depth < _MAX_DEPTH else None
        if cut is not None and len(cut.whole) >= _LONG_LITERAL:
            return self._left_of_cut(cut, run, depth)
        opened = open_string(piece) if section.kind is not ContentKind.JSON else None
        if opened is not None and opened.end - opened.start >= _LONG_LITERAL:
            return self._in_cut(piece, opened, run, depth) if depth < _MAX_DEPTH else piece
        if section.kind is ContentKind.JSON and depth < _MAX_DEPTH:
            piece = self._inside(piece, run, depth)
        for omitter, except_tools in self._omitters[section.kind]:
            left = None if is_named(run.tool, except_tools) else omitter.omit(piece, run.request, run.markers)
            if left is not None:
                run.labels[omitter.label] = None
                piece = left
        return piece

    def _left_of_cut(self, cut: CutDocument, run: "_Run", depth: int) -> str:
        """JSON that was cut off, without what is left out of the part of it that is whole."""
        known, labels = len(run.markers.omissions), dict(run.labels)
        heads, piece = split_markers(self._left_of(Section(ContentKind.JSON, cut.whole), run, depth))
        if not cut.goes_on_in(piece):  # the container in which it was cut is left out itself
            del run.markers.omissions[known:]
            run.labels, heads, piece = labels, [], cut.whole
        run.heads += heads
        return piece.removesuffix(cut.closers) + cut.rest

    def _less_prose(self, text: str, spans: Sequence[Span], run: "_Run") -> str:
        """The text with less prose in these spans of it."""
        for omitter, except_tools in self._prose:
            left = None if not spans or is_named(run.tool, except_tools) else omitter.omit(text, spans, run.request, run.markers)
            if left is not None:
                run.labels[omitter.label] = None
                text = left
        return text

    def _inside(self, text: str, run: "_Run", depth: int) -> str:
        """JSON with pieces left out of the long texts in its strings."""
        try:
            document = Document(text.encode("utf-8"))
        except (ScanError, UnicodeEncodeError):
            return text
        edits = []
        for node in document.long_strings(_LONG_LITERAL):
            inside = document.text(node)
            left = self._left(self._drawn(inside, run), run, depth + 1)
            if left != inside:
                edits.append(Edit(*document.span(node), literal(left)))
        return splice(document.data, edits).decode("utf-8") if edits else text

    def _in_cut(self, text: str, opened: OpenString, run: "_Run", depth: int) -> str:
        """JSON that was cut off inside a string, with pieces left out of the text in it."""
        left = self._left(self._drawn(opened.text, run), run, depth + 1)
        if left == opened.text:
            return text
        escaped = literal(left)[1:-1].decode("ascii")
        return f"{text[: opened.start]}{escaped}{text[opened.end :]}"


@dataclass(slots=True, repr=False)
class _Run:
    """What one text is asked with, and what was left out of it so far."""

    tool: str
    request: Request
    markers: Markers
    labels: dict[str, None] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)  # markers that stand before the whole text
