"""Source code as an outline: only bodies of functions go, only where nobody asked for them, and only whole lines."""

import argparse
import inspect
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi import CompressorConfig, ConfigError, HeadroomConfig, RouteConfig, TransformPipeline
from headroom_asgi.compressors import MISSING, Markers, Request
from headroom_asgi.compressors.code import CodeCompressor
from headroom_asgi.transforms import Context, dispatch, drain, payload_of
from tests.driver import question_body

REF = "0" * 32
MARKER = re.compile(r"<<ccr:(0{32}-[a-z]+) (\d+) lines left out: (.*), lines (\d+) to (\d+)>>")


def outline(code: str, path: str = "", question: str = "", **arguments: Any) -> tuple[str, Markers]:
    markers = Markers(REF)
    given = {"path": path, **arguments} if path else arguments
    text = CodeCompressor().omit(code, Request(question, REF, json.dumps(given) if given else ""), markers)
    return (code if text is None else text), markers


def assert_only_left_out(code: str, text: str, markers: Markers) -> None:
    """The lines that are left are the code's, in order, and each marker stands for the very lines that it names."""
    parts = {omission.name: omission for omission in markers.omissions}
    whole: list[str] = []
    for line in text.split("\n"):
        found = MARKER.fullmatch(line.strip())
        if found is None:
            whole.append(line)
            continue
        omission = parts.pop(found[1])
        left_out = omission.text.split("\n")
        assert len(left_out) == omission.units == int(found[2])
        assert int(found[4]) == len(whole) + 1
        whole += left_out
        assert int(found[5]) == len(whole)
    assert "\n".join(whole) == code
    assert parts == {}


def lines(indent: str, form: str) -> str:
    """A body that is worth a marker."""
    return "\n".join(indent + form.format(n=n) for n in range(24))


PYTHON = f'''import os
from typing import Any

LIMIT = 10


class Store:
    """Keeps things."""

    size: int = 0

    def load_all(self, path: str) -> Any:
        """Load everything.

        There is more to say.
        """
{lines("        ", "value_{n} = os.path.join(path, str({n}))")}
        return value_0

    def short(self) -> int:
        return self.size


async def save_all(
    path: str,
) -> None:
{lines("    ", "print(path, {n})")}
'''
C = f"""#include <stdio.h>

typedef struct {{ int a; }} thing;

static int load_all(const char *path) {{
{lines("    ", 'printf("%s %d", path, {n});')}
    return 0;
}}

int save_all(void)
{{
{lines("    ", 'printf("%d", {n});')}
    return 0;
}}
"""
CPP = f"""#include <vector>

namespace shop {{

class Store {{
 public:
  int load_all(const std::vector<int>& paths) {{
{lines("    ", "total += paths[{n}] * 3;")}
    return total;
  }}

 private:
  int total = 0;
}};

void Store::save_all() {{
{lines("  ", "total -= {n} * other;")}
}}

}}  // namespace shop
"""
GO = f"""package store

import "fmt"

type Store struct {{
	Size int
}}

func (s *Store) load_all(path string) error {{
{lines("	", 'fmt.Println(path, "x", {n})')}
	return nil
}}

func save_all() {{
{lines("	", 'fmt.Println("saved", {n})')}
}}
"""
RUST = f"""use std::fs;

pub struct Store {{
    size: usize,
}}

impl Store {{
    /// Loads.
    pub fn load_all(&self, path: &str) -> usize {{
{lines("        ", 'println!("{{}} {{}}", path, {n});')}
        self.size
    }}
}}

fn save_all() {{
{lines("    ", 'println!("saved {{}}", {n});')}
}}
"""
JAVA = f"""package shop;

import java.util.List;

public class Store {{
    private int size;

    public Store(int size) {{
        this.size = size;
    }}

    public int load_all(List<String> paths) {{
{lines("        ", "size += paths.get({n}).length();")}
        return size;
    }}

    void save_all() {{
{lines("        ", "System.out.println(size + {n});")}
    }}
}}
"""
JAVASCRIPT = f"""import fs from "fs";

export class Store {{
  load_all(path) {{
{lines("    ", "this.items.push(fs.readFileSync(path + {n}));")}
    return this.items;
  }}
}}

export const save_all = async (path) => {{
{lines("  ", "await fs.promises.writeFile(path, String({n}));")}
}};
"""
TYPESCRIPT = f"""import fs from "fs";

export interface Item {{
  name: string;
}}

export class Store {{
  private items: Item[] = [];

  load_all(path: string): Item[] {{
{lines("    ", "this.items.push({{ name: path + {n} }});")}
    return this.items;
  }}
}}

export async function save_all(path: string): Promise<void> {{
{lines("  ", "await fs.promises.writeFile(path, String({n}));")}
}}
"""
TSX = f"""import React from "react";

type Props = {{ title: string }};

export function load_all(props: Props) {{
{lines("  ", "const part_{n} = props.title + {n};")}
  return <h1>{{props.title}}</h1>;
}}

export const save_all = (props: Props): number => {{
{lines("  ", "console.log(props.title, {n});")}
  return 1;
}};
"""
SOURCES = {
    "a.py": PYTHON,
    "a.c": C,
    "a.cpp": CPP,
    "a.go": GO,
    "a.rs": RUST,
    "A.java": JAVA,
    "a.js": JAVASCRIPT,
    "a.ts": TYPESCRIPT,
    "a.tsx": TSX,
}
every_language = pytest.mark.parametrize(("path", "code"), SOURCES.items(), ids=list(SOURCES))


@every_language
def test_the_bodies_go_and_everything_else_stays(path: str, code: str) -> None:
    text, markers = outline(code, path)
    assert_only_left_out(code, text, markers)
    assert [omission.units >= 24 for omission in markers.omissions] == [True, True]
    names = [found[3] for found in MARKER.finditer(text)]
    assert names == ["load_all", "save_all"]
    assert len(text) < len(code) / 2
    assert [line for line in text.split("\n") if line.strip()[:1] == "}"] == [
        line for line in code.split("\n") if line.strip()[:1] == "}"
    ]


@every_language
def test_the_language_is_told_by_the_text_where_no_path_tells_it(path: str, code: str) -> None:
    assert outline(code)[0] == outline(code, path)[0] != code


@every_language
def test_a_body_that_the_question_names_stays(path: str, code: str) -> None:
    for asked in ({"question": "What does load_all do?"}, {"symbol": "load_all"}):
        text, markers = outline(code, path, **asked)
        assert_only_left_out(code, text, markers)
        assert [found[3] for found in MARKER.finditer(text)] == ["save_all"]


@every_language
def test_a_text_that_does_not_parse_stays(path: str, code: str) -> None:
    for broken in (code + "\n)))] def (", code.replace("(", "((", 1)):
        assert outline(broken, path)[0] == broken


def test_of_a_docstring_what_stands_in_its_first_line_stays() -> None:
    text, _ = outline(PYTHON, "a.py")
    assert '        """Load everything.\n        <<ccr:' in text
    later = PYTHON.replace('"""Load everything.', '"""\n        Load everything.')
    assert '        """\n        Load everything.\n        <<ccr:' in outline(later, "a.py")[0]


def test_a_body_that_is_not_worth_a_marker_stays() -> None:
    assert "return self.size" in outline(PYTHON, "a.py")[0]
    small = "def a():\n    x = 1\n    return x\n" * 40
    assert outline(small, "a.py")[0] == small


def test_a_body_stays_whose_function_is_called_a_plain_word_that_the_question_has() -> None:
    code = PYTHON.replace("save_all", "retry")
    assert [found[3] for found in MARKER.finditer(outline(code, "a.py", question="Why does retry fail?")[0])] == ["load_all"]


def test_a_body_with_a_literal_of_the_question_in_it_stays() -> None:
    code = PYTHON.replace("print(path, 7)", "print(path, 'ORD-4711')")
    text, _ = outline(code, "a.py", question="where is ORD-4711 printed?")
    assert [found[3] for found in MARKER.finditer(text)] == ["load_all"]


def test_of_a_body_that_stays_those_inside_it_may_go() -> None:
    inner = "\n".join(f"    {line}" if line else line for line in PYTHON[PYTHON.index("async def") :].split("\n"))
    code = f"def outer_one(x):\n    y = x\n{inner}\n    return y\n"
    text, markers = outline(code, "a.py", question="what is outer_one?")
    assert_only_left_out(code, text, markers)
    assert [found[3] for found in MARKER.finditer(text)] == ["save_all"]
    assert [found[3] for found in MARKER.finditer(outline(code, "a.py")[0])] == ["outer_one"]


@pytest.mark.parametrize(
    "code",
    [
        "def a(): return [" + "1, " * 300 + "]\n",
        "x = lambda: (\n" + "    1 +\n" * 100 + "    1)\n",
        "class A:\n" + "".join(f"    attribute_{n} = {n}\n" for n in range(100)),
        "".join(f"LINE_{n} = {n}\n" for n in range(100)),
    ],
    ids=["behind the colon", "lambda", "class", "module"],
)
def test_what_is_no_body_of_lines_stays(code: str) -> None:
    assert outline(code, "a.py")[0] == code


def test_a_real_module_is_its_outline() -> None:
    code = inspect.getsource(argparse)
    text, markers = outline(code, "argparse.py", question="How does parse_known_args work?")
    assert_only_left_out(code, text, markers)
    assert len(text) < len(code) * 0.55
    for name in re.findall(r"^ *(?:def|class) .*", code, re.MULTILINE):
        assert name in text or "        def " in name
    body = inspect.getsource(argparse.ArgumentParser.parse_known_args)
    assert body in text


@given(st.lists(st.sampled_from(PYTHON.split("\n")), max_size=40))
def test_whatever_lines_there_are_only_bodies_go(some: list[str]) -> None:
    code = "\n".join([*PYTHON.split("\n"), *some])
    text, markers = outline(code, "a.py")
    assert_only_left_out(code, text, markers)


@pytest.mark.parametrize(
    "bait", ["(" * 200_000, "{[" * 100_000, "if a:\n " * 30_000, "def f():\n" * 25_000, "a" * 250_000, "#if\n" * 60_000, "f'{" * 80_000,
             "public " * 18_000, "import os\ndef f(x):\n  pass\n" + "#if\n" * 31_000, "def f():\n  pass\n" + "\\\n" * 60_000,
             "fn f() {" + 'r#"' * 40_000, "class A { void f() {" + "template<" * 14_000, "<" * 128_000, "a?" * 64_000, "\u2028" * 80_000, "\ud800" * 3000, "def a():\n" + " x\n" * 80_000]
)  # fmt: skip
@pytest.mark.parametrize("path", ["a.py", "a.c", "a.cpp", "A.java", "a.rs", "a.tsx", ""])
def test_bait_stays_or_is_left_out_whole_lines_only(bait: str, path: str) -> None:
    text, markers = outline(bait, path)
    assert_only_left_out(bait, text, markers)


def test_a_text_beyond_the_bound_stays() -> None:
    for count, stays in ((100_000, False), (140_000, True)):
        code = PYTHON + f'LONG = "{"a" * count}"\n'
        assert (outline(code, "a.py")[0] == code) == stays


# -- in the pipeline ----------------------------------------------------------------------------------------------------

ON = CompressorConfig(enabled=True)


def forwarded(config: HeadroomConfig, *, redeemable: bool = True) -> str:
    payload = payload_of(question_body("openai-chat", PYTHON)["messages"], "m", None)
    return drain(TransformPipeline(config).steps(payload, Context(redeemable=redeemable))).payload.segments[-1].text


def test_it_is_off_until_it_is_asked_for() -> None:
    assert "load_all, lines" not in forwarded(HeadroomConfig())
    assert "load_all, lines" in forwarded(HeadroomConfig(code=ON))


@pytest.mark.parametrize(
    "config",
    [
        HeadroomConfig(code=CompressorConfig(enabled=True, except_tools=["list_orders"])),
        HeadroomConfig(code=CompressorConfig(enabled=False)),
    ],
)
def test_it_can_be_switched_off_for_tools(config: HeadroomConfig) -> None:
    assert "load_all, lines" not in forwarded(config)


def test_exact_match_tools_and_lossless_requests_keep_their_code() -> None:
    config = HeadroomConfig(code=ON)
    assert forwarded(config, redeemable=False) == forwarded(HeadroomConfig(), redeemable=False)
    config.content_router.exact_match_tools = ["list_orders"]
    assert forwarded(config) == PYTHON


def test_a_route_has_its_own() -> None:
    settings = HeadroomConfig(routes=[RouteConfig("/a", code=ON)]).resolve()
    assert ["code" in {rule.name for rule in settings.route(path).compressors} for path in ("/a", "/b")] == [True, False]


def test_without_the_extra_it_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "code" not in MISSING
    monkeypatch.setattr(dispatch, "MISSING", {"code": "pip install 'headroom-asgi[code]'"})
    TransformPipeline(HeadroomConfig())
    with pytest.raises(ConfigError, match=r"^code.enabled: pip install 'headroom-asgi\[code\]'"):
        TransformPipeline(HeadroomConfig(code=ON))
