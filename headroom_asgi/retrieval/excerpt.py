"""What is shown of a text that was searched: the entries that match, under the heads that say what their cells are."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from headroom_asgi.retrieval.outline import Kind, Role
from headroom_asgi.retrieval.search import Index, Ranking

_BLOCK: Final = 100  # entries that one answer shows at first: what a reader still takes in; each next block has twice as many
_CONTEXT: Final = 2  # lines shown around each line of a text that matches ...
_FEW: Final = 20  # ... where no more match
_MAX_SAID: Final = 12  # a longer said-once table is shown without the objects that no row shown names
_MAX_HEADS: Final = 20  # of tables, where nothing matches
_MAX_ABSENT: Final = 5  # words that are said to stand nowhere
_GAP: Final = "--"


class Excerpt(NamedTuple):
    """What matches, in the order that it is handed out.

    Attributes:
        text: a first line that says what this is, then blocks of entries; those of a block in the order of the original.
        ends: where in it each entry shown ends.
        stops: where in it each block ends, its line feed included.
        noun: what the entries are: rows, lines or entries.
    """

    text: str
    ends: list[int]
    stops: list[int]
    noun: str


def excerpt(text: str, query: str, whole: str) -> Excerpt:
    """What of a text matches a query. `whole`: how to get all of it, as a call."""
    index = Index(text)
    ranking = index.rank(query)
    out = index.outline
    total = out.roles.count(Role.ENTRY)
    noun = _noun(index)
    if not ranking.strong:
        first = f"[none of {total} {noun} matches; for the whole text call {whole} without query]"
        heads = [scope.line for scope in out.table if scope.columns and not scope.is_group][:_MAX_HEADS]
        return Excerpt("\n".join([first, *out.lines[: out.head], *(out.lines[line] for line in heads)]), [], [], noun)
    pieces = [_first_line(ranking, total, noun)]
    ends: list[int] = []
    stops: list[int] = []
    size = len(pieces[0])
    for number, block in enumerate(_blocks(ranking)):
        for piece, count in _shown(index, block, first=not number):
            pieces.append(piece)
            size += 1 + len(piece)
            ends += [size] * count
        stops.append(size + 1)
    return Excerpt("\n".join(pieces), ends, stops, noun)


def _noun(index: Index) -> str:
    """What the entries are called."""
    out = index.outline
    scopes = {number for number, role in zip(out.scopes, out.roles, strict=True) if role == Role.ENTRY}
    nouns = {out.table[number].kind.value for number in scopes}
    return nouns.pop() if len(nouns) == 1 else Kind.VALUES.value


def _first_line(ranking: Ranking, total: int, noun: str) -> str:
    strong, weak = len(ranking.strong), len(ranking.weak)
    said = f"{strong} of {total} {noun} match{'es' * (strong == 1)}"
    if weak:
        said += f" best, {weak} in part"
    if strong > _BLOCK:
        said += f"; the best {_BLOCK} come first"
    return f"[{said}{_absent(ranking)}]"


def _absent(ranking: Ranking) -> str:
    if not ranking.absent:
        return ""
    words = ", ".join(f'"{word[:40]}"' for word in ranking.absent[:_MAX_ABSENT])
    return f"; nowhere in it: {words}"


def _blocks(ranking: Ranking) -> Iterator[list[int]]:
    """The entries block by block, best first; inside a block in the order of the original.

    Heads are shown again in each block; that each is twice as long keeps that linear but for a logarithm.
    """
    size = _BLOCK
    for entries in (ranking.strong, ranking.weak):
        at = 0
        while at < len(entries):
            yield sorted(entries[at : at + size])
            at += size
            size *= 2


def _shown(index: Index, block: Sequence[int], *, first: bool) -> Iterator[tuple[str, int]]:
    """The lines of a block, and with each piece how many entries it ends; the `first` one with the first line of the text."""
    out = index.outline
    if first:
        for line in out.lines[: out.head]:
            yield line, 0
    chosen = set(block)
    few = len(block) <= _FEW
    above: list[int] = []
    last = -1
    for unit in block:
        number = out.scopes[unit]
        chain = _chain(index, number)
        for depth, scope in enumerate(chain):
            if above[depth : depth + 1] != [scope]:
                above = chain
                yield from ((line, 0) for line in _heads(index, chain[depth:], block))
                break
        above = chain
        around = _CONTEXT if few and out.table[number].kind is Kind.LINES else 0
        begin, end = unit, unit + 1
        while begin > 0 and unit - begin < around and out.scopes[begin - 1] == number and begin - 1 > last:
            begin -= 1
        while end < len(out.starts) and end <= unit + around and out.scopes[end] == number and end not in chosen:
            end += 1
        if around and 0 <= last < begin - 1:
            yield _GAP, 0
        yield "\n".join(out.lines[out.starts[begin] : out.end(end - 1)]), 1
        last = end - 1


def _chain(index: Index, number: int) -> list[int]:
    """The scopes around entries that have a line, the outermost first."""
    chain = []
    while number >= 0:
        scope = index.outline.table[number]
        if scope.line >= 0:
            chain.append(number)
        number = scope.parent
    return chain[::-1]


def _heads(index: Index, chain: Sequence[int], block: Sequence[int]) -> Iterator[str]:
    """The lines of scopes; under a table's head its said-once tables, long ones with the objects that the block names only."""
    out = index.outline
    for number in chain:
        scope = out.table[number]
        yield out.lines[scope.line]
        if scope.is_group:
            continue
        for said in scope.said:
            yield out.lines[said.start]
            rows = out.lines[said.start + 1 : said.end]
            if len(rows) > _MAX_SAID:
                named = {
                    said.named_by(out.lines[out.starts[unit]]) for unit in block if out.table[out.scopes[unit]].said is scope.said
                }
                rows = [row for row in rows if said.key_of(row) in named]
            yield from rows
