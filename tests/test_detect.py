"""The kind of a text: one of each sort of output that tools make, recorded ones, and hostile ones."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headroom_asgi.compressors import ContentKind, detect
from tests import detection

EXAMPLES = {
    ContentKind.JSON: ['{"a": [1, 2]}', '[{"id": 1}]\n[{"id": 2}]'],
    ContentKind.VIEW: ["     1→import os\n     2→\n     3→print(os.name)\n", "1\tone\n2\ttwo\n3\tthree"],
    ContentKind.HTML: ["<!DOCTYPE html>\n<html><body><p>Hello</p></body></html>"],
    ContentKind.LOG: [
        "2025-03-01 10:00:00,123 INFO start\n2025-03-01 10:00:01,200 WARN slow\n2025-03-01 10:00:02,001 INFO stop\n",
        "Mar  1 10:00:00 web-1 sshd[12]: Accepted\nMar  1 10:00:09 web-1 cron[9]: run\nMar  1 10:01:00 web-1 cron[9]: run\n",
        '10.1.2.3 - - [01/Mar/2025:10:00:00 +0000] "GET / HTTP/1.1" 200 12\n' * 4,
        "============ test session starts ============\ncollected 2 items\n\ntests/test_a.py ..   [100%]\n\n==== 2 passed in 0.1s ====\n",
        "PASS  src/a.test.ts\nFAIL  src/b.test.ts\n  ● renders\n\nTests:       1 failed, 1 passed, 2 total\nTime:        1.2 s\n",
        "running 2 tests\ntest a::works ... ok\ntest b::fails ... FAILED\n\ntest result: FAILED. 1 passed; 1 failed\n",
        "=== RUN   TestA\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n--- FAIL: TestB (0.01s)\nFAIL\n",
        "[INFO] Scanning for projects...\n[INFO] Building app 1.0\n[ERROR] COMPILATION ERROR\n[INFO] BUILD FAILURE\n",
        "npm WARN deprecated a@1.0.0\nnpm ERR! code E404\nnpm ERR! 404 Not Found\n",
        "Collecting requests\n  Downloading requests-2.31.0.whl (62 kB)\nInstalling collected packages: requests\n",
        'Traceback (most recent call last):\n  File "/app/a.py", line 3, in <module>\n    f()\n  File "/app/a.py", line 1, in f\n'
        "ValueError: no\n",
        "java.lang.IllegalStateException: no\n\tat a.b.C.run(C.java:10)\n\tat a.b.D.main(D.java:3)\nCaused by: java.io.IOException: x\n",
        "make[1]: Entering directory '/src'\ngcc -c a.c -o a.o\ngcc -c b.c -o b.o\nmake[1]: Leaving directory '/src'\n",
        'time=2025-03-01T10:00:00Z level=info msg="listening on :80"\nlevel=warn msg=slow took=3s\nts=1.5 level=info msg=done\n',
        "build\tRun tests\t2025-03-01T10:00:00.0000000Z hello\n" * 3,
    ],
    ContentKind.SEARCH: [
        "src/a.py:10:import os\nsrc/a.py:12:import re\nsrc/b.py:3:import os\n",
        "src/a.py-9-\nsrc/a.py:10:import os\nsrc/a.py-11-import re\n--\nsrc/b.py-2-\nsrc/b.py:3:import os\n",
        "C:\\app\\a.cs:10: using System;\nC:\\app\\b.cs:11: using System;\nC:\\app\\c.cs:12: using System;\n",
        "main.c:10:5: call to f\nmain.c:20:5: call to f\nutil.h:1:1: declared\n",
        "12:import os\n40:    return os.sep\n41:\n97:os.exit()\n",
    ],
    ContentKind.LISTING: [
        "total 12\ndrwxr-xr-x 2 root root 4096 Mar  1 10:00 .\n-rw-r--r-- 1 root root 12 Mar  1 10:00 a.txt\n",
        "./src/a.py\n./src/b.py\n./README.md\n",
        "8\t./src/a.py\n4\t./src/b.py\n12\t./src\n16\t./README.md\n",
        ".\n├── src\n│   ├── a.py\n│   └── b.py\n└── README.md\n",
        "Found 3 files\nsrc/app/main.ts\nsrc/app/user.ts\nsrc/index.ts\n",
    ],
    ContentKind.DIFF: [
        "diff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n import os\n-x = 1\n+x = 2\n",
        "--- a.txt\t2025-03-01\n+++ b.txt\t2025-03-02\n@@ -1 +1 @@\n-one\n+two\n",
    ],
    ContentKind.CODE: [
        "import os\n\n\ndef main() -> None:\n    for name in os.listdir():\n        print(name)\n\n\nif __name__ == '__main__':\n    main()\n",
        'package main\n\nimport "fmt"\n\nfunc main() {\n\tx := 1\n\tfmt.Println(x)\n}\n',
        "export const a = (b: number): number => {\n  const c = b + 1;\n  return c;\n};\n",
        '#include <stdio.h>\n\nint main(void) {\n    puts("hi");\n    return 0;\n}\n',
    ],
    ContentKind.MARKUP: [
        '<?xml version="1.0"?>\n<a>\n  <b c="1"/>\n  <d>text</d>\n</a>\n',
        "<div>\n  <ul>\n    <li>one</li>\n  </ul>\n</div>\n",
    ],
    ContentKind.TABLE: [
        "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n",
        "+---+---+\n| a | b |\n+---+---+\n| 1 | 2 |\n+---+---+\n",
    ],
    ContentKind.TEXT: [
        "",
        "The quick brown fox jumps over the lazy dog.\nIt did so twice, and then it slept.\nNobody knows why.\n",
        "Dear team,\n\nthe meeting is at 10:00, as said.\n\nBest,\nAnn\n",
        "# Title\n\nSome words.\n\n- one thing\n- another: with a colon\n- a third\n",
        "Have a look:\nsrc/a.py:10:import os\nsrc/a.py:12:import re\nsrc/b.py:3:import os\nThese are wrong.\nSee why.\nThen tell me.\n",
        "Error: it did not work, and there is only this line.\n",
        "  1:1  error  no semicolon\n  1:9  error  unused\n  7:1  warning  long\n  2:3  error  shadowed\n",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in EXAMPLES.items() for text in texts])
def test_an_output_is_told_by_its_text_alone(kind: ContentKind, text: str) -> None:
    assert detect(text) is kind


def test_recorded_outputs_are_taken_for_what_the_docs_say(corpus: Path) -> None:
    assert detection.table(detection.confusion(corpus)) in detection.DOCS.read_text(encoding="utf-8")


@given(st.text(st.characters(exclude_categories=[]), max_size=300))
def test_any_text_has_a_kind(text: str) -> None:
    assert detect(text) is detect(text)


@pytest.mark.parametrize(
    "line",
    [
        "[" * 200,
        "a " * 100,
        "const " * 50,
        "def ({ " * 40,
        "|" * 200,
        "a/" * 100,
        "a-1" * 80,
        "\u2502   " * 60,
        "=" * 200,
        " at (" * 50,
    ],
)
def test_hostile_lines_have_a_kind(line: str) -> None:
    detect(f"{line}\n" * 500)


@pytest.mark.parametrize("sign", ["\t", "|", " | "])
def test_rows_of_cells_are_no_file_although_they_are_numbered(sign: str) -> None:
    rows = [(str(number), name, "Oslo") for number, name in enumerate(["Ann", "Bob", "Eve", "Ian"], 1000)]
    assert detect("\n".join(map(sign.join, rows))) is ContentKind.TEXT


def test_indented_code_is_a_file() -> None:
    assert detect("10\t\tone := 1\n11\t\ttwo := 2\n12\t\tthree := 3\n") is ContentKind.VIEW
