"""The C that Cython makes of the kernel: that of the last build where no source is newer, else made anew."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIRECTIVES = ("boundscheck=False", "wraparound=False", "cdivision=True", "initializedcheck=False", "binding=True")


def generated(folder: Path) -> Path:
    """The file; in that folder if it had to be made."""
    package = ROOT / "headroom_asgi"
    sources = [source for ending in ("pyx", "pxi", "pxd") for source in package.glob(f"_crush*.{ending}")]
    built = package / "_crush.c"
    if built.is_file() and built.stat().st_mtime > max(source.stat().st_mtime for source in sources):
        return built
    out = folder / "_crush.c"
    options = [option for directive in DIRECTIVES for option in ("-X", directive)]
    command = [sys.executable, "-m", "cython", "-3", *options, "-o", str(out), "headroom_asgi/_crush.pyx"]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return out
