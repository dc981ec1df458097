"""Results already computed, bounded in bytes: a conversation sends the same tool outputs again on every turn."""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from headroom_asgi.compressors import Compressed
from headroom_asgi.wire import literal

_OVERHEAD = 400  # bytes of Python objects around one entry, measured with sys.getsizeof


class Memo:
    """Least recently used results by key. Safe from several threads. What it forgets is computed again, with the same bytes.

    Args:
        max_bytes: sum over entries of key, texts and overhead; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[bytes, tuple[Outcome, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: bytes) -> "Outcome | None":
        """The result, None if there is none."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def get_all(self, keys: Iterable[bytes]) -> list["Outcome | None"]:
        """The results one by one, None for those that are not there; b"" is nobody's key."""
        found: list[Outcome | None] = []
        with self._lock:
            for key in keys:
                entry = self._entries.get(key) if key else None
                found.append(None if entry is None else entry[0])
                if entry is not None:
                    self._entries.move_to_end(key)
        return found

    def put(self, key: bytes, outcome: "Outcome") -> None:
        """Keep a result; the least recently used ones make room."""
        size = len(key) + outcome.size + _OVERHEAD
        if size > self.max_bytes:
            return
        with self._lock:
            old = self._entries.pop(key, None)
            self._bytes += size - (old[1] if old else 0)
            self._entries[key] = (outcome, size)
            while self._bytes > self.max_bytes:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._bytes -= dropped

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0


class Outcome:
    """What a compressor's attempt came to: an accepted result, or the reason why there is none; token estimates with it.

    Args:
        reason: `compressed`, or why not.
        compressed: the accepted result.
        tokens_before, tokens_after: estimates of the text as it came and as it goes.

    Attributes:
        utf8, literal: the accepted text as it is compared with others, and as it is sent; made once, wanted on every turn.
        ref: what markers in it name, "" where nothing may be left out.
        failures: names of interceptors that failed on the text.
        counts: filled in later: by ruler, tokens before and after. Figures only, no decision looks at them.
        masks: the kept words by which the text was decided, by their keys in the store.
        nearly: of a text that goes as it came, a lossless form that saves too little by itself: what its lines repeat may add up
            to enough. b"" if there is none.
    """

    __slots__ = (
        *(
            "compressed",
            "counts",
            "failures",
            "literal",
            "masks",
            "nearly",
            "reason",
            "ref",
            "tokens_after",
            "tokens_before",
            "utf8",
        ),
    )

    def __init__(self, reason: str, compressed: Compressed | None = None, tokens_before: int = 0, tokens_after: int = 0) -> None:
        self.reason = reason
        self.compressed = compressed
        self.tokens_before = tokens_before
        self.tokens_after = tokens_after
        self.utf8 = compressed.text.encode("utf-8", "surrogatepass") if compressed is not None else b""
        self.literal = literal(compressed.text) if compressed is not None else b""
        self.ref = ""
        self.failures: tuple[str, ...] = ()
        self.counts: dict[str, tuple[int, int]] = {}
        self.masks: dict[str, bytes] = {}
        self.nearly = b""

    @property
    def size(self) -> int:
        """Bytes of the texts it holds; four a character covers every string."""
        masks = sum(len(key) + len(mask) for key, mask in self.masks.items())
        if self.compressed is None:
            return len(self.reason) + masks + len(self.nearly)
        texts = len(self.compressed.text) + sum(len(o.text) for o in self.compressed.omissions)
        return masks + len(self.utf8) + len(self.literal) + 4 * texts
