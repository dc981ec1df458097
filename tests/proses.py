"""Prose for tests, drawn by number: the same number gives the same text."""

import random

_WORDS = """
    river market yellow garden quiet window people travel simple answer morning circle forest number orange harbor listen
    paper people season single summer system ticket travel valley winter wonder because another between together
    slowly through around building question kitchen language mountain picture station teacher village weather written
    carry bring wander follow gather settle always often still these those which where their other about
"""
WORDS = sorted(set(_WORDS.split()))


def sentence(draw: random.Random, words: int = 14) -> str:
    """A sentence without a figure, a name, or anything that tells of trouble."""
    chosen = [draw.choice(WORDS) for _ in range(words)]
    return " ".join([chosen[0].capitalize(), *chosen[1:]]) + "."


def prose(number: int, paragraphs: int = 8, sentences: int = 9) -> str:
    """Paragraphs between blank lines, each on one line."""
    draw = random.Random(number)
    return "\n\n".join(" ".join(sentence(draw) for _ in range(sentences)) for _ in range(paragraphs))
