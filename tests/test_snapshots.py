"""Snapshots of pages: what can be acted on stays, lines that only wrap it go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import compress, retrieve
from headroom_asgi.compressors import Markers, Request
from headroom_asgi.compressors.snapshots import SnapshotOmitter
from headroom_asgi.store import MemoryStore

CLICKS = "https://ads.example.com/click?x=" + "Zm9vYmFy" * 40
ENTRY = """
  - generic [ref=e{n}1]:
    - listitem [ref=e{n}2]:
      - link "Boot {n}" [ref=e{n}3] [cursor=pointer]:
        - /url: /boots/{n}
      - generic [ref=e{n}4]: 42 left
      - generic [ref=e{n}5] [cursor=pointer]:
        - img [ref=e{n}6]
        - img "Red boot" [ref=e{n}7]
      - button "Buy" [disabled] [ref=e{n}8] [cursor=pointer]
"""
SNAPSHOT = (
    "- Page URL: https://shop.example.com\n```yaml\n- main [ref=e1]:" + "".join(ENTRY.format(n=n) for n in range(20)) + "```"
)


def omitted(text: str) -> tuple[str | None, list[str]]:
    markers = Markers("ref")
    found = SnapshotOmitter().omit(text, Request("", "ref"), markers)
    return found, [omission.text for omission in markers.omissions]


def test_lines_without_a_name_or_text_go() -> None:
    left, pieces = omitted(SNAPSHOT)
    assert left is not None
    marker, _, rest = left.partition("\n")
    assert marker == (
        "<<ccr:ref-a 80 lines and marks left out: "
        "nodes without a name or text, texts that the name above them says, long addresses, cursors>>"
    )
    assert pieces == [SNAPSHOT]
    assert rest.split("\n")[3:11] == [
        "    - listitem [ref=e02]:",
        '      - link "Boot 0" [ref=e03]:',
        "        - /url: /boots/0",
        "      - generic [ref=e04]: 42 left",
        "      - generic [ref=e05] [cursor=pointer]:",
        '        - img "Red boot" [ref=e07]',
        '      - button "Buy" [disabled] [ref=e08]',
        "",
    ]


LINK = """
- main [ref=m{n}]:
  - link "Boots {n} Sale" [ref=l{n}] [cursor=pointer]:
    - /url: /boots/{n}
    - generic [ref=t{n}] [cursor=pointer]: Boots {n}
    - img "Sale" [ref=i{n}] [cursor=pointer]
    - text: \ue001
    - generic [ref=c{n}]: Bo
    - generic [ref=s{n}] [cursor=pointer]:
      - strong [ref=d{n}]: "Boots {n}"
      - button "Sale" [ref=b{n}]
  - radio "{n} GB" [ref=r{n}]
  - generic [ref=f{n}]:
    - generic [ref=g{n}]: "{n}"
    - text: GB
    - text: one size
  - generic [ref=h{n}]: GB
"""


def test_texts_that_the_name_above_them_says_go() -> None:
    left, _ = omitted("".join(LINK.format(n=n) for n in range(20)))
    assert left is not None
    assert left.partition("\n")[2].split("\n")[10:23] == [
        "- main [ref=m1]:",
        '  - link "Boots 1 Sale" [ref=l1]:',
        "    - /url: /boots/1",
        "    - generic [ref=c1]: Bo",  # of which the name only has a part of a word
        '      - button "Sale" [ref=b1]',
        '  - radio "1 GB" [ref=r1]',
        "    - text: one size",
        "  - generic [ref=h1]: GB",
        "",
        "- main [ref=m2]:",
        '  - link "Boots 2 Sale" [ref=l2]:',
        "    - /url: /boots/2",
        "    - generic [ref=c2]: Bo",
    ]


def test_texts_of_their_own_stay() -> None:
    tree = "".join(
        f'- link "Cart 12 items" [ref=a{n}]:\n  - text: {word}\n  - generic [active] [ref=b{n}]: Cart\n'
        for n, word in enumerate(["1", "2", "tem", "Card", "items 12", "Cart 12 items more"] * 4)
    )
    left, pieces = omitted(tree + SNAPSHOT)
    assert left is not None
    assert pieces == [tree + SNAPSHOT]
    assert left.partition("\n")[2].startswith(tree)


@pytest.mark.parametrize(
    "tree",
    [
        '- group "Total 5":\n  - generic: Total\n  - generic: "5"\n  - text: "5"\n',
        '- region "Top 10 products":\n  - list [active]:\n    - listitem:\n      - text: "10"\n',
        '- dialog "Cart 2 items":\n  - generic [active]:\n    - generic: "2"\n',
        '- row "1 2 3 1":\n  - cell "1"\n  - cell:\n    - generic: "2"\n',
        '- link "Boots 2 left":\n  - generic "Size":\n    - text: "2"\n  - textbox:\n    - text: "2"\n',
        '- textbox "Amount of 5": "12"\n- generic [active]:\n  - generic: "5"\n',
        f'- link "{"x " * 200}12":\n  - text: "1"\n',
    ],
)
def test_texts_below_a_name_that_they_do_not_make_up_stay(tree: str) -> None:
    left, _ = omitted(tree + SNAPSHOT)
    assert left is not None
    assert left.partition("\n")[2].startswith(tree)


@pytest.mark.parametrize("name", ["price 1.5", "total -5", "5,000 left", "at 5:30", "5/7", "+5", "2\u20135", "5\u00a0000", "a5"])
def test_a_part_of_a_number_is_not_said(name: str) -> None:
    tree = f'- link "{name}":\n  - text: "5"\n'
    left, _ = omitted(tree + SNAPSHOT)
    assert left is not None
    assert left.partition("\n")[2].startswith(tree)


@pytest.mark.parametrize(("name", "text", "said"), [("Größe", "Gr", False), ("한국어", "한", False), ("你好", "你", True)])
def test_a_part_of_a_word_is_said_where_no_blanks_part_words(name: str, text: str, said: bool) -> None:
    left, _ = omitted(f'- link "{name}":\n  - text: {text}\n{SNAPSHOT}')
    assert left is not None
    assert (f"  - text: {text}\n" not in left) is said


def test_what_the_question_names_stays() -> None:
    left = SnapshotOmitter().omit(SNAPSHOT, Request("What is in e71?", "ref"), Markers("ref"))
    assert left is not None
    assert "  - generic [ref=e71]:\n" in left
    assert "  - generic [ref=e81]:\n" not in left


def test_addresses_that_count_clicks_go() -> None:
    left, _ = omitted(SNAPSHOT.replace("/boots/7\n", f"{CLICKS}\n"))
    assert left is not None
    assert CLICKS not in left
    assert "/boots/8" in left


@given(
    st.lists(st.sampled_from([*ENTRY.splitlines(), "text", "- generic [ref=e1]:", f"- /url: {CLICKS}", "[ref=e9]"]), max_size=60)
)
def test_what_stays_keeps_its_order_and_every_ref_with_a_name(lines: list[str]) -> None:
    text = "\n".join(lines)
    left, pieces = omitted(text)
    if left is None:
        return
    assert pieces == [text]
    rest = iter(text.replace(" [cursor=pointer]", "").split("\n"))
    kept = left.partition("\n")[2].replace(" [cursor=pointer]", "").split("\n")
    assert all(line in rest for line in kept)
    assert [line for line in kept if '"' in line or "listitem" in line] == [
        line.replace(" [cursor=pointer]", "") for line in lines if '"' in line or "listitem" in line
    ]


def test_other_texts_stay() -> None:
    assert omitted("\n".join(f"see [ref={number}]" for number in range(100))) == (None, [])
    assert omitted("- generic [ref=e1]:\n" * 5) == (None, [])


def test_the_snapshot_comes_back() -> None:
    store = MemoryStore()
    call = {"id": "c1", "type": "function", "function": {"name": "browser_snapshot", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Buy boots"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": SNAPSHOT},
    ]
    result = compress(messages, model="gpt-4o", store=store)
    part = next(ref for ref in result.refs if ref.endswith("-a"))
    assert "- main [ref=e1]:" in retrieve(part, store=store)
    assert 'link "Boot 3"' in result.messages[2]["content"] or "Boot 3" in result.messages[2]["content"]
