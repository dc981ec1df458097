"""Maps in JSON that say how something looks: fonts, colors, borders, margins of cells and of pieces of text."""

from typing import Final

from headroom_asgi.compressors.columns import Column, Group, Kind, words_of


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What such a map is called, by any word of its key; `style` only behind another word, as things have a style of their own.
_NAMES: Final = _words("format formatting annotations border borders padding margin margins font fonts typography theme")
_COLORED: Final = _words("background foreground")
# What its members are called: of those of the first kind it needs one, the others are found in other maps as well.
_LOOKS: Final = _words(
    """bold italic underline underlined strikethrough smallcaps superscript subscript font fonts alignment align padding border
    borders background foreground wrap rgb rgba opacity color colors"""
)
_MEASURES: Final = _words(
    """red green blue alpha hue theme top right bottom left start end width height size unit magnitude weight family style
    display line spacing indent direction rotation angle offset pattern type code decoration transform"""
)
_MAX_DEPTH: Final = 8
# Who asks for one of these wants to know how it looks.
ASKS_FOR_LOOKS: Final = _words(
    """color colors colour colours colored coloured bold italic italics underline underlined strikethrough font fonts highlight
    highlights highlighted highlighting border borders shading shaded background styling styled formatting formatted theme"""
)


def is_styling(column: Column, group: Group) -> bool:
    """A column holds maps that say nothing but how something looks.

    Args:
        column: of the group.
        group: the records around.
    """
    if column.kind is not Kind.MAP or column.key not in group.groups or not _is_named_so(column.key):
        return False
    looks = group.groups[column.key]
    # One such word may be one of a thing's facts: a sheet of paper has a size, a weight and a color.
    return len(_members(looks) & _LOOKS) > (0 if looks.groups else 1)


def _is_named_so(key: str) -> bool:
    words = words_of(key)
    if not _NAMES.isdisjoint(words) or (len(words) > 1 and words[-1] == "style"):
        return True
    return words[-1:] == ["color"] and not _COLORED.isdisjoint(words)


def _members(group: Group) -> set[str]:
    """Words of the members at all depths; none if one of them is called otherwise."""
    found: set[str] = set()
    waiting = [(group, 0)]
    while waiting:
        each, depth = waiting.pop()
        for column in each.columns.values():
            words = column.words & (_LOOKS | _MEASURES | _NAMES)
            if not words:
                return set()
            found |= words
        if each.groups and depth == _MAX_DEPTH:
            return set()
        waiting += [(inner, depth + 1) for inner in each.groups.values()]
    return found
