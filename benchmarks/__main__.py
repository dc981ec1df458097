"""`python -m benchmarks [aligner|kernel|middleware|savings|streams|texts|trajectory ...]`: all of them without arguments."""

import sys

from benchmarks import aligner, kernel, middleware, savings, streams, texts, trajectory

ALL = {
    "aligner": aligner.main,
    "kernel": kernel.main,
    "middleware": middleware.main,
    "savings": savings.main,
    "streams": streams.main,
    "texts": texts.main,
    "trajectory": trajectory.main,
}

for name in sys.argv[1:] or ALL:
    if name not in ALL:
        sys.exit(f"{name}: expected one of {', '.join(ALL)}")
    ALL[name]()
    print()
