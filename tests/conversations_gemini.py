"""Scripted rounds of Gemini, spelled as JSON answers, as server-sent events, and as the elements of a streamed array."""

import json

from conversations import CLIENT_TOOL, Dialect, calls_of, split

from headroom_asgi.wire.gemini import Gemini as GeminiWire


def texts_joined(parts):
    """Parts with texts that follow each other as one, as far as nothing but text is in them."""
    joined = []
    for part in parts:
        bare = part.keys() == {"text"}
        if bare and joined and joined[-1].keys() == {"text"}:
            joined[-1] = {"text": joined[-1]["text"] + part["text"]}
        elif not bare or part["text"]:
            joined.append(part)
    return joined


class Gemini(Dialect):
    wire = GeminiWire()
    body = b'{"contents":[{"role":"user","parts":[{"text":"q"}]}]}'

    def value(self, answer):
        """A text is one part in JSON, and many in a stream."""
        value = json.loads(answer)
        for candidate in value["candidates"]:
            candidate["content"]["parts"] = texts_joined(candidate["content"]["parts"])
        return value

    def _part(self, part):
        kind, words, call_id, name = part
        if kind == "text":
            return {"text": words}
        if kind == "signed":
            return {"text": "", "thoughtSignature": words}
        return {"functionCall": {"id": call_id, "name": name, "args": json.loads(words)}}

    def _chunk(self, number, parts, reason="", usage=None):
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0} | ({"finishReason": reason} if reason else {})
        counted = {"usageMetadata": usage} if usage else {}
        return {"candidates": [candidate]} | counted | {"modelVersion": "gemini-3-pro", "responseId": f"r{number}"}

    def _usage(self, number):
        details = [{"modality": "TEXT", "tokenCount": 10 * number}]
        return {"promptTokenCount": 10 * number, "totalTokenCount": 11 * number, "promptTokensDetails": details}

    def _reason(self, cut):
        return "MAX_TOKENS" if cut else "STOP"

    def json(self, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        spelled = [self._part(part) for part in calls_of(number, parts, client_tool)]
        return json.dumps(self._chunk(number, spelled, self._reason(cut), self._usage(number))).encode()

    def turn(self, answer):
        return [json.loads(answer)["candidates"][0]["content"]]

    def results(self, given):
        named = [{"id": call_id, "name": name, "response": {"output": text}} for call_id, name, text in given]
        return [{"role": "user", "parts": [{"functionResponse": response} for response in named]}]

    def question(self, text):
        return [{"role": "user", "parts": [{"text": text}]}]

    def chunks(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        """The chunks of a stream: several parts in one, or a part in several; the reason beside the last part or behind it."""
        groups = []
        for part in calls_of(number, parts, client_tool):
            if part[0] == "text":
                groups += [[{"text": piece}] for piece in split(random, part[1])]
            else:
                groups.append([self._part(part)])
            if len(groups) > 1 and random.random() < 0.3 and "text" not in groups[-1][0]:
                groups[-2:] = [groups[-2] + groups[-1]]
        if random.random() < 0.5 or not groups:
            groups.append([{"text": ""}] if random.random() < 0.5 else [])
        return [
            *(self._chunk(number, group) for group in groups[:-1]),
            self._chunk(number, groups[-1], self._reason(cut), self._usage(number)),
        ]

    def stream(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        end = random.choice([b"\r\n\r\n", b"\n\n"])
        chunks = self.chunks(random, number, parts, cut=cut, client_tool=client_tool)
        spelled = [b"data: " + json.dumps(chunk).encode() + end for chunk in chunks]
        if random.random() < 0.2:
            spelled.insert(random.randint(0, len(spelled) - 1), b"\r\n")
        return b"".join(spelled)


class _ArrayWire(GeminiWire):
    def codec(self, media="application/json"):
        return super().codec("application/json")


class GeminiArray(Gemini):
    """The same, where the client did not ask for server-sent events."""

    wire = _ArrayWire()

    def stream(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        indent = random.choice([None, 2])
        chunks = self.chunks(random, number, parts, cut=cut, client_tool=client_tool)
        return b"[" + b"\n,\r\n".join(json.dumps(chunk, indent=indent).encode() for chunk in chunks) + b"\n]"
