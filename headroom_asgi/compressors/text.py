"""Texts that are not JSON: the JSON inside them, runs of a character and repeated lines. The work is the kernel's."""

import re
from dataclasses import replace
from typing import Final

from headroom_asgi._crush import estimate, expand
from headroom_asgi.compressors.base import Compressed, Request
from headroom_asgi.compressors.kernel import crushed
from headroom_asgi.errors import CompressError

_TEXT: Final = "[text"
_TAGS_NOTE: Final = "; line breaks between > and < were added"
_BETWEEN_TAGS: Final = re.compile(r">(?=\n+<)")
_TRIAL: Final = 65_536  # characters of a longer text that show whether it pays
_MIN_TAGS: Final = 16  # that stand behind others; fewer make no records
_LINES_A_TAG: Final = 4  # XML that has lines of its own is no worse as it is


class TextCompressor:
    """The compressor for any other text; what it does not re-lay stays as it is. Its format: docs/crush-format.md, `[text]`."""

    section = "text_compressor"

    def compress(self, text: str, request: Request) -> Compressed | None:
        """The shorter form, or None if no form is shorter. CompressError if a lossless one is not the same bytes."""
        found = crushed(text, request, "text")
        adjoining = text.count("><")
        if adjoining < _MIN_TAGS or _LINES_A_TAG * adjoining < text.count("\n"):
            return found
        if len(text) > 2 * _TRIAL and self.compress(text[:_TRIAL], request) is None:
            return found
        tagged = _by_tags(text, request)
        best = _tokens(text if found is None else found.text)
        return tagged if tagged is not None and 10 * _tokens(tagged.text) <= 9 * best else found


def _by_tags(text: str, request: Request) -> Compressed | None:
    """The form of a text with each tag on a line of its own: the elements of XML that is all on one line are records then."""
    lines = _BETWEEN_TAGS.sub(">\n", text) if ">\n" in text else text
    found = crushed(lines.replace("><", ">\n<"), request, "text")
    if found is None or found.omissions or not found.text.startswith(_TEXT):
        return None
    form = _TEXT + _TAGS_NOTE + found.text.removeprefix(_TEXT)
    if expand(form.encode("utf-8")) != text.encode("utf-8"):
        raise CompressError("the text with its tags on lines of their own does not read back as what it stands for")
    return replace(found, text=form)


def _tokens(text: str) -> int:
    return estimate(text.encode("utf-8"))
