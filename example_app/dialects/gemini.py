"""Google Gemini: contents of parts, calls that carry a signature, streams as events or as one JSON array."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from example_app.dialects.base import (
    Address,
    Dialect,
    Envelope,
    RefusedError,
    check_names,
    conversation_of,
    dumped,
    pieces,
    sign,
)
from example_app.view import Item, Kind, Reply, text_of

_MODELS = r"(^|/)v1(beta|alpha|beta1)?/(projects/.+/)?(publishers/google/)?(models|tunedModels|endpoints)/(?P<model>[^/:]+)"
_ROLES = ("user", "model", "function")
_PARTS = ("text", "functionCall", "functionResponse", "inlineData", "fileData", "executableCode", "codeExecutionResult")
_FIRST_THAT_SIGNS = 3  # generation
_UNCHECKED = "skip_thought_signature_validator"  # documented: takes the place of a signature that nobody has
_NOT_OPENAPI = ("additionalProperties", "$schema", "$ref", "$defs", "const", "oneOf", "allOf")
_STATUS = {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
_ARRAY = "application/json"  # a stream that nobody asked to be SSE is one array


class Gemini(Dialect):
    """Google Gemini, on its own host and on Vertex AI."""

    name = "gemini"
    paths = (
        (_MODELS + ":generateContent$", Address(stream=False)),
        (_MODELS + ":streamGenerateContent$", Address(stream=True)),
        (_MODELS + ":countTokens$", Address(stream=False, counts=True)),
    )
    messages = "contents"
    tool_name = r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}"

    def address(self, path: str, query: str) -> Address | None:
        """Without `alt=sse`, a stream is a JSON array."""
        address = super().address(path, query)
        array = address is not None and address.stream and parse_qs(query).get("alt") != ["sse"]
        return replace(address, media=_ARRAY) if address and array else address

    def validate(self, body: dict[str, Any]) -> None:
        """Tools, roles, parts, counts of calls and responses, and the signatures of the current turn."""
        contents = conversation_of(body, "contents")
        self._tools(body)
        for index, content in enumerate(contents):
            _check_content(content, f"contents[{index}]")
        if contents[0].get("role", "user") == "model":
            raise RefusedError("Please ensure that multiturn requests begin with a user turn.", "contents")
        _pairs(contents)
        if _thinks(body):
            _signatures(contents)

    def _tools(self, body: dict[str, Any]) -> None:
        tools = body.get("tools") or []
        if body.get("cachedContent") and (tools or body.get("toolConfig") or body.get("systemInstruction")):
            raise RefusedError("CachedContent can not be used with GenerateContent request setting tools or system_instruction.")
        for tool in tools:
            for declared in tool.get("functionDeclarations") or ():
                if "parameters" in declared and "parametersJsonSchema" in declared:
                    raise RefusedError("parameters and parameters_json_schema must not both be set.", "tools")
                if odd := next((name for name in _NOT_OPENAPI if name in (declared.get("parameters") or {})), None):
                    raise RefusedError(f"Invalid JSON payload received. Unknown name \"{odd}\" at 'tools'.", "tools")
        check_names(self.tools(body), self.tool_name)

    def head(self, body: dict[str, Any]) -> Any:
        """System instruction and tools."""
        return [body.get("systemInstruction"), body.get("tools")]

    def items(self, body: dict[str, Any]) -> Iterator[Item]:
        """The system instruction and all parts. What has no id gets its place for one."""
        if system := body.get("systemInstruction"):
            yield Item("system", text_of(system.get("parts")))
        for index, content in enumerate(body["contents"]):
            said: Kind = "assistant" if content.get("role") == "model" else "user"
            for number, part in enumerate(content["parts"]):
                if call := part.get("functionCall"):
                    yield Item("call", json.dumps(call.get("args") or {}), call["name"], call.get("id", ""), index)
                elif result := part.get("functionResponse"):
                    place = result.get("id") or f"{index}.{number}"
                    yield Item("result", _told(result["response"]), result["name"], place, index)
                elif part.get("text") and not part.get("thought"):
                    yield Item(said, part["text"], message=index)

    def tools(self, body: dict[str, Any]) -> list[str]:
        """All declared functions."""
        tools = body.get("tools") or ()
        return [declared.get("name") for tool in tools for declared in tool.get("functionDeclarations") or ()]

    def answer(self, reply: Reply, envelope: Envelope) -> dict[str, Any]:
        """One candidate."""
        parts: list[dict[str, Any]] = []
        signed = _thinks(envelope.body)
        if reply.thinking and _shows_thoughts(envelope.body):
            parts.append({"text": reply.thinking, "thought": True})
        if reply.text:
            parts.append({"text": reply.text})
        for number, call in enumerate(reply.calls):
            said: dict[str, Any] = {"name": call.name, "args": call.arguments}
            if signed:
                said = {"id": f"fc-{envelope.key}{number}", **said}
            parts.append({"functionCall": said, **({"thoughtSignature": _signature(said)} if signed and not number else {})})
        if signed and not reply.calls:
            parts.append({"text": "", "thoughtSignature": sign(reply.text)})
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
        total = envelope.tokens_in + envelope.tokens_out
        usage = {
            "promptTokenCount": envelope.tokens_in,
            "candidatesTokenCount": envelope.tokens_out,
            "totalTokenCount": total,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": envelope.tokens_in}],
        }
        about = {"modelVersion": envelope.model, "responseId": f"resp-{envelope.key}"}
        return {"candidates": [candidate], "usageMetadata": usage, **about}

    def frames(self, answer: dict[str, Any], reply: Reply, envelope: Envelope, address: Address) -> Iterator[bytes]:  # noqa: ARG002
        """Chunks with new parts; calls come whole, the reason with an empty text."""
        [candidate] = answer["candidates"]
        about = {name: answer[name] for name in ("modelVersion", "responseId")}
        usage = {"promptTokenCount": envelope.tokens_in, "totalTokenCount": envelope.tokens_in}
        parts = list(_in_pieces(candidate["content"]["parts"]))
        if "text" not in parts[-1] or parts[-1]["text"]:
            parts.append({"text": ""})
        for number, part in enumerate(parts):
            ends = number == len(parts) - 1
            said = {"content": {"role": "model", "parts": [part]}, **({"finishReason": "STOP"} if ends else {}), "index": 0}
            chunk = {"candidates": [said], "usageMetadata": answer["usageMetadata"] if ends else usage, **about}
            if address.media == _ARRAY:
                yield (b",\r\n" if number else b"[") + dumped(chunk)
            else:
                yield b"data: " + dumped(chunk) + b"\r\n\r\n"
        if address.media == _ARRAY:
            yield b"]"

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        """Google's error object."""
        status = _STATUS.get(refused.status, "INTERNAL")
        return {"error": {"code": refused.status, "message": refused.message, "status": status}}

    def broken(self, message: str, address: Address) -> bytes:
        """An error in the place of a chunk."""
        error = dumped({"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}})
        return b",\r\n" + error + b"]" if address.media == _ARRAY else b"data: " + error + b"\r\n\r\n"

    def counted(self, tokens: int) -> dict[str, Any]:
        """A count."""
        return {"totalTokens": tokens}


def _thinks(body: dict[str, Any]) -> bool:
    """From the third generation on, models sign the first call of each step, and want it back."""
    found = re.match(r"gemini-(\d+)", str(body.get("model")))
    return found is not None and int(found[1]) >= _FIRST_THAT_SIGNS


def _shows_thoughts(body: dict[str, Any]) -> bool:
    return bool(((body.get("generationConfig") or {}).get("thinkingConfig") or {}).get("includeThoughts"))


def _signature(call: dict[str, Any]) -> str:
    """What only this call can have been signed with."""
    return sign(str(call["name"]), json.dumps(call.get("args") or {}))


def _told(response: dict[str, Any]) -> str:
    """What a function's response says."""
    [*texts] = response.values()
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) else json.dumps(response)


def _in_pieces(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for part in parts:
        if part.get("text"):
            for piece in pieces(part["text"]):
                yield {**part, "text": piece}
        else:
            yield part


def _check_content(content: dict[str, Any], where: str) -> None:
    if content.get("role", "user") not in _ROLES:
        raise RefusedError("Please use a valid role: user, model.", f"{where}.role")
    parts = content.get("parts")
    if not isinstance(parts, list) or not parts:
        raise RefusedError(f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.", where)
    for number, part in enumerate(parts):
        if not isinstance(part, dict) or sum(name in part for name in _PARTS) != 1:
            at = f"{where}.parts[{number}]"
            raise RefusedError(f"* {at}.data: required oneof field 'data' must have one initialized field", at)
        result = part.get("functionResponse")
        if result is not None and (not result.get("name") or not isinstance(result.get("response"), dict)):
            raise RefusedError(f"{where}.parts[{number}].functionResponse: name and response are required", where)
        if part.get("functionCall") is not None and not part["functionCall"].get("name"):
            raise RefusedError(f"{where}.parts[{number}].functionCall.name: must not be empty", where)


def _pairs(contents: list[dict[str, Any]]) -> None:
    """As many responses, of the same functions, as there were calls in the content before."""
    asked: list[dict[str, Any]] = []
    for content in contents:
        results = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        if len(results) != len(asked):
            raise RefusedError(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the "
                "function call turn."
            )
        if sorted(result["name"] for result in results) != sorted(call["name"] for call in asked):
            raise RefusedError("Please ensure that function response parts name the functions of the function call turn.")
        ids = {call["id"] for call in asked if call.get("id")}
        if strange := [result["id"] for result in results if ids and result.get("id") and result["id"] not in ids]:
            raise RefusedError(f"Function response with id {strange[0]} answers no function call.")
        asked = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        if asked and content.get("role") != "model":
            raise RefusedError("Please ensure that function call turn comes from the model.")
    if asked:
        raise RefusedError("Please ensure that function call turns are followed by their function responses.")


def _signatures(contents: list[dict[str, Any]]) -> None:
    """The first call of each step since the user last spoke has the signature that it came with."""
    spoke = [any("text" in part for part in content["parts"]) and content.get("role", "user") == "user" for content in contents]
    since = max((index for index, said in enumerate(spoke) if said), default=-1)
    for index, content in enumerate(contents):
        for number, part in enumerate(part for part in content["parts"] if "functionCall" in part):
            given = part.get("thoughtSignature") or part.get("thought_signature")
            where = f"contents[{index}]"
            if given is None and not number and index > since:
                raise RefusedError("Function call is missing a thought_signature in functionCall parts.", where)
            if given not in (None, _UNCHECKED, _signature(part["functionCall"])):
                raise RefusedError("Corrupted thought signature.", where)
