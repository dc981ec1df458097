"""The model that reads words: every word of a text is read whatever its length, and what is no such model is refused at start-up."""

import random
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from headroom_asgi.compressors import WordModel, word_model
from headroom_asgi.compressors.kompress import unpacked, word_spans
from headroom_asgi.errors import ConfigError
from tests import tiny_models

needs_ml = pytest.mark.skipif(bool(word_model.MISSING), reason="the extra [ml] is not installed")


def whole(reading: Generator[None, None, bytes]) -> tuple[bytes, int]:
    """The mask, and how many batches it took."""
    for batches in range(1000):
        try:
            next(reading)
        except StopIteration as end:
            return end.value, batches
    raise AssertionError


def letters(count: int, longest: int, seed: int = 1) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.choices("abcdefghijk", k=draw.randint(1, longest))) for _ in range(count))


@needs_ml
@pytest.mark.parametrize("longest", [1, 7, 40, 600])
def test_no_word_is_lost_at_a_windows_border(tmp_path: Path, longest: int) -> None:
    """The model keeps words with a `k`; a token is a letter, so windows of 512 end inside of words, and some words are longer."""
    text = letters(12_000 // longest, longest)
    mask, batches = whole(WordModel(tiny_models.word_model(tmp_path, keeps="k")).read(text))
    assert unpacked(mask, len(text.split())) == ["k" in word for word in text.split()]
    assert batches >= 1


@needs_ml
def test_words_are_what_stands_between_blanks_whatever_the_tokenizer_makes_of_them(tmp_path: Path) -> None:
    text = "a-k b.c\n\n  k/b (a) a\u2003k 漢字 bb \tbb, k."
    model = WordModel(tiny_models.word_model(tmp_path, keeps="k"))
    words = [text[start:end] for start, end in word_spans(text)]
    assert unpacked(whole(model.read(text))[0], len(words)) == ["k" in word for word in words]


@needs_ml
def test_a_word_that_no_token_stands_for_stays(tmp_path: Path) -> None:
    model = WordModel(tiny_models.word_model(tmp_path))
    assert unpacked(whole(model.read("b \u2003\u2003 b"))[0], 3) == [False, True, False]
    assert unpacked(whole(model.read(""))[0], 0) == []


@needs_ml
def test_it_reads_a_batch_at_a_time(tmp_path: Path) -> None:
    model = WordModel(tiny_models.word_model(tmp_path))
    assert whole(model.read(letters(300, 1)))[1] == 1
    assert whole(model.read(letters(20_000, 1)))[1] == 6  # windows of 510 letters, 64 of them seen before, eight a batch


@needs_ml
def test_a_model_with_types_of_tokens_gets_them(tmp_path: Path) -> None:
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    model = WordModel(tiny_models.word_model(tmp_path, keeps="k", inputs=inputs))
    assert unpacked(whole(model.read("a k"))[0], 2) == [False, True]


def broken(folder: Path, name: str, data: bytes | None) -> str:
    tiny_models.word_model(folder)
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    return str(folder)


@needs_ml
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: str(folder / "nowhere"), "is not a folder with a file model.onnx"),
        (lambda folder: broken(folder, "model.onnx", None), "is not a folder with a file model.onnx"),
        (lambda folder: broken(folder, "tokenizer.json", None), "is not a folder with a file tokenizer.json"),
        (lambda folder: broken(folder, "model.onnx", b"no model"), "cannot be loaded"),
        (lambda folder: broken(folder, "tokenizer.json", b"{}"), "cannot be loaded"),
        (lambda folder: tiny_models.word_model(folder, labels=3), r"not a model that tells words: it gives \(1, 512, 3\)"),
        (lambda folder: tiny_models.word_model(folder, inputs=("input_ids", "pixels")), "its inputs pixels are unknown"),
    ],
    ids=["no folder", "no model", "no tokenizer", "garbage", "empty tokenizer", "three labels", "another input"],
)
def test_what_is_no_model_of_words_is_refused(tmp_path: Path, make: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^kompress_model: .*{said}"):
        WordModel(make(tmp_path))


def test_without_its_packages_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_model, "MISSING", "onnxruntime and tokenizers are not installed: pip install 'headroom-asgi[ml]'")
    with pytest.raises(ConfigError, match=r"^kompress_model: .*\[ml\]"):
        WordModel(tiny_models.word_model(tmp_path))


@needs_ml
def test_tokens_that_begin_with_the_blank_before_their_word_are_that_words(tmp_path: Path) -> None:
    """As in tokenizers of bytes, whose pieces are ` the`, ` river`, and whose windows end anywhere."""
    tokenizers = pytest.importorskip("tokenizers")
    text = "the river\nkeeps  the banks. " * 400 + "naïve 漢字 k"
    made = tokenizers.ByteLevelBPETokenizer(add_prefix_space=False, trim_offsets=False)
    made.train_from_iterator([text], vocab_size=300, special_tokens=["[PAD]"], show_progress=False)
    folder = Path(tiny_models.word_model(tmp_path, keeps="k", vocabulary=made.get_vocab()))
    made.save(str(folder / "tokenizer.json"))
    assert unpacked(whole(WordModel(str(folder)).read(text))[0], len(text.split())) == ["k" in word for word in text.split()]
