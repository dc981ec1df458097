"""`python -m benchmarks [kernel|middleware|trajectory ...]`: all of them without arguments."""

import sys

from benchmarks import kernel, middleware, trajectory

ALL = {"kernel": kernel.main, "middleware": middleware.main, "trajectory": trajectory.main}

for name in sys.argv[1:] or ALL:
    if name not in ALL:
        sys.exit(f"{name}: expected one of {', '.join(ALL)}")
    ALL[name]()
    print()
