"""Runs inside the peer's own virtual environment: one JSON string a line in, what it makes of it as a tool output out."""

import json
import logging
import os
import sys
import time

logging.disable(logging.CRITICAL)
os.environ.setdefault("HF_HUB_OFFLINE", "1")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever it prints must not get among the answers

from headroom import compress  # type: ignore[import-not-found]  # noqa: E402  (after its log is off)

for line in sys.stdin:
    messages = [
        {"role": "user", "content": "Look at the data."},
        {"role": "assistant", "content": None,
         "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "fetch", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": json.loads(line)},
        {"role": "assistant", "content": "Let me see."},
        {"role": "user", "content": "Go on."},
    ]  # fmt: skip
    started = time.process_time()
    result = compress(messages, model="gpt-4o", model_limit=1_000_000)
    seconds = time.process_time() - started
    output = result.messages[2]["content"]
    answers.write(json.dumps([output if isinstance(output, str) else json.dumps(output), seconds]) + "\n")
    answers.flush()
