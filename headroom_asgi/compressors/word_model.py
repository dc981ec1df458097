"""A model that reads which words of a text stay: a token classifier in a folder on this machine, run by ONNX Runtime."""

from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from headroom_asgi.compressors.kompress import packed, word_spans
from headroom_asgi.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Encoding

# Importing them takes half a second: only who loads a model does.
_PACKAGES: Final = ("numpy", "onnxruntime", "tokenizers")
# Why there is no model, "" if there may be one.
MISSING: Final = (
    "" if all(map(find_spec, _PACKAGES)) else "onnxruntime and tokenizers are not installed: pip install 'headroom-asgi[ml]'"
)

_FILES: Final = ("model.onnx", "tokenizer.json")
# Tokens that the model sees at once, and how many of them it has seen in the window before: a word at the end of one has its
# neighbors in the next.
_WINDOW: Final = 512
_OVERLAP: Final = 64
_BATCH: Final = 8  # windows that are read in one go
_INPUTS: Final = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_LABELS: Final = 2  # the word goes, it stays
_TRIAL: Final = "A model has to read a whole window before it is taken. " * 60


class WordModel:
    """A loaded model. Safe from several threads.

    Args:
        folder: with `model.onnx`, whose output has two figures for each token (it goes, it stays), and `tokenizer.json`.

    Raises:
        ConfigError: a package or a file is missing, or it is no such model.
    """

    def __init__(self, folder: str) -> None:
        if MISSING:
            raise ConfigError(f"kompress_model: {MISSING}")
        for name in _FILES:
            if not Path(folder, name).is_file():
                raise ConfigError(f"kompress_model: {folder!r} is not a folder with a file {name}")
        self._numpy, runtime, tokenizers = map(import_module, _PACKAGES)
        options = runtime.SessionOptions()
        # One thread, the caller's own: it survives a fork, and how many texts are read at a time is decided elsewhere.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        runtime.disable_telemetry_events()
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(Path(folder, _FILES[1])))
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(_WINDOW, stride=_OVERLAP)
            self._session = runtime.InferenceSession(str(Path(folder, _FILES[0])), options, providers=["CPUExecutionProvider"])
            self._inputs = [each.name for each in self._session.get_inputs()]
            unknown = sorted({*self._inputs} - _INPUTS)
            fault = f"its inputs {', '.join(unknown)} are unknown" if unknown else self._fault()
        except Exception as error:  # what these libraries raise has no class of its own
            raise ConfigError(f"kompress_model: {folder!r} cannot be loaded ({type(error).__name__}: {error})") from error
        if fault:
            raise ConfigError(f"kompress_model: {folder!r} is not a model that tells words: {fault}")

    def read(self, text: str) -> Generator[None, None, bytes]:
        """Read a text, one batch of windows each time that it is told to go on; returns the mask.

        A word goes if every token of it, in every window that it is in, says so. One that the model never saw stays.
        """
        words = word_spans(text)
        ends = [end for _, end in words]
        seen = [False] * len(words)
        stays = [False] * len(words)
        for batch in _batches(self._windows(text)):
            for window, kept in zip(batch, self._kept(batch), strict=True):
                for (start, end), stay in zip(window.offsets, kept, strict=False):  # behind its tokens is filling
                    word = bisect_left(ends, end)  # some tokens begin with the blank before their word
                    if start < end and word < len(words) and words[word][0] < end:
                        seen[word] = True
                        stays[word] = stays[word] or stay
            yield
        return packed([stay or not saw for stay, saw in zip(stays, seen, strict=True)])

    def _fault(self) -> str:
        """Why this is no such model, "" if it is one."""
        window = self._windows(_TRIAL)[0]
        figures = self._run([window])
        if figures.shape != (1, len(window.ids), _LABELS):
            return f"it gives {figures.shape} for {len(window.ids)} tokens, not {(1, len(window.ids), _LABELS)}"
        return ""

    def _windows(self, text: str) -> "list[Encoding]":
        first = self._tokenizer.encode(text)
        return [first, *first.overflowing]

    def _kept(self, batch: "Sequence[Encoding]") -> list[list[bool]]:
        """For each token of each window, whether it stays."""
        figures = self._run(batch)
        kept: list[list[bool]] = (~(figures[..., 0] > figures[..., 1])).tolist()
        return kept

    def _run(self, batch: "Sequence[Encoding]") -> Any:
        longest = max(len(window.ids) for window in batch)
        fed = {name: self._numpy.zeros((len(batch), longest), dtype="int64") for name in _INPUTS}
        for row, window in enumerate(batch):
            fed["input_ids"][row, : len(window.ids)] = window.ids
            fed["attention_mask"][row, : len(window.ids)] = 1
        return self._session.run(None, {name: fed[name] for name in self._inputs})[0]


def _batches(windows: "Sequence[Encoding]") -> "Iterator[Sequence[Encoding]]":
    return (windows[at : at + _BATCH] for at in range(0, len(windows), _BATCH))
