"""Scripted rounds of a model in the dialect of OpenAI Responses, see `conversations`. Streams have every event of the API's."""

import json

from conversations import CLIENT_TOOL, Dialect, calls_of, split

from headroom_asgi.retrieval import TOOL
from headroom_asgi.wire.openai_responses import OpenAIResponses

OWN = {"type": "function", "name": TOOL.name, "parameters": {}, "strict": False}
THEIRS = {"type": "function", "name": CLIENT_TOOL, "parameters": {}, "strict": True}


def spelled(*events, first=0):
    """Events as the API spells them, numbered."""
    numbered = [{"type": e["type"], "sequence_number": n, **e} for n, e in enumerate(events, first)]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in numbered]


def item_events(index, item, pieces):
    """The events of one output item, its texts cut by `pieces`."""
    place = {"item_id": item["id"], "output_index": index}
    begun = item | {"status": "in_progress"} if "status" in item else dict(item)
    events = []
    if item["type"] == "message":
        begun["content"] = []
        for i, part in enumerate(item["content"]):
            at, text = {**place, "content_index": i}, part["text"]
            events.append({"type": "response.content_part.added", **at, "part": part | {"text": ""}})
            events += [{"type": "response.output_text.delta", **at, "delta": p, "logprobs": []} for p in pieces(text)]
            events.append({"type": "response.output_text.done", **at, "text": text, "logprobs": []})
            events.append({"type": "response.content_part.done", **at, "part": part})
    elif item["type"] == "reasoning":
        begun |= {"summary": [], "encrypted_content": ""}
        for i, part in enumerate(item["summary"]):
            at, text = {**place, "summary_index": i}, part["text"]
            events.append({"type": "response.reasoning_summary_part.added", **at, "part": part | {"text": ""}})
            events += [{"type": "response.reasoning_summary_text.delta", **at, "delta": p} for p in pieces(text)]
            events.append({"type": "response.reasoning_summary_text.done", **at, "text": text})
            events.append({"type": "response.reasoning_summary_part.done", **at, "part": part})
    elif item["type"] == "function_call":
        begun["arguments"] = ""
        name = "response.function_call_arguments"
        events += [{"type": f"{name}.delta", **place, "delta": p} for p in pieces(item["arguments"])]
        events.append({"type": f"{name}.done", **place, "name": item["name"], "arguments": item["arguments"]})
    elif item["type"] == "custom_tool_call":
        begun["input"] = ""
        name = "response.custom_tool_call_input"
        events += [{"type": f"{name}.delta", **place, "delta": p} for p in pieces(item["input"])]
        events.append({"type": f"{name}.done", **place, "input": item["input"]})
    elif item["type"] == "web_search_call":
        events += [{"type": f"response.web_search_call.{s}", **place} for s in ("in_progress", "searching", "completed")]
    added = {"type": "response.output_item.added", "output_index": index, "item": begun}
    return [added, *events, {"type": "response.output_item.done", "output_index": index, "item": item}]


def response_events(response, pieces):
    """All events of a response."""
    begun = response | {"status": "in_progress", "output": [], "usage": None, "completed_at": None}
    events = [{"type": "response.created", "response": begun}, {"type": "response.in_progress", "response": begun}]
    for index, item in enumerate(response["output"]):
        events += item_events(index, item, pieces)
    return [*events, {"type": f"response.{response['status']}", "response": response}]


def response_of(number, output, *, status="completed", tools=(THEIRS, OWN), **more):
    """A response as the API gives it; its usage tells rounds apart."""
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1000 + number,
        "status": status,
        "completed_at": 2000 + number,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "metadata": {},
        "model": "gpt-6-sol",
        "output": list(output),
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": list(tools),
        "top_p": 1.0,
        "usage": {
            "input_tokens": 10**number,
            "input_tokens_details": {"cached_tokens": 7},
            "output_tokens": number,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 10**number + number,
        },
        **more,
    }


class Responses(Dialect):
    wire = OpenAIResponses()
    body = b'{"model":"m","store":false,"input":[{"role":"user","content":"q"}]}'

    def _item(self, number, place, part):
        kind, words, call_id, name = part
        if kind == "text":
            content = [{"type": "output_text", "text": words, "annotations": [], "logprobs": []}]
            head = {"id": f"msg_{number}_{place}", "type": "message", "status": "completed", "role": "assistant"}
            return head | {"content": content}
        if kind == "signed":
            summary = [{"type": "summary_text", "text": "hm"}]
            return {"id": f"rs_{number}_{place}", "type": "reasoning", "summary": summary, "encrypted_content": words}
        head = {"id": f"fc_{number}_{place}", "type": "function_call", "status": "completed"}
        return head | {"call_id": call_id, "name": name, "arguments": words}

    def _response(self, number, parts, cut, client_tool):
        output = [self._item(number, place, part) for place, part in enumerate(calls_of(number, parts, client_tool))]
        return response_of(number, output, status="incomplete" if cut else "completed")

    def json(self, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        return json.dumps(self._response(number, parts, cut, client_tool), indent=1).encode()

    def stream(self, random, number, parts, *, cut=False, client_tool=CLIENT_TOOL):
        response = self._response(number, parts, cut, client_tool) | {"tools": [THEIRS]}  # what passes, passes as it is
        frames = spelled(*response_events(response, lambda text: split(random, text)))
        for at in range(len(frames) - 1, 0, -1):
            if random.random() < 0.1:
                frames.insert(at, b": keep-alive\n\n")
        return b"".join(frames)

    def value(self, answer):
        """A JSON answer has the last round's id, a stream the first one's; JSON answers here repeat our tool, streams don't."""
        return json.loads(answer) | {"id": "", "tools": [THEIRS]}

    def turn(self, answer):
        return json.loads(answer)["output"]

    def results(self, given):
        return [{"type": "function_call_output", "call_id": call_id, "output": text} for call_id, _, text in given]

    def question(self, text):
        return [{"role": "user", "content": text}]
