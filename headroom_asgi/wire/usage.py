"""Token counts of several rounds as one: what was billed is the sum."""

import json
from collections.abc import Sequence
from typing import Any

from headroom_asgi.wire.splice import dump


def total(usages: Sequence[bytes]) -> dict[str, Any] | None:
    """The sum of usage objects (JSON texts, one a round, oldest first), field by field, nested and unknown fields too.

    Numbers add up; of anything else the last value that is not null counts. None if Python cannot read or say what came (nested
    too deeply, numbers out of range): counts are no reason to lose an answer.
    """
    try:
        result = _sum([json.loads(usage) for usage in usages])
        dump(result)
    except (ArithmeticError, RecursionError, ValueError):
        return None
    return result if isinstance(result, dict) else None


def _sum(values: Sequence[Any]) -> Any:
    present = [value for value in values if value is not None]
    if not present:
        return None
    last = present[-1]
    if _is_number(last):
        return sum(value for value in present if _is_number(value))
    if isinstance(last, dict):
        objects = [value for value in present if isinstance(value, dict)]
        keys = dict.fromkeys(key for value in (last, *objects) for key in value)
        return {key: _sum([value[key] for value in objects if key in value]) for key in keys}
    return last


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
