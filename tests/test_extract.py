"""Long prose by its sentences: what stays whatever the budget, what is asked for, and where every gap says how much it is."""

import json
import random
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import CompressorConfig, ConfigError, HeadroomConfig, RouteConfig, aretrieve
from headroom_asgi.compressors import Markers, Request
from headroom_asgi.compressors.extract import BUDGET, Extractor
from headroom_asgi.middleware import HeadroomMiddleware
from headroom_asgi.store import MemoryStore
from headroom_asgi.testing import assert_prefix_stable, forwarded
from headroom_asgi.transforms import Context, TransformPipeline, drain, payload_of
from tests.driver import PATHS, Inner, post, question_body, tool_texts
from tests.proses import prose, sentence

REF = "0123456789abcdef" * 2
GAP = re.compile(r"\[(\d+) sentences? left out\]")
MARKER = re.compile(r"<<ccr:([0-9a-f]{32}-a) (\d+) sentences left out: of (\d+); each gap below says how many>>\n")
LONG = prose(1, paragraphs=12)
ON = CompressorConfig(enabled=True)


def extracted(text: str, question: str = "", arguments: str = "") -> tuple[str, Markers]:
    markers = Markers(REF)
    left = Extractor().omit(text, [(0, len(text))], Request(question, REF, arguments), markers)
    assert (left is None) == (not markers.omissions)
    return (text if left is None else left), markers


def assert_only_gaps(text: str, left: str, markers: Markers) -> None:
    """What stays is the text's, in order; the gaps' numbers add up; the whole text is kept."""
    head = MARKER.match(left)
    assert head is not None
    (omission,) = markers.omissions
    assert (omission.name, omission.text, omission.units) == (head[1], text, int(head[2]))
    stays = GAP.split(left[head.end() :])[::2]
    assert sum(map(int, GAP.findall(left))) == omission.units < int(head[3])
    at = 0
    for piece in stays:
        assert piece in text[at:]
        at = text.index(piece, at) + len(piece)
    assert text.startswith(stays[0])
    assert text.endswith(stays[-1])


def test_long_prose_keeps_leads_the_end_and_a_fixed_amount_of_the_rest() -> None:
    left, markers = extracted(LONG)
    assert_only_gaps(LONG, left, markers)
    for paragraph in LONG.split("\n\n"):
        assert paragraph[: paragraph.index(".") + 1] in left
    assert left.endswith(LONG[LONG.rindex(". ") + 2 :])
    longer, _ = extracted(LONG + "\n\n" + prose(2, paragraphs=40, sentences=15))
    assert len(longer) < len(LONG) + 40 * 3 * 100  # leads, the gaps, no more of the rest


def test_a_text_within_the_budget_is_not_touched() -> None:
    assert extracted(prose(3, paragraphs=5, sentences=8))[0] == prose(3, paragraphs=5, sentences=8)


@pytest.mark.parametrize(
    "said",
    [
        "The invoice INV-2041 went out late and nobody has looked at it since then at all.",
        "Somebody wrote to anna.berg@example.org about the matter and heard nothing back from her.",
        "All of it lies in /srv/archive/river as far as anybody can still tell today.",
        "On 2024-03-17 the water stood higher than in all of the years before that one.",
    ],
)
def test_a_sentence_stays_if_it_holds_a_literal_that_the_question_or_the_call_names(said: str) -> None:
    literal = re.search(r"INV-2041|\S+@\S+|/srv/archive/river|2024-03-17", said)
    assert literal is not None
    crowd = " ".join(f"There were {n} of the river people in the quiet market then." for n in range(200))
    text = f"{LONG}\n\n{prose(4, paragraphs=1)} {crowd} {said} {prose(5, paragraphs=1)}"
    assert said not in extracted(text)[0]
    assert said in extracted(text, f"What about {literal[0]}?")[0]
    assert said in extracted(text, "Go on.", json.dumps({"query": literal[0]}))[0]


@pytest.mark.parametrize("word", ["error", "failed", "must", "deprecated", "Warning", "not allowed"])
def test_a_sentence_that_tells_of_trouble_or_of_a_duty_stays(word: str) -> None:
    said = f"In the quiet market of the river people it was {word} as so often before."
    text = f"{LONG}\n\n{prose(6, paragraphs=1)} {said} {prose(7, paragraphs=1)}"
    assert said in extracted(text)[0]
    assert said.replace(word, "warm") not in extracted(text.replace(word, "warm"))[0]


def test_what_shares_words_with_the_question_comes_before_what_does_not_and_facts_before_words() -> None:
    about = "A submarine telescope looks at the bottom of the lake from below."
    fact = "There were 1,204 of the river people in the quiet market then."
    text = f"{LONG}\n\n{prose(8, paragraphs=1)} {about} {prose(9, paragraphs=1)} {fact} {prose(10, paragraphs=1)}"
    assert about not in extracted(text)[0]
    assert about in extracted(text, "how do submarine telescopes work")[0]
    assert fact in extracted(text)[0]


def test_headings_tables_code_and_short_lines_stay() -> None:
    other = [
        "## A heading. With a stop. And another one",
        "| a | b. C |",
        "    code. In. Here",
        "Name: value. Other: value",
        "> said. So",
    ]
    text = LONG.replace("\n\n", "\n\n" + "\n".join(other) + "\n\n")
    left, markers = extracted(text)
    assert_only_gaps(text, left, markers)
    for line in other:
        assert left.count(line) == text.count(line)


def test_a_text_that_has_gaps_of_its_own_stays() -> None:
    text = LONG.replace(".", ". [3 sentences left out]", 1)
    assert extracted(text)[0] == text


def test_only_its_spans_are_touched() -> None:
    markers = Markers(REF)
    text = LONG + "\n" + LONG
    left = Extractor().omit(text, [(0, len(LONG) + 1)], Request("", REF, ""), markers)
    assert left is not None
    assert left.endswith(LONG)


@given(st.integers(0, 10_000), st.sampled_from(["", "What of the yellow garden?", "the market 17"]), st.integers(0, 60))
def test_whatever_goes_nothing_else_changes(number: int, question: str, paragraphs: int) -> None:
    draw = random.Random(number)
    lines = [
        draw.choice([prose(number + n, 1, draw.randint(1, 12)), "# Head", "- " + sentence(draw), "", "x = 1"])
        for n in range(paragraphs)
    ]
    text = draw.choice(["\n", "\n\n"]).join(lines)
    left, markers = extracted(text, question)
    assert extracted(text, question)[0] == left
    if markers.omissions:
        assert_only_gaps(text, left, markers)


def test_the_time_grows_with_the_length() -> None:
    def took(text: str) -> float:
        began = time.thread_time()
        extracted(text, "the yellow garden 17")
        return time.thread_time() - began

    for hostile in ("Ab. ", "a" * 60 + ".\n", ". ", "- a\n", '."', "1. ", "[1]", "Word word word. "):
        short, long = (min(took(hostile * (size // len(hostile))) for _ in range(3)) for size in (50_000, 400_000))
        assert long < 60 * short + 0.1, hostile


# -- in the pipeline -----------------------------------------------------------------------------------------------------


def shortened(text: str, *, redeemable: bool = True, tool: str = "", **settings: object) -> tuple[str, tuple[str, ...]]:
    messages = question_body("openai-chat", text)["messages"]
    if tool:
        messages[1]["tool_calls"][0]["function"]["name"] = tool
    pipeline = TransformPipeline(HeadroomConfig(**settings))  # type: ignore[arg-type]
    step = drain(pipeline.steps(payload_of(messages, "gpt-4o", "openai-chat"), Context(redeemable=redeemable)))
    return tool_texts(step.payload.body)[0], step.report.labels


def test_it_is_off_until_it_is_switched_on() -> None:
    assert shortened(LONG)[0] == LONG
    text, labels = shortened(LONG, extract=ON)
    assert labels == ("extract:sentences",)
    assert MARKER.match(text)


def test_nothing_goes_where_it_could_not_be_asked_for() -> None:
    assert shortened(LONG, redeemable=False, extract=ON)[0] == LONG


def test_exact_match_tools_and_excepted_tools_keep_every_word() -> None:
    assert shortened(LONG, tool="Read", extract=ON)[0] == LONG
    assert shortened(LONG, tool="web_fetch", extract=CompressorConfig(enabled=True, except_tools=["web_fetch"]))[0] == LONG
    assert shortened(LONG, tool="web_fetch", extract=ON)[0] != LONG


@pytest.mark.parametrize(
    "section", [f"```python\n{prose(20)}\n```", json.dumps({"n": list(range(60))}, indent=1)], ids=["code", "json"]
)
def test_code_and_json_between_prose_stay(section: str) -> None:
    text, _ = shortened(f"{LONG}\n\n{section}\n\n{LONG}", extract=ON, text_compressor=CompressorConfig(enabled=False))
    assert section in text
    assert GAP.search(text.split(section)[0])


def test_prose_in_the_strings_of_json_and_in_pages_is_prose() -> None:
    text, labels = shortened(json.dumps({"title": "About", "body": LONG}), extract=ON)
    assert GAP.search(text)
    assert any(label.startswith("extract:sentences") for label in labels)
    page = (
        "<!doctype html><html><script>"
        + "let it = be;" * 1500
        + "</script><body>"
        + "".join(f"<p>{each}</p>" for each in LONG.split("\n\n"))
        + "</body></html>"
    )
    text, labels = shortened(page, extract=ON)
    assert [label for label in labels if "html:page" in label and "extract:sentences" in label]
    assert GAP.search(text)


def test_instructions_and_what_people_and_models_say_stay() -> None:
    body = question_body("openai-chat", "ok")
    body["messages"] = [
        {"role": "system", "content": LONG},
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": LONG},
        *body["messages"],
    ]
    step = drain(
        TransformPipeline(HeadroomConfig(extract=ON)).steps(payload_of(body["messages"], "", None), Context(redeemable=True))
    )
    assert json.loads(step.payload.body)["messages"] == body["messages"]


def test_a_conversation_that_grows_keeps_its_prefix() -> None:
    turns = []
    for number in range(4):
        turn = question_body("openai-chat", prose(number, 14), question=f"What of the {['yellow garden', 'market'][number % 2]}?")
        turns += json.loads(json.dumps(turn["messages"]).replace("call_1", f"call_{number}"))
    assert_prefix_stable(turns, dialect="openai-chat", fields={"tools": question_body("openai-chat", "")["tools"]}, extract=ON)
    last = forwarded(turns, dialect="openai-chat", fields={"tools": question_body("openai-chat", "")["tools"]}, extract=ON)[-1]
    assert sum(b"sentences left out" in message for message in last) == 4


@pytest.mark.anyio
async def test_what_was_left_out_can_be_asked_for_and_a_route_says_for_itself() -> None:
    inner, store = Inner(), MemoryStore()
    app = HeadroomMiddleware(
        inner, store=store, discover=False, extract=ON, routes=[RouteConfig("/raw/*", extract=CompressorConfig(enabled=False))]
    )
    path = PATHS["openai-chat"]
    await post(app, path, question_body("openai-chat", LONG))
    found = MARKER.match(tool_texts(inner.bodies[0])[0])
    assert found is not None
    assert LONG[:200] in await aretrieve(found[1], store=store)
    assert LONG[:200] in await aretrieve(found[1].rpartition("-")[0], store=store)
    await post(app, "/raw" + path, question_body("openai-chat", LONG))
    assert tool_texts(inner.bodies[1]) == [LONG]


def test_prose_is_made_shorter_by_one_of_two() -> None:
    with pytest.raises(ConfigError, match=r"^kompress\.enabled: extract is on as well"):
        TransformPipeline(HeadroomConfig(extract=ON, kompress=CompressorConfig()))


def test_the_budget_is_one_number_for_all_texts() -> None:
    assert BUDGET == 1000
