"""What tests of omitters share: a text without what was left out, and the text again."""

from collections.abc import Sequence

from headroom_asgi.compressors import Markers, Omission, Omitter, Request

REF = "0123456789abcdef" * 2


def left_out(omitter: Omitter, text: str, question: str = "", arguments: str = "") -> tuple[str, list[Omission]]:
    """What is left, and what was left out; the text itself if nothing was."""
    markers = Markers(REF)
    left = omitter.omit(text, Request(question, REF, arguments), markers)
    assert (left is None) == (not markers.omissions)
    return (text if left is None else left), markers.omissions


def put_back(left: str, omissions: Sequence[Omission]) -> str:
    """The text with every marker line replaced by what it stands for."""
    by_marker = {f"<<ccr:{omission.name} {omission.units} ": omission.text for omission in omissions}
    lines = []
    for line in left.split("\n"):
        found = [text for marker, text in by_marker.items() if line.startswith(marker) and line.endswith(">>")]
        lines.append(found[0] if found else line)
    return "\n".join(lines)


def stay(left: str) -> list[str]:
    """The lines that are no markers."""
    return [line for line in left.split("\n") if not line.startswith(f"<<ccr:{REF}-")]
