"""`python -m benchmarks [kernel|middleware|savings|trajectory ...]`: all of them without arguments."""

import sys

from benchmarks import kernel, middleware, savings, trajectory

ALL = {"kernel": kernel.main, "middleware": middleware.main, "savings": savings.main, "trajectory": trajectory.main}

for name in sys.argv[1:] or ALL:
    if name not in ALL:
        sys.exit(f"{name}: expected one of {', '.join(ALL)}")
    ALL[name]()
    print()
