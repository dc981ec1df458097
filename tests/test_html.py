"""Pages as text: what a reader sees stays, in order and beside its name; what is for browsers goes."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import ConfigError, HeadroomConfig, TransformPipeline, compress, retrieve
from headroom_asgi.compressors import ContentKind, Markers, Request, detect
from headroom_asgi.compressors.html import HTMLExtractor
from headroom_asgi.config import CompressorConfig
from headroom_asgi.store import MemoryStore
from headroom_asgi.transforms import dispatch

# What browsers need, and no reader does: enough of it that the text pays.
CHROME = "<style>" + ".a{color:#f00;margin:0 auto}" * 200 + "</style><script>" + "var a=[1,2,3];f(a);" * 200 + "</script>"


def page(body: str, head: str = "") -> str:
    return f"<!DOCTYPE html><html><head><title>Shop</title>{head}{CHROME}</head><body>{body}</body></html>"


def omitted(text: str, arguments: str = "") -> str | None:
    return HTMLExtractor().omit(text, Request("", "ref", arguments), Markers("ref"))


def read(body: str, head: str = "") -> str:
    """The text of a page with that body."""
    found = omitted(page(body, head))
    assert found is not None
    marker, _, text = found.partition("\n")
    assert marker == f"<<ccr:ref-a {len(page(body, head))} characters of HTML left out: their text and links follow>>"
    return text


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("<h2>Prices</h2>", "## Prices"),
        ('<p>See <a href="/help?x=1&amp;y=2">help</a>.</p>', "See help (/help?x=1&y=2)."),
        ('<p><a href="#top">Up</a> or <a href="javascript:f()">run</a></p>', "Up or run"),
        ('<p><a href="/en/search/all?q=boots">boots</a></p>', "boots"),
        (
            '<p><a href="https://a.example.com/x">https://a.example.com/x</a> <a href="mailto:a@b.cd">a@b.cd</a></p>',
            "https://a.example.com/x a@b.cd",
        ),
        (
            '<p>A <a href="/s.html"><code>String</code></a>, a <a href="/s.html"> <code>String</code> </a>.</p>',
            "A String (/s.html), a String.",
        ),
        ('<p><a href="/1">Read</a> <a href="/2">Read</a> <a href="/1">Read</a></p>', "Read (/1) Read (/2) Read (/1)"),
        ('<p><a href="/1">Read</a> <a href="/1">more</a></p>', "Read (/1) more (/1)"),
        ('<nav><a href="/1">Read</a></nav><p><a href="/1">Read</a></p>', "Read (/1)"),
        ('<p>Icon \ufdd0<a href="/1">Read</a> <a href="/1">Read</a></p>', "Icon \ufdd0Read (/1) Read (/1)"),
        ("<p>10<sup>6</sup> H<sub>2</sub>O <del>$5</del> $4</p>", "10^6 H_2O ~~$5~~ $4"),
        ('<p><time datetime="2024-05-06T07:08Z">last week</time></p>', "[2024-05-06T07:08Z] last week"),
        ('<p><abbr title="World Health Organization">WHO</abbr></p>', "(World Health Organization) WHO"),
        ("<table><tr><th>Name<th>Age<tr><td>Bob<td>12</table>", "Bob\t12"),
        ("<table><tr><th>Name</th><th>Age</th></tr><tr><td></td><td>12</td></tr></table>", "\t12"),
        ("<table><tr><td>a<br>b</td><td>c</td></tr></table>", "a / b\tc"),
        ("<table><tr><td rowspan=2>R</td><td>1</td></tr><tr><td>2</td></tr></table>", "(as above)\t2"),
        ("<ul><li>one<ul><li>deep</li></ul></li></ul>", "    - deep"),
        ('<ol><li value="7">seven</li></ol>', "  1. 7. seven"),
        ("<ol start=3><li>three</li></ol>", "(numbered from 3)"),
        ('<img src="/a.png" alt="A red boot">', "A red boot"),
        ('<input name=q value="boots">', "[ boots ]"),
        ("<input type=checkbox checked> Gift <input type=radio> Cash", "[x] Gift [ ] Cash"),
        ("<select><option>One</option><option selected>Two</option></select>", "| One | *Two"),
        ("<details><summary>More</summary>Here</details>", "More: Here"),
        ('<iframe src="https://maps.example.com/?q=1"></iframe>', "[iframe: https://maps.example.com/?q=1]"),
        ('<div itemscope><meta itemprop="price" content="12.50"></div>', "price: 12.50"),
        ("<pre>def f():\n    return 1</pre>", "    return 1"),
    ],
)
def test_what_a_reader_sees_stays(body: str, line: str) -> None:
    assert line in read(f"<p>Before</p>{body}<p>After</p>").split("\n")


def test_the_head_says_title_description_date_and_address() -> None:
    head = (
        '<meta name="description" content="All boots"><meta property="article:published_time" content="2024-01-02">'
        '<link rel="canonical" href="https://shop.example.com/boots"><link rel="stylesheet" href="/s.css"><meta name=viewport content=w>'
    )
    assert read("<p>Boots</p>", head).split("\n") == [
        "Shop",
        "description: All boots",
        "article:published_time: 2024-01-02",
        "canonical: https://shop.example.com/boots",
        "Boots",
        "",
    ]


@pytest.mark.parametrize("tag", ['<link rel="canonical" href="{}">', '<meta property="og:url" content="{}">'])
def test_links_that_hand_on_the_page_s_own_address_lose_theirs(tag: str) -> None:
    own = "https://shop.example.com/boots"
    links = {
        "Share": "https://share.example.org/post?u=https%3A%2F%2Fshop.example.com%2Fboots&amp;t=Boots",
        "Mail": "mailto:?subject=Boots&amp;body=Look: https://shop.example.com/boots",
        "Sign in": "https://shop.example.com/login?next=https://shop.example.com/boots",
        "Map": "https://maps.example.org/?url=https://shop.example.com/boots/stores",
        "Pay": "https://pay.example.org/order?return_url=https://shop.example.com/boots",
        "Other": "https://other.example.org/boots",
    }
    text = read(" ".join(f'<p><a href="{address}">{words}</a></p>' for words, address in links.items()), tag.format(own))
    shown = text.split("\n\n", 1)[0].split("\n")[-1:] + text.split("\n\n")[1:]
    assert [line.strip() for line in shown] == [
        "Share",
        "Mail",
        f"Sign in ({links['Sign in']})",
        f"Map ({links['Map']})",
        f"Pay ({links['Pay']})",
        f"Other ({links['Other']})",
    ]


@given(
    st.lists(st.tuples(st.sampled_from(["Bob", "Ann", "https://x.yz/b"]), st.sampled_from(["/b", "/a?x=1", "https://x.yz/b"])))
)
def test_where_a_link_leads_is_told_by_itself_or_by_the_last_one_of_its_words(links: list[tuple[str, str]]) -> None:
    text = read("".join(f'<p>- <a href="{address}">{words}</a>;</p>' for words, address in links))
    found: list[tuple[str, str]] = []
    last: dict[str, str] = {}
    for line in re.findall(r"- (.*);", text):
        words, _, address = line.partition(" (")
        last[words] = address.removesuffix(")") or last.get(words, words)
        found.append((words, last[words]))
        last.pop("https://x.yz/b", None)  # an address alone is where it leads
    assert found == links


def test_navigation_scripts_and_styles_go() -> None:
    text = read("<nav><a href=/jobs>Jobs</a></nav><main><p>Boots</p></main><script>track()</script><footer>Imprint</footer>")
    assert text == "Shop\nBoots\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (page("<p>x"), ContentKind.HTML),
        ("\n\n <html lang=en><body>", ContentKind.HTML),
        ('<?xml version="1.0"?><!-- made by x --><!DOCTYPE html><html>', ContentKind.HTML),
        ("<ul class=menu>" + '<li><a href="/item">x</a></li>' * 20, ContentKind.HTML),
        ("<table>" + "<tr><td>port</td><td>int</td><td>the one that it listens on</td></tr>\n" * 30, ContentKind.HTML),
        ("<div>" + "A long text with a <b>word</b> or two in it, as one would write it. " * 20, ContentKind.TEXT),
        ("# Title\n\nSome prose with <b>bold</b> words.", ContentKind.TEXT),
        ("a < b and b > c\n" * 50, ContentKind.TEXT),
    ],
)
def test_pages_and_pieces_of_them_are_told_from_texts_with_tags(text: str, kind: ContentKind) -> None:
    assert (detect(text) is ContentKind.HTML) is (kind is ContentKind.HTML)


def test_a_page_that_was_cut_off_is_read() -> None:
    found = omitted(page("<table><tr><td>Bob</td><td>12</td></tr><tr><td>Ann</td><td")[: -len("</body></html>")])
    assert found is not None
    assert "Bob\t12" in found


@pytest.mark.parametrize("kind", ["text/x-handlebars-template", "text/html", "text/template", "text/x-template"])
def test_a_template_in_a_script_is_a_part_of_the_page(kind: str) -> None:
    template = f'<script id="content" type="{kind}"><h2>Topics</h2><p>They are <b>managed</b> by hand.</p></script>'
    text = read(f"<p>Docs</p>{template}<div id=p></div><p>End</p><script>var hidden = 1;</script>")
    assert [line for line in text.split("\n") if line] == ["Shop", "Docs", "## Topics", "They are managed by hand.", "End"]


def test_a_template_that_was_cut_off_is_a_script_as_any_other() -> None:
    assert "Topics" not in read('<p>Docs</p><script type="text/template"><h2>Topics')


def test_a_page_that_stands_in_its_scripts_stays() -> None:
    assert omitted(page('<div id="root">Loading</div><script>' + 'data.push({"name":"Ann"});' * 2_000 + "</script>")) is None


@pytest.mark.parametrize("arguments", ['{"command": "cat web/index.html"}', '{"path": "/srv/app/base.jinja2"}'])
def test_a_file_that_is_worked_on_stays(arguments: str) -> None:
    assert omitted(page("<p>Boots</p>"), arguments) is None


def test_a_page_that_was_fetched_does_not_stay() -> None:
    assert omitted(page("<p>Boots</p>"), '{"url": "https://shop.example.com/boots.html"}') is not None


def test_a_page_of_text_stays() -> None:
    assert omitted("<html><body>" + "<p>A sentence that somebody wrote and that is read.</p>" * 100) is None


def test_a_table_of_short_texts_is_read() -> None:
    table = "<table>" + "".join(f"<tr><td>option_{n}</td><td>int</td><td>how often it is tried</td></tr>\n" for n in range(60))
    found = omitted(f"{table}</table>")
    assert found is not None
    assert "option_7\tint\thow often it is tried" in found


WORDS = st.text("abcdefghijklmnopqrstuvwxyzäöü0123456789", min_size=1, max_size=9)


@given(rows=st.lists(st.lists(WORDS, min_size=3, max_size=3), min_size=1, max_size=6), texts=st.lists(WORDS, max_size=6))
def test_every_cell_stands_in_its_row_and_every_word_in_its_order(rows: list[list[str]], texts: list[str]) -> None:
    cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    text = read("".join(f"<p>{word}</p>" for word in texts) + f"<table>{cells}</table>")
    lines = [line for line in text.split("\n") if line]
    assert lines == ["Shop", *texts, *("\t".join(row) for row in rows)]


@given(spans=st.lists(st.integers(1, 3), min_size=1, max_size=8))
def test_cells_below_one_that_reaches_down_keep_their_column(spans: list[int]) -> None:
    """Rows of a table whose first cell covers several rows: the last cell always stands in the same column."""
    rows = ""
    expected = []
    for number, down in enumerate(spans):
        for row in range(down):
            first = f"<td rowspan={down}>k{number}</td>" if row == 0 else ""
            rows += f"<tr>{first}<td>v{number}.{row}</td></tr>"
            expected.append(f"{f'k{number}' if row == 0 else '(as above)'}\tv{number}.{row}")
    text = read(f"<p>Before</p><table>{rows}</table>")
    assert [line for line in text.split("\n") if line][2:] == expected


@pytest.mark.parametrize(
    "text",
    [
        "<html><body>" + "<div>" * 150_000,
        "<html>" + "<" * 300_000,
        "<html><table>" + "<tr><td rowspan=9999 colspan=9999>a" * 20_000,
        "<html><p " + "a=1 " * 200_000 + ">x",
        "<html><p>" + "<meta name=description content=" * 10_000,
        "<html><p>x" + " (" * 200_000,
        "<html><p>x" + " (/a/" * 100_000 + "search",
        "<html><!--" + "-" * 200_000,
        "<html>" + "\x00\ud800<p>",
    ],
    ids=["open", "lt", "spans", "attributes", "metas", "parens", "paths", "comment", "surrogate"],
)
def test_odd_pages_stay_or_become_text(text: str) -> None:
    found = omitted(text)
    assert found is None or found.startswith("<<ccr:ref-a ")


def messages_with(content: str) -> list[dict[str, Any]]:
    call = {"id": "c1", "type": "function", "function": {"name": "fetch", "arguments": '{"url": "https://shop.example.com"}'}}
    return [
        {"role": "user", "content": "What does it cost?"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": content},
    ]


def test_a_page_in_an_envelope_is_read_and_comes_back_whole() -> None:
    text = page("<h1>Boots</h1><p>12 EUR</p>")
    store = MemoryStore()
    result = compress(messages_with(json.dumps({"type": "text", "text": text})), model="gpt-4o", store=store)
    content = result.messages[2]["content"]
    assert "# Boots" in content
    assert "color" not in content
    part = next(ref for ref in result.refs if ref.endswith("-a"))
    assert f"<<ccr:{part} " in content
    assert retrieve(part, store=store) == text


@pytest.mark.parametrize("switch", [CompressorConfig(enabled=False), CompressorConfig(except_tools=["fetch"])])
def test_it_can_be_switched_off(switch: CompressorConfig) -> None:
    result = compress(messages_with(page("<p>Boots</p>")), model="gpt-4o", store=MemoryStore(), html=switch)
    assert "html:page" not in "".join(result.transforms_applied)


def test_without_the_library_pages_stay_and_asking_for_it_is_an_error_at_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = "resiliparse is not installed: pip install 'headroom-asgi[html]'"
    monkeypatch.setattr(HTMLExtractor, "missing", problem)
    monkeypatch.setattr(dispatch, "MISSING", {"html": problem})
    assert omitted(page("<p>Boots</p>")) is None
    TransformPipeline(HeadroomConfig())
    with pytest.raises(ConfigError, match=r"^html\.enabled: resiliparse is not installed"):
        TransformPipeline(HeadroomConfig(html=CompressorConfig(enabled=True)))
