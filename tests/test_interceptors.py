"""Interceptors: the user's own functions, and terminal output, before any compressor. Only what can be asked for goes."""

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import CompressorConfig, ConfigError, HeadroomConfig, Interceptor, MemoryStore, RouteConfig, TransformPipeline
from headroom_asgi.compressors import Request
from headroom_asgi.transforms import Context, PipelineReport, drain, payload_of
from headroom_asgi.transforms.interceptors import as_seen, intercepted
from tests.driver import Inner, answer_json, post, question_body, text_answer, tool_texts

PODS = "NAME   READY   STATUS\n" + "".join(f"web-{n:04d}   1/1   Running on node-{n % 7} since day {n}\n" for n in range(60))


def names(text: str, arguments: str) -> str:
    return "\n".join(line.split()[0] for line in text.splitlines())


POD_NAMES = Interceptor("pods", ["list_orders"], names)


def report_of(
    text: str, config: HeadroomConfig, *, redeemable: bool = True, dialect: str = "openai-chat", **message: Any
) -> tuple[str, PipelineReport]:
    """The text of the one tool output after the default pipeline, and what is said about it."""
    body = question_body(dialect, text)
    content = body["messages"][2]
    (content if dialect == "openai-chat" else content["content"][0]).update(message)
    payload = payload_of(body["messages"], "m", dialect)
    step = drain(TransformPipeline(config).steps(payload, Context(redeemable=redeemable)))
    return step.payload.segments[-1].text, step.report


def test_what_an_interceptor_made_stands_behind_a_marker_and_the_output_can_be_asked_for() -> None:
    text, report = report_of(PODS, HeadroomConfig(interceptors=[POD_NAMES]))
    marker, _, rest = text.partition("\n")
    (name,) = report.markers
    assert marker.startswith(f"<<ccr:{name} ")
    assert "by pods" in marker
    assert "web-0059" in rest
    assert "Running" not in rest
    assert report.originals()[name] == PODS
    assert report.labels[0].startswith("interceptor:pods")


@pytest.mark.parametrize(
    "config",
    [
        HeadroomConfig(),
        HeadroomConfig(interceptors=[Interceptor("pods", ["other_tool"], names)]),
        HeadroomConfig(interceptors=[Interceptor("pods", [], names)]),
        HeadroomConfig(interceptors=[Interceptor("pods", ["*"], lambda text, arguments: None)]),
        HeadroomConfig(interceptors=[Interceptor("pods", ["*"], lambda text, arguments: text)]),
        HeadroomConfig(interceptors=[Interceptor("pods", ["*"], lambda text, arguments: text + "longer")]),
        HeadroomConfig(interceptors=[Interceptor("pods", ["*"], lambda text, arguments: text[:-40])]),
    ],
    ids=["none", "another tool", "no tool", "nothing", "the same", "longer", "hardly shorter"],
)
def test_it_changes_nothing_where_it_does_not_apply_or_pay(config: HeadroomConfig) -> None:
    text, report = report_of(PODS, config)
    assert "by pods" not in text
    assert (report.failures, report.warnings) == ((), ())


@pytest.mark.parametrize("tools", [["LIST_orders"], ["*"], ["x", "list_orders"]])
def test_tools_are_matched_whatever_their_case_and_a_star_is_every_tool(tools: list[str]) -> None:
    assert "by pods" in report_of(PODS, HeadroomConfig(interceptors=[Interceptor("pods", tools, names)]))[0]


@pytest.mark.parametrize(
    "own",
    [
        {"redeemable": False},
        {"dialect": "anthropic", "is_error": True},
    ],
    ids=["nothing can be asked for", "an error"],
)
def test_it_does_not_run_where_nothing_may_be_left_out(own: dict[str, Any]) -> None:
    ran: list[str] = []
    spy = Interceptor("spy", ["*"], lambda text, arguments: ran.append(text))  # type: ignore[func-returns-value, return-value]
    report_of(PODS, HeadroomConfig(interceptors=[spy]), **own)
    assert ran == []
    report_of(PODS, HeadroomConfig(interceptors=[spy]), dialect=own.get("dialect", "openai-chat"))
    assert ran == [PODS]


def test_it_does_not_run_for_exact_match_tools() -> None:
    config = HeadroomConfig(interceptors=[POD_NAMES])
    config.content_router.exact_match_tools = ["list_orders"]
    assert report_of(PODS, config)[0] == PODS


def test_it_gets_the_arguments_of_the_call() -> None:
    def only_pods(text: str, arguments: str) -> str | None:
        return names(text, arguments) if json.loads(arguments)["what"] == "pods" else None

    for what, shorter in (("pods", True), ("nodes", False)):
        body = question_body("openai-chat", PODS)
        body["messages"][1]["tool_calls"][0]["function"]["arguments"] = json.dumps({"what": what})
        config = HeadroomConfig(interceptors=[Interceptor("own", ["*"], only_pods)])
        step = drain(TransformPipeline(config).steps(payload_of(body["messages"], "m", None), Context(redeemable=True)))
        assert ("by own" in step.payload.segments[-1].text) == shorter


def test_several_run_in_order_and_share_one_marker() -> None:
    both = [POD_NAMES, Interceptor("half", ["*"], lambda text, arguments: text[: len(text) // 3])]
    text, report = report_of(PODS, HeadroomConfig(interceptors=both))
    assert "by pods, half;" in text
    assert len(report.markers) == 1
    assert report.originals()[report.markers[0]] == PODS


def wrong(text: str, arguments: str) -> Any:
    return b"bytes"


def broken(text: str, arguments: str) -> str:
    raise ValueError(text)


@pytest.mark.parametrize("function", [wrong, broken])
def test_one_that_fails_is_skipped_with_a_reason_and_the_others_run(function: Any, caplog: pytest.LogCaptureFixture) -> None:
    config = HeadroomConfig(interceptors=[Interceptor("bad", ["*"], function), POD_NAMES])
    with caplog.at_level(logging.WARNING, "headroom_asgi"):
        text, report = report_of(PODS, config)
    assert "by pods;" in text
    assert report.failures == ("interceptor:bad",)
    assert report.warnings == ("interceptor bad failed and was skipped",)
    assert [record.message for record in caplog.records] == ["interceptor_failed"]
    assert "web-0001" not in str(vars(caplog.records[0]))


def test_a_failure_is_told_when_the_result_comes_from_the_memo_too() -> None:
    pipeline = TransformPipeline(HeadroomConfig(interceptors=[Interceptor("bad", ["*"], broken)]))
    payload = payload_of(question_body("openai-chat", PODS)["messages"], "m", None)
    for _ in range(2):
        report = drain(pipeline.steps(payload, Context(redeemable=True))).report
        assert report.failures == ("interceptor:bad",)


def test_what_it_makes_goes_on_to_the_compressor_for_its_kind() -> None:
    rows = [{"id": f"web-{n:04d}", "state": "running", "zone": f"zone-{n % 3}"} for n in range(40)]
    to_json = Interceptor("json", ["*"], lambda text, arguments: json.dumps(rows))
    text, report = report_of(f"here it is {json.dumps(rows, indent=8)} " * 2, HeadroomConfig(interceptors=[to_json]))
    assert "smart:" in report.labels[0]
    assert text.count("<<ccr:") == len(report.markers)


def test_two_pipelines_with_one_memo_do_not_mix_functions_of_one_name() -> None:
    first = TransformPipeline(HeadroomConfig(interceptors=[POD_NAMES]))
    other = HeadroomConfig(interceptors=[Interceptor("pods", ["list_orders"], lambda text, arguments: text[:100])])
    second = TransformPipeline(other, memo=first._memo)
    payload = payload_of(question_body("openai-chat", PODS)["messages"], "m", None)
    texts = [drain(p.steps(payload, Context(redeemable=True))).payload.segments[-1].text for p in (first, second)]
    assert "web-0059" in texts[0]
    assert "web-0059" not in texts[1]


@pytest.mark.parametrize(
    ("interceptors", "key"),
    [
        ([names], r"interceptors\[0\]"),
        ([Interceptor("", ["a"], names)], r"interceptors\[0\].name"),
        ([Interceptor("a>>b", ["a"], names)], r"interceptors\[0\].name"),
        ([Interceptor("a", "bash", names)], r"interceptors\[0\].tools"),
        ([Interceptor("a", ["a"], "names")], r"interceptors\[0\].function"),  # type: ignore[arg-type]
        (POD_NAMES, "interceptors"),
    ],
)
def test_a_wrong_interceptor_stops_the_start(interceptors: Any, key: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: "):
        HeadroomConfig(interceptors=interceptors).resolve()


def test_an_async_function_stops_the_start() -> None:
    async def later(text: str, arguments: str) -> str:
        return ""

    with pytest.raises(ConfigError, match=r"a plain function"):
        HeadroomConfig(interceptors=[Interceptor("a", ["a"], later)]).resolve()  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_a_routes_interceptors_hold_for_its_requests_only_and_the_model_can_ask_for_the_output() -> None:
    inner = Inner(answer_json(text_answer("openai-chat", "ok")))
    store = MemoryStore()
    from headroom_asgi import HeadroomMiddleware, aretrieve

    app = HeadroomMiddleware(inner, discover=False, store=store, routes=[RouteConfig("/a/*", interceptors=[POD_NAMES])])
    for prefix in ("/a", ""):
        await post(app, f"{prefix}/v1/chat/completions", question_body("openai-chat", PODS))
    there, here = (tool_texts(body)[0] for body in inner.bodies)
    assert ("by pods" in there, "by pods" in here) == (True, False)
    name = there[len("<<ccr:") :].split(" ")[0]
    assert await aretrieve(name, store=store) == PODS


# -- terminal output ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        ("\x1b[1;31merror\x1b[0m: no", "error: no"),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b(B\x1b=c", "abc"),
        ("get 10%\rget 55%\rget 100%\ndone", "get 100%\ndone"),
        ("get 100% of it\rget 7", "get 700% of it"),
        ("get 100% of it\rget 7\x1b[K", "get 7"),
        ("get 100% of it\x1b[2K\rget 7", "get 7"),
        ("\x1b[32mget\x1b[0m 1\r\x1b[32mget\x1b[0m 2", "get 2"),
        ("a\r\nb\r\n", "a\r\nb\r\n"),
        ("get 1\rget 2\r\nb\r\n", "get 2\r\nb\r\n"),
        ("get 1\rget 2\r", "get 2\r"),
        ("an old text\rwhose lines end\rlike this\r", "an old text\rwhose lines end\rlike this\r"),
        ("get 1\r     \rget 2\r     \r", "     \r"),
        ("\x1b", "\x1b"),
        ("\x1b[12", "\x1b[12"),
        ("\0".join("Windows Subsystem\n") + "\0 done", "Windows Subsystem\n done"),
        ("on: \0" + "\0".join("Company\n Checklist"), "on: Company\n Checklist"),
        ("a.txt\0b.txt\0c.txt\0", "a.txt\0b.txt\0c.txt\0"),
        ("\0" * 40, "\0" * 40),
        ("", ""),
    ],
)
def test_terminal_output_is_what_was_seen_at_the_end(text: str, seen: str) -> None:
    assert as_seen(text) == seen


@given(st.text(st.characters(exclude_characters="\0\x1b\r")))
def test_text_that_draws_nothing_is_the_same(text: str) -> None:
    assert as_seen(text) is text


@given(st.text("ab1 \x1b[K2m;]\x07\\\r\n()B", max_size=60))
def test_what_is_seen_is_never_longer_and_has_as_many_lines(text: str) -> None:
    seen = as_seen(text)
    assert len(seen) <= len(text)
    assert as_seen(seen.replace("\x1b", "")) is not None


PROGRESS = "".join(f"\x1b[32mfetch\x1b[0m {n}%\r" for n in range(101)) + "\nerror: 7 files were not found\n" * 3


def test_a_progress_bar_is_its_last_state_and_the_output_can_be_asked_for() -> None:
    text, report = report_of(PROGRESS, HeadroomConfig())
    assert "fetch 100%" in text
    assert "fetch 99%" not in text
    assert "error: 7 files were not found" in text
    assert PROGRESS in report.originals().values()


def test_terminal_output_in_a_string_of_json_is_drawn_there() -> None:
    text, report = report_of(json.dumps({"exit_code": 1, "stdout": PROGRESS}), HeadroomConfig())
    assert "fetch 99%" not in text
    assert "fetch 100%" in text
    assert "exit_code" in text
    assert PROGRESS in report.originals().values()


@pytest.mark.parametrize(
    "own", [CompressorConfig(enabled=False), CompressorConfig(except_tools=["list_orders"])], ids=["disabled", "except_tools"]
)
def test_terminal_can_be_switched_off(own: CompressorConfig) -> None:
    for config in (HeadroomConfig(terminal=own), HeadroomConfig(routes=[])):
        assert ("interceptor:terminal" in str(report_of(PROGRESS, config)[1].labels)) == (config.terminal is not own)
    rule = HeadroomConfig(routes=[RouteConfig("/a", terminal=CompressorConfig(enabled=False))]).resolve()
    assert ["terminal" in {r.name for r in rule.route(path).compressors} for path in ("/a", "/b")] == [False, True]


def test_lossless_mode_leaves_it_as_it_is() -> None:
    assert "\x1b[0m 50%" in report_of(PROGRESS, HeadroomConfig(), redeemable=False)[0]


@pytest.mark.parametrize(
    "bait",
    [
        "\x1b" * 3_000_000,
        "\x1b]" * 1_500_000,
        "\x1b[1" * 1_000_000,
        "\r" * 3_000_000,
        "a\r" * 1_500_000,
        "\x1b]" + "x" * 3_000_000,
    ],
)
def test_bait_is_drawn_in_linear_time(bait: str) -> None:
    assert len(as_seen(bait)) <= len(bait)


def test_interceptors_work_without_any_compressor() -> None:
    config = HeadroomConfig(interceptors=[POD_NAMES])
    for section in ("text_compressor", "smart_crusher", "views"):
        getattr(config, section).enabled = False
    assert "by pods" in report_of(PODS, config)[0]


@pytest.mark.parametrize(("cut", "counts"), [(100, False), (1000, True)])
def test_what_is_gone_has_to_be_worth_a_marker(cut: int, counts: bool) -> None:
    done = intercepted(PODS, "x", Request(ref="r"), [Interceptor("a", ["*"], lambda text, arguments: text[:-cut])])
    assert (done.names == ["a"], done.text == PODS[:-cut]) == (counts, counts)


def test_the_function_itself_is_asked_with_what_the_one_before_left() -> None:
    seen: list[tuple[str, str]] = []

    def noting(text: str, arguments: str) -> None:
        seen.append((text, arguments))

    intercepted(PODS, "x", Request(ref="r", arguments="{}"), [Interceptor("a", ["*"], names), Interceptor("b", ["*"], noting)])  # type: ignore[arg-type]
    assert seen == [(names(PODS, ""), "{}")]
