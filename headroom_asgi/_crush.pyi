"""The compiled kernel: scan, estimate, crush and expand JSON text on bytes, with the GIL released."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

OBJECT: Final[int]
ARRAY: Final[int]
STRING: Final[int]
NUMBER: Final[int]
TRUE: Final[int]
FALSE: Final[int]
NULL: Final[int]

class Document:
    """One JSON text, scanned once: a tape of nodes that know their byte spans. Node 0 is the root.

    No Python object is made for a value until it is asked for. Nesting has no limit.

    Raises:
        ScanError: the bytes are not exactly one JSON text (RFC 8259, strict; no NaN, no byte order mark), or not UTF-8.
    """

    data: bytes
    def __init__(self, data: bytes) -> None: ...
    def __len__(self) -> int:
        """Every node is a number below this; not every number below it is a node of its own."""
    def kind(self, node: int) -> int:
        """OBJECT, ARRAY, STRING, NUMBER, TRUE, FALSE or NULL."""
    def span(self, node: int) -> tuple[int, int]:
        """Byte span [start, end) of the value in `data`, quotes and brackets included."""
    def raw(self, node: int) -> bytes:
        """The bytes of the value."""
    def text(self, node: int) -> str:
        """The decoded string at a STRING node; unpaired surrogates stay surrogates. TypeError on other kinds."""
    def utf8(self, node: int) -> bytes:
        """The decoded string at a STRING node in UTF-8; an unpaired surrogate as three bytes. TypeError on other kinds."""
    def get(self, node: int, key: str) -> int:
        """The value node under `key` of an OBJECT (the last one, as parsers take it), or -1. -1 on other kinds."""
    def find(self, node: int, *keys: str) -> int:
        """The node under a path of keys, -1 if there is none; `node` may be -1 as well."""
    def text_at(self, node: int, *keys: str) -> str:
        """The string under a path of keys, "" if there is none."""
    def elements_at(self, node: int, *keys: str) -> list[int]:
        """The elements of the array under a path of keys, [] if there is none."""
    def items(self, node: int) -> list[tuple[str, int]]:
        """(key, value node) of an OBJECT, in order, duplicates included. A key's own node is the one before its value's.

        Empty on other kinds.
        """
    def elements(self, node: int) -> list[int]:
        """Value nodes of an ARRAY, in order. Empty on other kinds."""
    def long_strings(self, size: int) -> list[int]:
        """STRING values (no keys) whose literals have at least that many bytes, in order of the text."""
    def count(self, node: int) -> int:
        """Number of members or elements; 0 on scalars."""

def estimate(data: bytes) -> int:
    """Estimated number of tokens of UTF-8 text, by integer arithmetic over byte classes; the same for every model."""

def crush(
    data: bytes,
    *,
    ref: bytes = b"",
    needles: Sequence[bytes] | Callable[[], Sequence[bytes]] = (),
    exact: bool = False,
    anyway: bool = False,
) -> tuple[bytes, list[tuple[int, int, bytes]]] | None:
    """The shorter form of a text (docs/crush-format.md), and what was left out of it.

    JSON becomes a crush text or is minified; white space around it is dropped. Values on lines of their own (NDJSON), and other
    text with JSON in it, whole or cut short, or with runs of a line or character, become one that stands for their very bytes.

    Args:
        data: any UTF-8 text.
        ref: what markers name; empty: nothing may be left out.
        needles: UTF-8 literals of the question; rows that hold one are kept. Only used with `ref`. Or a function that gives them:
            it is called where rows may be left out, which is seldom.
        exact: only an envelope is taken off, and the lines in it keep their bytes.
        anyway: a form with more tokens will do, as long as it has fewer bytes.

    Returns:
        (text, parts): `parts` has (part number, rows left out, those rows as a crush text of their own) for each table that
        rows were left out of. None if the data is not UTF-8, or no form is shorter in estimated tokens and bytes.
    """

def expand(text: bytes) -> bytes:
    """What a crush text stands for: a JSON value minified, its strings in canonical escapes; any other text byte for byte.

    JSON itself is re-spelled as such a value. Linear in what is read and written.

    Raises:
        ExpandError: the text is neither, rows were left out of it, or it stands for more than 256 MiB.
    """

class Above:
    """What a reader has seen so far: texts, each folded by what stands above it (docs/repeats.md). For one thread at a time.

    One for which memory was too short is of no use any more.
    """

    def __len__(self) -> int: ...
    @property
    def size(self) -> int:
        """Bytes that are held: texts, and what is known of their lines."""

    def cut(self, count: int) -> None:
        """Forget all texts but the first ones. ValueError if there are less."""

    def add(self, texts: list[bytes], least: list[int], names: list[tuple[int, bytes, bytes]]) -> list[bytes | None]:
        """The next texts, with runs of lines that stand above already said by a line.

        Args:
            texts: UTF-8.
            least: for each, how many tokens folding has to save; -1 where the text has to stay as it is.
            names: for each, the number of the tool result that it is of, its name, and its name in other texts of that result.

        Returns:
            For each text its shorter form (docs/repeats.md), None where it stays as it is.

        Raises:
            TypeError: not all texts and names are bytes.
            ValueError: the lists are not equally long.
        """

def same_start(a: bytes, b: bytes) -> int:
    """How many bytes two texts have in common at their beginning."""

def filled(text: bytes) -> bytes | None:
    """A text with groups (docs/crush-format.md) as it reads: each row filled in, and no notes on groups.

    Stands for the same. None if it has no groups, or is to be compared as it stands.
    """

def regroup(folded: bytes, text: bytes) -> bytes | None:
    """What folding left of the filled form of a text, with groups formed of it; None if none is worth it.

    `filled` gives what was left back.
    """

def opaque_runs(data: bytes) -> list[tuple[int, int]]:
    """Start and end of what may be base64 or a random token, in order.

    That is the data of a data address from 200 bytes on, a run of 2048 bytes or more, and 24 or more lines of base64, without the
    end of the last one.
    """

class Words:
    """Words that are looked for together, in one pass over a text. They are bytes, and compared as such.

    Args:
        words: none of them empty, of 64 KiB at most in all.

    Raises:
        TypeError: not all words are bytes.
        ValueError: a word is empty, or they are more than that.
    """

    def __init__(self, words: Iterable[bytes]) -> None: ...
    def lines(self, data: bytes, *, most: int = -1, apart: bool = False) -> set[int]:
        """Numbers of the lines of a text, from 0, in which one of the words begins.

        Args:
            data: the text, split at LF.
            most: a word that begins in more lines than that tells none from another, and does not count; -1: all do.
            apart: only where no letter or digit of ASCII goes on before or behind it.
        """
    def stand_in(self, data: bytes) -> bool:
        """Whether one of the words stands in a text."""

def view(text: bytes) -> bytes | None:
    """A text whose lines are numbered, with the numbers written short; None if it is none, or does not get shorter.

    `expand` gives the very bytes back.
    """

def minify(data: bytes) -> bytes:
    """The JSON text without white space between tokens. ScanError if it is not JSON."""
