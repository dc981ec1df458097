"""Many seeded examples against the independent reader, and the same text from every process. `python -m tests.crush_many` runs more."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from headroom_asgi._crush import crush
from tests.crush_documents import make_document
from tests.crush_many import FORMS, run

ROOT = Path(__file__).resolve().parent.parent
CHUNKS = 12
EXAMPLES = 1100


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_documents_and_texts_read_back_as_they_were(chunk: int) -> None:
    seen = run(EXAMPLES, chunk * EXAMPLES)
    assert [form for form in FORMS if not seen[form]] == [], "the examples no longer have these forms"


def digest(count: int) -> str:
    """One number for the crushed forms of so many documents."""
    whole = hashlib.sha256()
    for seed in range(count):
        data = make_document(random.Random(seed)).data
        whole.update(repr((crush(data), crush(data, ref=b"r", needles=[b"opened"]))).encode())
    return whole.hexdigest()


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_every_process_writes_the_same(hash_seed: str) -> None:
    program = "from tests.test_crush_many import digest; print(digest(300))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert done.stdout.strip() == digest(300)
