"""The process environment, for settings that name a variable of it. Nothing else reads it."""

import os
from typing import Final

variable: Final = os.environ.get  # an environment variable, None if it is not set
