"""Token counts: exact by tiktoken where a model has a published encoding, labeled approximations elsewhere.

The ranks of both encodings in use are part of this package; nothing is ever downloaded. They are as genuine as a
download: the text that OpenAI publishes is rebuilt from them and must have the hash that the installed tiktoken asks for.
"""

import base64
import functools
import hashlib
import json
import lzma
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import FunctionType
from typing import Any, Final, Literal

import tiktoken
import tiktoken.model
from tiktoken_ext import openai_public  # type: ignore[import-untyped]

from headroom_asgi import _crush
from headroom_asgi.logs import get_logger

_log = get_logger(__name__)

Method = Literal["exact", "scaled", "estimate"]

RANKS: Traversable = files("headroom_asgi.ranks")
RULER: Final = "o200k_base"

# The encodings of tiktoken's table that can be counted exactly, and the ranks to do it with. (Harmony's ordinary tokens
# are o200k's. The older ones belong to models that are gone.)
_RANKS_OF: Final = {"cl100k_base": "cl100k_base", "o200k_base": "o200k_base", "o200k_harmony": "o200k_base"}

# Tokens per thousand o200k tokens of the same text. Claude: the middle of measurements on prose, JSON, logs, code and HTML,
# against a reconstruction of its tokenizers, which are not published: 1.07 to 1.25 up to 4.6, 1.19 to 1.56 from 4.7 on.
# Gemini and everybody else: not measured.
_CLAUDE_PER_MILLE: Final = 1150
_CLAUDE_4_7_PER_MILLE: Final = 1400
_OTHER_PER_MILLE: Final = 1000
_CLAUDE_VERSION: Final = re.compile(r"claude(?:-[a-z]+)*-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
# No model has a longer name; a client may send any.
_MAX_NAME_CHARS: Final = 256

# OpenAI's published rule for chat models. Other providers' framing differs by a few tokens.
_TOKENS_PER_MESSAGE: Final = 3
_TOKENS_PER_NAME: Final = 1
_TOKENS_OF_ANSWER: Final = 3

# Where the text of a message is, as the providers spell it: nested parts, and values that the model sees as JSON.
_PARTS: Final = frozenset(
    (
        *("role", "name", "content", "text", "parts", "thinking", "refusal", "summary", "output"),
        *("tool_calls", "function", "function_call", "functionCall", "functionResponse", "toolUse", "toolResult"),
    )
)
_VALUES: Final = frozenset(("arguments", "args", "input", "json", "response"))

# A unit is counted, and remembered, as a whole: long enough that looking it up costs little (7 of some 500 microseconds),
# short enough that an edit leaves most units of a text as they were.
UNIT_CHARS: Final = 4096
# tiktoken panics on about a million blanks in a row, and takes 15 ms for 64 k of any one character.
MAX_UNIT_CHARS: Final = 65_536
# The counts of 128 MiB of text, in some 7 MB.
_REMEMBERED_UNITS: Final = 32_768

# Positions where a text can be cut such that the counts of both sides add up to that of the whole: no token of either
# encoding crosses them, and what stands left of them has no say in how the right side is split, nor the other way around.
_CUT: Final = re.compile(
    r"""
    (?<=\n)(?=[^\s/])              # the start of a line that has text
    | (?<=\S)(?=[ ])               # the blank before a word
    | (?<=[^\W_])(?=["\\])         # the end of a JSON string, or of a part of it
    | (?<=[A-Za-z])(?=[0-9])
    | (?<=[0-9])(?=[A-Za-z])
    """,
    re.VERBOSE,
)


class Tokenizer:
    """What counts the tokens of one model.

    OpenAI's models have their own encoding (`method` is "exact"). All others are measured by o200k_base times a constant of
    their family ("scaled"). Where the ranks can't be used it is the kernel's estimate instead ("estimate").

    Cheap to make; the first count in a process takes half a second more, to load the ranks (`load`). Any number of threads
    may count at once.

    Args:
        model: the model's name as clients send it, with or without a provider in front ("openai/gpt-4o").
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self.encoding_name, self._per_mille, self._method = _measure_of(model[:_MAX_NAME_CHARS].lower())

    @property
    def ruler(self) -> str:
        """What this counts with; models with the same ruler count alike. Loads nothing."""
        return f"{self.encoding_name} x {self._per_mille} / 1000"

    @property
    def method(self) -> Method:
        """How this counts; loads the ranks if that hasn't been done, as they decide."""
        return self._method if self._encoder() is not None else "estimate"

    def load(self) -> None:
        """Load the ranks, if that hasn't been done; takes half a second and some 90 MB once. For a worker thread."""
        self._encoder()

    def count_text(self, text: str) -> int:
        """The tokens of a text. What looks like a special token in it is text."""
        return self._scaled(self._count(text))

    def count_messages(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """The tokens of a conversation: its text, 3 for each message, 1 more for each name, and 3 for the answer's start.

        Counted are roles, names, text of any part, calls with their arguments, and results; structured arguments and
        results as compact JSON. Images, sound and files are not.
        """
        total = _TOKENS_OF_ANSWER
        for message in messages:
            total += _TOKENS_PER_MESSAGE + (_TOKENS_PER_NAME if "name" in message else 0)
            total += sum(map(self._count, _texts(message)))
        return self._scaled(total)

    def _encoder(self) -> "_Encoder | None":
        with _LOADING[self.encoding_name]:
            return _loaded(self.encoding_name)

    def _count(self, text: str) -> int:
        encoder = self._encoder()
        return encoder.count(text) if encoder is not None else _crush.estimate(text.encode("utf-8", "replace"))

    def _scaled(self, tokens: int) -> int:
        return (tokens * self._per_mille + 500) // 1000


def split_units(text: str, at_least: int = UNIT_CHARS) -> list[str]:
    """The text, cut where the counts of the parts add up to the count of the whole.

    Each unit ends at the first such place after `at_least` characters. Where there is none within MAX_UNIT_CHARS the text
    is cut there regardless; the sum may then differ by a token or two.
    """
    units = []
    start = 0
    while start < len(text):
        cut = _CUT.search(text, start + at_least, start + MAX_UNIT_CHARS)
        end = start + MAX_UNIT_CHARS if cut is None else cut.start()
        units.append(text[start:end])
        start = end
    return units


class _Encoder:
    """One encoding, and the counts it has made already, by the hash of the unit."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding
        self._counts: OrderedDict[bytes, int] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, text: str) -> int:
        """The tokens of a text."""
        return sum(map(self._count_unit, split_units(text)))

    def _count_unit(self, unit: str) -> int:
        digest = hashlib.blake2b(unit.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._lock:
            count = self._counts.get(digest)
            if count is not None:
                self._counts.move_to_end(digest)
                return count
        count = len(self._encoding.encode_ordinary(unit))
        with self._lock:
            self._counts[digest] = count
            if len(self._counts) > _REMEMBERED_UNITS:
                self._counts.popitem(last=False)
        return count


_LOADING: Final = {name: threading.Lock() for name in _RANKS_OF.values()}


@functools.cache
def _loaded(name: str) -> _Encoder | None:
    """The encoder of that name, or None, with a warning, if its ranks are missing or not what tiktoken expects."""
    try:
        return _Encoder(_encoding(name))
    except Exception:  # files and another project's code: whatever is wrong with them, there is the estimate
        _log.warning("token_ranks_unusable", encoding=name, method="estimate", exc_info=True)
        return None


def _encoding(name: str) -> tiktoken.Encoding:
    """The encoding, as the installed tiktoken constructs it, but from our ranks.

    tiktoken's constructor calls a global function to download the ranks. A copy of it runs here that finds ours under that
    name; so the pattern, the special tokens and the expected hash are tiktoken's, and nothing of tiktoken is changed.
    """
    constructor = getattr(openai_public, name)
    if "load_tiktoken_bpe" not in constructor.__code__.co_names:
        raise LookupError(f"tiktoken {tiktoken.__version__} does not get {name} in the way that is known here")

    def ranks(url: str, expected_hash: str) -> dict[bytes, int]:
        return _ranks(RANKS / f"{url.rpartition('/')[2].removesuffix('.tiktoken')}.xz", expected_hash)

    own = FunctionType(constructor.__code__, {**vars(openai_public), "load_tiktoken_bpe": ranks})
    return tiktoken.Encoding(**own())


def _ranks(file: Traversable, expected_hash: str) -> dict[bytes, int]:
    """The tokens of a packed file (each behind a byte with its length), numbered from 0.

    Raises:
        ValueError: the published text of these ranks would not have the expected SHA-256.
    """
    packed = lzma.decompress(file.read_bytes())
    tokens = []
    position = 0
    while position < len(packed):
        end = position + 1 + packed[position]
        tokens.append(packed[position + 1 : end])
        position = end
    published = b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))
    if hashlib.sha256(published).hexdigest() != expected_hash:
        raise ValueError(f"{file.name} does not have the hash {expected_hash}")
    return {token: rank for rank, token in enumerate(tokens)}


def _measure_of(model: str) -> tuple[str, int, Method]:
    """The encoding to count with, the tokens per thousand counted, and how good that is."""
    try:
        encoding = tiktoken.model.encoding_name_for_model(model.rpartition("/")[2])
    except KeyError:
        encoding = ""
    if encoding in _RANKS_OF:
        return _RANKS_OF[encoding], 1000, "exact"
    if "claude" not in model:
        return RULER, _OTHER_PER_MILLE, "scaled"
    version = _CLAUDE_VERSION.search(model)
    is_older = version is not None and (int(version[1]), int(version[2] or 0)) < (4, 7)
    return RULER, _CLAUDE_PER_MILLE if is_older else _CLAUDE_4_7_PER_MILLE, "scaled"


def _texts(message: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a message that the model reads, at any depth."""
    unread: list[Any] = [message]
    while unread:
        part = unread.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, list | tuple):
            unread.extend(part)
        elif isinstance(part, Mapping):
            unread.extend(part[key] for key in part if key in _PARTS)
            unread.extend(_as_json(part[key]) for key in part if key in _VALUES)


def _as_json(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
