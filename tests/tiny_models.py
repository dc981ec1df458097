"""Word models of a few hundred bytes, made by tests: a table from token to two figures, and a tokenizer of letters."""

import json
import string
import struct
from collections.abc import Mapping
from pathlib import Path

# One token a letter, so that windows end in the middle of words; what is no letter is unknown.
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCABULARY = {
    token: number
    for number, token in enumerate([*SPECIAL, *(mark + letter for letter in string.ascii_letters for mark in ("", "##"))])
}


def word_model(
    folder: Path,
    *,
    keeps: str = "",
    labels: int = 2,
    inputs: tuple[str, ...] = ("input_ids", "attention_mask"),
    vocabulary: Mapping[str, int] = VOCABULARY,
) -> str:
    """A folder with a model that keeps the words that have one of these letters, and finds all others superfluous."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    table = [[0.0, 1.0] if token not in SPECIAL and {*token} & {*keeps} else [1.0, 0.0] for token in tokens]
    (folder / "model.onnx").write_bytes(_onnx([(row * labels)[:labels] for row in table], inputs))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    return str(folder)


def _tokenizer() -> dict[str, object]:
    special = [
        {"id": VOCABULARY[name], "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        for name in SPECIAL
    ]
    ends = {name: {"id": name, "ids": [VOCABULARY[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    opens, closes = ({"SpecialToken": {"id": name, "type_id": 0}} for name in ends)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{**each, "special": True} for each in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [opens, first, closes],
            "pair": [opens, first, closes, second, closes],
            "special_tokens": ends,
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 2000,
            "vocab": VOCABULARY,
        },
    }


def _onnx(table: list[list[float]], inputs: tuple[str, ...]) -> bytes:
    """A model in the form that ONNX prescribes (onnx.proto3): `logits = Gather(table, input_ids)`."""
    values = b"".join(struct.pack(f"<{len(row)}f", *row) for row in table)
    tensor = _number(1, len(table)) + _number(1, len(table[0])) + _number(2, 1) + _bytes(8, b"table") + _bytes(9, values)
    node = _bytes(1, b"table") + _bytes(1, b"input_ids") + _bytes(2, b"logits") + _bytes(4, b"Gather")
    graph = _bytes(1, node) + _bytes(2, b"tiny") + _bytes(5, tensor)
    graph += b"".join(_bytes(11, _value(name, 7, ["rows", "tokens"])) for name in inputs)
    graph += _bytes(12, _value("logits", 1, ["rows", "tokens", len(table[0])]))
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _number(2, 17))


def _value(name: str, kind: int, sizes: list[str | int]) -> bytes:
    shape = b"".join(_bytes(1, _number(1, size) if isinstance(size, int) else _bytes(2, size.encode())) for size in sizes)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shape)))


def _varint(number: int) -> bytes:
    data = b""
    while number > 0x7F:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data
