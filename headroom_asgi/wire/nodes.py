"""Looking into a scanned body or answer without believing anything about it: what is missing or of another kind is not there."""

from typing import Final

from headroom_asgi._crush import ARRAY, NULL, NUMBER, OBJECT, TRUE, Document
from headroom_asgi.errors import PayloadError, ResponseError, ScanError

find: Final = Document.find  # the node under a path of keys, -1 if there is none
text_at: Final = Document.text_at  # the string under a path of keys, "" if there is none
elements_at: Final = Document.elements_at  # the elements of the array under a path of keys, [] if there is none


def given(document: Document, node: int, key: str) -> int:
    """The node of a value that is there and not null, else -1."""
    value = document.get(node, key)
    return -1 if value >= 0 and document.kind(value) == NULL else value


def is_true(document: Document, node: int, key: str) -> bool:
    """The value under a key is `true`."""
    value = document.get(node, key)
    return value >= 0 and document.kind(value) == TRUE


def says(document: Document, node: int) -> bool:
    """The string at a node holds more than white space."""
    start, _ = document.span(node)
    # Most begin with a letter; only the others are decoded.
    return document.data[start + 1 : start + 2].isalnum() or bool(document.text(node).strip())


def begins(document: Document, node: int, start: str) -> bool:
    """The string at a node begins so; `start` is ASCII."""
    at = document.span(node)[0] + 1
    spelled = document.data[at : at + len(start)]
    return document.text(node).startswith(start) if b"\\" in spelled else spelled == start.encode("ascii")


def count_at(document: Document, node: int, key: str) -> int | None:
    """The small number under a key, as indices are; None if there is none."""
    value = document.get(node, key)
    digits = document.raw(value) if value >= 0 and document.kind(value) == NUMBER else b""
    return int(digits) if digits.isdigit() and len(digits) < 10 else None


def object_in(data: bytes | None) -> Document | None:
    """The JSON object that an event carries; None if it carries something else (keep-alives, `[DONE]`, a broken rest)."""
    if data is None:
        return None
    try:
        document = Document(data)
    except ScanError:
        return None
    return document if document.kind(0) == OBJECT else None


def json_in(pieces: bytes) -> bytes:
    """The JSON that a string holds, given as the content of its literal; b"" if it holds none (it is empty, or broke off)."""
    text = Document(b'"' + pieces + b'"').text(0).encode("utf-8", "surrogatepass")
    try:
        Document(text)
    except ScanError:
        return b""
    return text


def scanned_request(body: bytes) -> Document:
    """A request body. PayloadError if no provider would accept it: `invalid_json`, `invalid_utf8`, `not_an_object`."""
    try:
        document = Document(body)
    except ScanError as error:
        raise PayloadError(error.reason) from error
    if document.kind(0) != OBJECT:
        raise PayloadError("not_an_object")
    return document


def request(body: bytes) -> tuple[Document, int]:
    """A request body and the node of its messages. PayloadError as for any request, or `no_messages`."""
    document = scanned_request(body)
    messages = document.get(0, "messages")
    if messages < 0 or document.kind(messages) != ARRAY:
        raise PayloadError("no_messages")
    return document, messages


def scanned_answer(body: bytes) -> Document:
    """A whole answer. ResponseError if it is no JSON."""
    try:
        return Document(body)
    except ScanError as error:
        raise ResponseError(f"the answer is not JSON: {error}") from error
