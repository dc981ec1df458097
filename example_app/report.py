"""The table that the demo prints: plain text, aligned, within 120 columns."""

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], total: Sequence[str]) -> str:
    """Rows under heads, a line of sums at the end. A head that starts with `>` puts its column to the right."""
    titles = [head.removeprefix(">") for head in heads]
    right = [head.startswith(">") for head in heads]
    widths = [max(len(row[i]) for row in [titles, *rows, total]) for i in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        aligned = (cell.rjust(width) if to else cell.ljust(width) for cell, width, to in zip(cells, widths, right, strict=True))
        return "  ".join(aligned).rstrip()

    rule = "-" * len(line(["x" * width for width in widths]))
    return "\n".join([line(titles), rule, *map(line, rows), rule, line(total)])


def percent(before: int, after: int) -> str:
    """How much of `before` is saved."""
    return f"{100 * (before - after) / before:.1f} %" if before else "-"


def count(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def milliseconds(value: float) -> str:
    """A duration, or a difference of two."""
    return f"{value:+.1f}"
