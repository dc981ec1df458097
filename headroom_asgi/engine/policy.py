"""The number of the policy that decides about forwarded bytes."""

from typing import Final

# Two policies may forward different bytes for the same conversation; one policy never does. Any change of forwarded bytes
# needs a new number: tests/policy_digests.json holds what this one makes of the recorded conversations.
POLICY: Final = 8
