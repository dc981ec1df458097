"""The proof by numbers: any number of seeded examples, each checked against the independent reader.

    python -m tests.crush_many [COUNT [SEED]]

Of four examples two are documents (crushed with and without leaving rows out, and read back), one is a text of the naive writer,
and one a text of either kind with something broken. The first difference is printed, with its seed, and ends the run.
"""

import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator

from headroom_asgi._crush import crush, estimate, expand
from headroom_asgi.errors import ExpandError
from tests.crush_cases import Found, restored
from tests.crush_documents import Document, Documents, make_document
from tests.crush_reference import RowsLeftOut, decode, spell
from tests.crush_writer import Writer, fence_allowed, make_lines, make_text, make_value
from tests.json_exact import same

# What mutations put into a text: what the grammar gives a meaning, and what it forbids.
PIECES = (
    *'"\t\n -[]{}():,.=<\\\r\x00\x7f\x85é😀\u2028a05*×⟦⟧',
    *(
        "  ",
        "- ",
        ": ",
        ", ",
        "(json2)",
        "(jsontr)",
        "(jsonpyt)",
        "a.b(1)",
        "nan",
        '"""',
        "[2]: a\tb",
        "null",
        "None",
        "1.5",
        "<<ccr:0f3a-1 2 rows left out>>",
        "\n",
        "\n ",
        "*\n ",
        "[0]",
    ),
    *(
        "⟦× 2⟧",
        '⟦"-" × 9⟧',
        "⟦end⟧",
        "⟦cut⟧",
        "⟦json⟧\n",
        "⟦json2cr⟧\n",
        " ×4",
        "{2}: (key)\t",
        "[2][]: a",
        "[2][2]:",
        "[2][2]: 1=a\t2",
        "1, 2=null\t",
        "[2]=",
        "=a *",
        "(a)",
        "[a]",
        "[]",
    ),
)

# What a form looks like in a text, well enough to count how often the examples have it.
FORMS = {
    "records": r"\[\d+\]: ",
    "records by key": r"\{\d+\}: \(key\)\t",
    "groups": r"\[\d+\]\[\]: ",
    "groups in objects": r"\[\d+\]\.[^\n]+\[\]: ",
    "matrix": r"\[\d+\]\[\d+\]:\n",
    "matrix with the same in every row": r"\[\d+\]\[\d+\]: [^\n]*\d=",
    "list": r"\[\d+\]=",
    "stem": r"=[^\t\n\"*]*\*",
    "said once": r"[\t ][^\t\n(]+\([^\t\n()]+\)[\t\n]",
    "tuples": r"[\t ]\([^\t\n]+,[^\t\n]+\)[\t\n]",
    "one element": r"[\t.\w]\[0\]",
    "constant": r"[\t ][^\t\n=*]+=[^\t\n*]+[\t\n]",
    "shared cell": r"[\t ][^\t\n:=,]+, [^\t\n:=,]+[\t\n]",
    "shared value": r"\n *[^\n\t,:]+, [^\n\t:]+: ?([nN](?:ull|one)|\"\"|\[\]|\{\}|[tT]rue|[fF]alse|-?\d[^ ]*)\n",
    "folded key": r"\n *[^\n\t\". ]+\.[^\n\t\". ]+:",
    "wrapper": r"^\[json in ",
    "wrapper of MCP": r"^\[json\w*( cut)? in \[?mcp text ",
    "cut off in a string": r"^\[json\w* cut in ",
    "values one in a line": r"^\[json\w*l",
    "values joined": r"^\[json\w*c\w*[];]",
    "CR LF": r"[\[(⟦]json\w*r[\])n⟧;]",
    "tabs": r"[\[(⟦]jsont",
    "as Python prints it": r"[\[(⟦]jsonpy[\])⟧;]",
    "tuples of Python": r"[\[(⟦]jsonpyt[\])⟧;]",
    "constant of Python": r"[\[(⟦]jsonpyt?[\])⟧;](?s:.*)\bNone\b",
    "text": r"^\[text",
    "characters": r"⟦\"[^\n]+ × \d+⟧",
    "lines": r"\n⟦× \d+⟧",
    "block": r"⟦json\w*⟧\n",
    "block cut off": r"⟦json\w* cut \d+⟧\n",
    "lines that begin alike": r"; x\* = [^\n]+\n(?:[^\n]*\n)*?[^\n]*\*\n ",
    "fence": r"\"\"\"\n",
    "style": r" \(json\w*\)",
    "style in a cell": r"[\n\t] *\(json\w*\)[\n\t]",
    "repeated in flow": r" ×\d",
    "omission": r"<<ccr:r-\d+ \d+ rows left out",
    "summary": r"rows left out: ",
}


SAMPLE = 3000  # characters of a text in which forms are looked for


def outcome(text: str) -> tuple[object, object]:
    """What the reference and expand() make of a text: what it stands for, the refs of what was left out, or None if it is refused."""
    reference: object = None
    ours: object = None
    try:
        reference = decode(text)
    except RowsLeftOut as error:
        reference = error.refs
    except ValueError:
        pass
    try:
        ours = expand(text.encode()).decode()
    except ExpandError as error:
        ours = error.refs or None
    # What is wrong with a text that misses rows may have several names.
    if isinstance(reference, tuple) != isinstance(ours, tuple) and not isinstance(reference, str) and not isinstance(ours, str):
        return None, None
    return reference, ours


def mutate(text: str, rng: random.Random) -> str:
    """The text with some characters or lines of it put in, taken out, replaced, doubled or swapped."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        start = rng.randrange(min(6, len(text)), len(text) + 1)
        end = min(len(text), start + rng.choice((1, 1, 1, 2, 5)))
        lines = text.split("\n")
        line = rng.randrange(len(lines))
        text = rng.choice(
            (
                text[:start] + rng.choice(PIECES) + text[start:],
                text[:start] + text[end:],
                text[:start] + rng.choice(PIECES) + text[end:],
                "\n".join([*lines[:line], *lines[line + 1 :]]),
                "\n".join([*lines[:line], lines[line], *lines[line:]]),
                "\n".join([*lines[:line], rng.choice(lines), *lines[line:]]),
            )
        )
    return text


def check_found(document: Document, found: Found | None) -> None:
    """AssertionError unless a result of crush() is shorter and stands for its document."""
    if found is None:
        return
    text, parts = found
    assert len(text) < len(document.data)
    assert estimate(text) < estimate(document.data)
    result = restored(found)
    if not text.startswith((b"[json", b"[text")):
        assert same(result, document.data)
        return
    if document.value is not None:
        assert result == document.value
    elif text.startswith(b"[text") or re.match(rb"\[json(?:\w+[;\]]|\w* cut in )", text):
        assert result.encode() == document.data
    else:
        assert same(result, document.data)
    if not parts:
        assert expand(text).decode() == result
        return
    try:
        expand(text)
    except ExpandError as error:
        assert set(error.refs) == {f"r-{number}" for number, _, _ in parts}
    else:
        raise AssertionError("a text that misses rows was expanded")
    for _, _, part in parts:
        assert expand(part).decode() == decode(part.decode())


def check_json(seed: int) -> None:
    """AssertionError unless a random JSON text reads back as its value, whole or with rows left out."""
    maker = Documents(random.Random(seed))
    value = maker.document()
    document = Document(maker.spelled_json(value).encode(), spell(value))
    check_found(document, crush(document.data, ref=b"r" if seed % 2 else b""))


def written(rng: random.Random) -> tuple[str, str]:
    """A text of the naive writer, and what it stands for."""
    kind = rng.randrange(7)
    if kind == 0:
        made = make_lines(rng)
        return Writer(rng, made).lines_text()
    made = make_text(rng) if kind in (1, 6) else make_value(rng)
    if kind == 6 and fence_allowed(str(made.value)):
        return Writer(rng, made).open_text()
    if kind in (1, 6) and "⟦" not in str(made.value):
        return Writer(rng, made).raw_text(), str(made.value)
    return Writer(rng, made).text(), spell(made.value)


def check(seed: int) -> Iterator[str]:
    """AssertionError if the example of a seed shows a difference; gives the crush texts in it."""
    rng = random.Random(seed)
    kind = rng.randrange(4)
    if kind <= 1:
        document = make_document(rng)
        needles = rng.sample((b"octocat", b"row 7", b"opened", b"ORD-00011", "état".encode(), b"5"), 2)
        for found in (crush(document.data), crush(document.data, ref=b"r", needles=needles)):
            check_found(document, found)
            if found and found[0].startswith((b"[json", b"[text")):
                yield found[0].decode()
    elif kind == 2:
        text, value = written(rng)
        assert outcome(text) == (value, value), text
        yield text
    else:
        text = written(rng)[0]
        if rng.random() < 0.5 and (found := crush(make_document(rng).data, ref=b"r")):
            text = found[0].decode()
        for _ in range(3):
            broken = mutate(text, rng)
            if broken.startswith(("[json", "[text")):
                reference, ours = outcome(broken)
                assert reference == ours, broken


def run(count: int, seed: int) -> Counter[str]:
    """Check so many examples from a seed on; how often each form stood in them."""
    forms = {name: re.compile(form) for name, form in FORMS.items()}
    seen: Counter[str] = Counter()
    for example in range(seed, seed + count):
        try:
            for text in check(example):
                seen.update(name for name, form in forms.items() if form.search(text[:SAMPLE]))
        except Exception as error:
            error.add_note(f"seed {example}: python -m tests.crush_many 1 {example}")
            raise
    return seen


def main(arguments: list[str]) -> None:
    """Run and say what was seen."""
    count, seed = map(int, [*arguments, *("100000", "0")[len(arguments) :]])
    start = time.perf_counter()
    seen = run(count, seed)
    print(f"{count} examples from seed {seed} on, no difference, {time.perf_counter() - start:.0f} s. Texts with each form:")
    for name in FORMS:
        print(f"{seen[name]:10} {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
