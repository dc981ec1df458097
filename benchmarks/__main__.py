"""`python -m benchmarks [NAME ...]`, e.g. `kernel` or `savings`: all of them without arguments."""

import sys

from benchmarks import aligner, kernel, middleware, savings, stores, streams, texts, trajectory

ALL = {
    "aligner": aligner.main,
    "kernel": kernel.main,
    "middleware": middleware.main,
    "savings": savings.main,
    "stores": stores.main,
    "streams": streams.main,
    "texts": texts.main,
    "trajectory": trajectory.main,
}

for name in sys.argv[1:] or ALL:
    if name not in ALL:
        sys.exit(f"{name}: expected one of {', '.join(ALL)}")
    ALL[name]()
    print()
