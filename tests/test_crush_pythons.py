"""The kernel on other versions of Python: built from the same sources it gives the same bytes."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from headroom_asgi._crush import crush, expand
from tests.crush_documents import make_document
from tests.generated import ROOT, generated

DOCUMENTS = 400
VERSIONS = ("python3.12", "python3.13", "python3.14")

# How an extension is built for an interpreter: where its headers are, the ending of its name, its compiler's own flags.
ASK = "import json, sysconfig as s; print(json.dumps([s.get_path('include'), s.get_config_var('EXT_SUFFIX'), s.get_config_var('CCSHARED')]))"

RUN = """
import hashlib, json, sys
from headroom_asgi._crush import crush, expand
seen = hashlib.sha256()
for text in json.load(open(sys.argv[1])):
    found = crush(bytes.fromhex(text), ref=b"r", needles=[b"opened"]), crush(bytes.fromhex(text))
    seen.update(repr((found, found[1] and expand(found[1][0]))).encode())
print(seen.hexdigest())
"""


def answers(python: str) -> bool:
    """Whether it runs and extensions can be built for it."""
    asked = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and Path(json.loads(asked.stdout)[0], "Python.h").is_file()


def interpreters() -> list[str]:
    """The other interpreters on the path. Where there is none, our own: then the test says that sources give what is installed."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    found = [
        next(filter(answers, filter(None, (shutil.which(name, path=folder) for folder in folders))), None) for name in VERSIONS
    ]
    return [python for python in found if python] or [sys.executable]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C that Cython makes of the kernel; it is the same for every version."""
    return generated(tmp_path_factory.mktemp("c"))


def expected(documents: list[bytes]) -> str:
    """What the kernel of this interpreter makes of the documents, as one number."""
    seen = hashlib.sha256()
    for data in documents:
        found = crush(data, ref=b"r", needles=[b"opened"]), crush(data)
        seen.update(repr((found, found[1] and expand(found[1][0]))).encode())
    return seen.hexdigest()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("python", interpreters(), ids=lambda python: Path(python).name)
def test_every_python_gives_the_same_bytes(python: str, source: Path, tmp_path: Path) -> None:
    asked = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=True).stdout
    include, suffix, shared = json.loads(asked)
    package = tmp_path / "headroom_asgi"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(ROOT / "headroom_asgi" / "errors.py", package)
    compiler = [
        "gcc",
        "-O1",
        "-shared",
        *(shared or "-fPIC").split(),
        f"-I{include}",
        str(source),
        "-o",
        str(package / f"_crush{suffix}"),
    ]
    built = subprocess.run(compiler, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr[-2000:]

    documents = [make_document(random.Random(seed)).data for seed in range(DOCUMENTS)]
    (tmp_path / "documents.json").write_text(json.dumps([data.hex() for data in documents]))
    # -I would hide the package, and a PYTHONPATH of the caller's might bring another one in.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [python, "-W", "error", "-c", RUN, "documents.json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == expected(documents), done.stderr[-2000:]
