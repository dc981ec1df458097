"""Only what pyproject.toml cannot say: the compiled kernel.

HEADROOM_ANNOTATE=1   write the annotated C beside the source (cython -a)
HEADROOM_SANITIZE=1   build with AddressSanitizer and UndefinedBehaviorSanitizer
"""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup


def flag(name: str) -> bool:
    return os.environ.get(name, "") not in ("", "0")


optimize = [] if sys.platform == "win32" else ["-O3", "-g0"]
if flag("HEADROOM_SANITIZE"):
    optimize = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]

setup(
    ext_modules=cythonize(
        [
            Extension(
                "headroom_asgi._crush",
                ["headroom_asgi/_crush.pyx"],
                depends=[f"headroom_asgi/{n}" for n in sorted(os.listdir("headroom_asgi")) if n.endswith((".pxi", ".pxd"))],
                extra_compile_args=optimize,
                extra_link_args=["-fsanitize=address,undefined"] if flag("HEADROOM_SANITIZE") else [],
            )
        ],
        annotate=flag("HEADROOM_ANNOTATE"),
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
            "binding": True,
            "freethreading_compatible": True,
        },
    )
)
