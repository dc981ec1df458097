"""What is shipped: the sources, and a wheel that runs with no compiler and no Cython; and how the kernel was compiled."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from headroom_asgi import _crush
from tests.generated import ROOT, generated

KERNEL = sorted(ROOT.glob("headroom_asgi/_crush*.px*"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that was made from it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


@pytest.mark.timeout(400)
def test_the_sdist_has_the_sources_and_nothing_generated(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
    assert {str(path.relative_to(ROOT)) for path in KERNEL} <= names
    assert {"setup.py", "pyproject.toml", "LICENSE", "NOTICE", "headroom_asgi/_crush.pyi", "headroom_asgi/py.typed"} <= names
    assert [name for name in names if name.endswith((".so", ".c", ".pyc"))] == []


def test_the_wheel_runs_without_cython_and_without_the_source_tree(built: Path, tmp_path: Path) -> None:
    wheel = next(built.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
    assert any(re.search(r"headroom_asgi/_crush\.cpython.*\.so$", name) for name in names)
    assert {"headroom_asgi/_crush.pyi", "headroom_asgi/py.typed", "headroom_asgi/ranks/o200k_base.xz"} <= set(names)
    assert [name for name in names if name.endswith((".pyx", ".pxi", ".c")) or name.startswith(("tests/", "example_app/"))] == []
    program = (
        "import sys; sys.modules['Cython'] = None; sys.modules['cython'] = None; import headroom_asgi as h;"
        "assert h.__file__.startswith(sys.argv[1]), h.__file__;"
        "r = h.compress([{'role': 'tool', 'tool_call_id': 'x', 'content': str([{'a': n} for n in range(99)]).replace(chr(39), chr(34))}],"
        " model='gpt-4o'); print(r.transforms_applied, r.tokens_saved > 0)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert done.stdout.strip() == "['smart:lossless'] True", done.stderr


def test_the_compiled_kernel_is_loaded() -> None:
    assert re.search(r"_crush\.cpython-.*\.(so|pyd)$", _crush.__file__)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The C that Cython makes of the kernel."""
    return generated(tmp_path_factory.mktemp("c")).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "entry",
    [
        "8Document___cinit__",
        "minify",
        "estimate",
        "crush",
        "expand",
        r"5Above_\d*add",
        "filled",
        "regroup",
        "opaque_runs",
        "5Words___cinit__",
        r"5Words_\d*lines",
        r"5Words_\d*stand_in",
        "view",
        "same_start",
    ],
)
def test_every_entry_point_releases_the_gil_once_around_its_work(source: str, entry: str) -> None:
    found = re.search(rf"static [^;{{}}]*__pyx_pf_\w*?_crush_\d*{entry}\([^;{{}}]*\) {{", source)
    assert found is not None
    body = source[found.end() : source.index("__Pyx_RefNannyFinishContext", found.end())]
    assert body.count("PyEval_SaveThread()") == 1
