"""The kernel under AddressSanitizer and UndefinedBehaviorSanitizer: no input makes it read or write where it must not."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from headroom_asgi._crush import Above, Words, crush, expand, filled, opaque_runs, regroup, view
from headroom_asgi.errors import ExpandError
from tests.crush_documents import make_document
from tests.crush_many import run, written

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = 1500
BROKEN = 2500


def broken(data: bytes, rng: random.Random) -> bytes:
    """The bytes with some of them cut off, put in, taken out or replaced; UTF-8 or not."""
    changed = bytearray(data[: rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data)
    for _ in range(rng.choice((0, 1, 3))):
        at = rng.randrange(len(changed) + 1)
        changed[at : at + rng.choice((0, 1, 9))] = rng.choice((rng.randbytes(1), rng.randbytes(4), b"\xe2\x9f", b"\\u", b"\0"))
    return bytes(changed)


def feed() -> None:
    """Seeded examples, and broken bytes of both kinds, through crush and expand."""
    run(EXAMPLES, 10**9)
    for seed in range(BROKEN):
        rng = random.Random(seed)
        document = make_document(rng).data
        above = Above()
        for data in (broken(document, rng), broken(document, rng)):
            found = crush(data, ref=b"r", needles=partial(list, (b"row", data[:5])))
            text = found[0] if found else data
            for crushed in (text, broken(text, rng), broken(written(rng)[0].encode(), rng)):
                regroup(filled(crushed) or data, crushed)
                words = Words([data[at : at + 1 + at % 6] for at in range(0, min(len(data), 200), 7)])
                words.lines(crushed, most=rng.choice((-1, 0, 2)), apart=rng.random() < 0.5)
                opaque_runs(crushed * 9)
                lines = [rng.choice((b"", b"x", data[:9])) for _ in range(rng.randrange(12))]
                numbered = broken(b"\n".join(b"%6d\t%b" % (at + rng.randrange(2), line) for at, line in enumerate(lines)), rng)
                for seen in (view(numbered) or numbered, broken(view(numbered) or numbered, rng)):
                    regroup(filled(seen) or seen, seen)
                    with contextlib.suppress(ExpandError):
                        expand(seen)
                patch = b"@@\n+" + crushed.replace(b"\n", b"\n+")
                least = [32, rng.choice((-1, 0)), 32, 32]
                above.add([crushed, data, patch, crushed], least, [(at, b"result", b"text") for at in range(4)])
                above.cut(rng.randrange(len(above) + 1))
                with contextlib.suppress(ExpandError):
                    expand(crushed)


def runtime(name: str) -> str | None:
    """The path of one of the compiler's libraries, if it has it."""
    if shutil.which("gcc") is None:
        return None
    found = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
    return found if Path(found).is_absolute() else None


@pytest.mark.timeout(600)
def test_the_sanitizers_have_nothing_to_report(tmp_path: Path) -> None:
    libraries = [runtime("libasan.so"), runtime("libubsan.so")]
    if sys.platform != "linux" or None in libraries:
        pytest.skip("gcc has no sanitizer runtime here")
    # The C that the kernel was built from comes along; it is made anew only where a source is newer.
    shutil.copytree(ROOT / "headroom_asgi", tmp_path / "headroom_asgi", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tmp_path)
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    built = subprocess.run(
        build, cwd=tmp_path, env={**os.environ, "HEADROOM_SANITIZE": "1"}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[-2000:]

    # Python itself leaks on purpose; its own allocator would hide what the kernel does behind the end of its memory.
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(map(str, libraries)),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT))),
    }
    program = (
        "import headroom_asgi._crush as kernel; from tests.test_crush_sanitized import feed;"
        f"assert kernel.__file__.startswith({str(tmp_path)!r}), kernel.__file__; feed()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "runtime error" not in done.stderr
