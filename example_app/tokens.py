"""Exact token counts of what a model reads of a request: system, tools, and every message."""

import json
from functools import lru_cache
from typing import Any

from headroom_asgi import Tokenizer


class RequestCounter:
    """Counts requests. Texts are counted as the model reads them, not as JSON escapes them.

    A conversation sends the same texts again and again, so counts are kept by text.
    """

    def __init__(self, model: str = "gpt-4o") -> None:
        self._tokenizer = Tokenizer(model)
        self._count = lru_cache(maxsize=20_000)(self._exact)

    def __call__(self, body: dict[str, Any]) -> int:
        """The tokens of a request body of either wire format."""
        total = self._value(body.get("system")) + self._value(body.get("tools"))
        return total + sum(self._value(message) for message in body["messages"])

    def _exact(self, text: str) -> int:
        return self._tokenizer.count_text(text)

    def _value(self, value: Any) -> int:
        if value is None:
            return 0
        texts: list[str] = []
        frame = json.dumps(_without_texts(value, texts), ensure_ascii=False, separators=(",", ":"))
        return self._count(frame) + sum(self._count(text) for text in texts)


def _without_texts(value: Any, texts: list[str]) -> Any:
    """A value with its texts taken out of it, into the list."""
    if isinstance(value, list):
        return [_without_texts(child, texts) for child in value]
    if not isinstance(value, dict):
        return value
    rest = {}
    for key, child in value.items():
        if key in ("content", "text", "thinking", "arguments") and isinstance(child, str):
            texts.append(child)
            rest[key] = ""
        else:
            rest[key] = _without_texts(child, texts)
    return rest
