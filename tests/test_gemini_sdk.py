"""Google's own client behind the middleware: it sees ordinary answers, calls its own functions, and sees no trace of our tool."""

import json
import re

import httpx
import pytest
from google import genai
from google.genai import errors, types

from headroom_asgi import HeadroomMiddleware
from headroom_asgi.store import MemoryStore
from headroom_asgi.wire import dialect_named
from headroom_asgi.wire.gemini_parts import SENTINEL

pytestmark = pytest.mark.anyio

ORDERS = [
    {"id": f"ORD-{10_000 + n}", "customer": f"customer {n}", "status": ["shipped", "pending"][n % 2], "total": 10.5 * n}
    for n in range(400)
]
TABLE = json.dumps(ORDERS)
OURS = "headroom_retrieve"
SIGNATURE = "U2lnbmVk+/8="  # what the API sends is in base64's first alphabet
DECLARATION = {"name": "list_orders", "description": "d", "parameters": {"type": "OBJECT", "properties": {}}}
WHOLE, STREAM = ":generateContent", ":streamGenerateContent"
both = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def text(words):
    return {"text": words}


def call(name, call_id="", signature="", **arguments):
    part = {"functionCall": {"name": name, "args": arguments} | ({"id": call_id} if call_id else {})}
    return part | ({"thoughtSignature": signature} if signature else {})


class Model:
    """Answers by script, one list of parts a round, and refuses what the API refuses. `REF` is the marker in the request."""

    def __init__(self, *rounds):
        self.rounds = list(rounds)
        self.requests = []
        self.said = []

    async def __call__(self, scope, receive, send):
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        request = json.loads(body)
        self.requests.append(request)
        problem = self.refused(request)
        if problem:
            await self.answer(send, 400, {"error": {"code": 400, "message": problem, "status": "INVALID_ARGUMENT"}})
            return
        marker = re.search(r"<<ccr:([0-9a-f-]+) ", json.dumps(request["contents"]))
        script = json.dumps(self.rounds.pop(0)).replace("REF", marker[1] if marker else "none")
        self.said.append(json.loads(script))
        number = len(self.requests)
        if scope["path"].endswith(WHOLE):
            await self.answer(send, 200, self.chunk(number, json.loads(script), last=True))
        else:
            chunks = [[part] for part in json.loads(script)]
            spelled = [self.chunk(number, parts, last=i == len(chunks) - 1) for i, parts in enumerate(chunks)]
            sse = b"alt=sse" in scope["query_string"]
            media = b"text/event-stream" if sse else b"application/json; charset=UTF-8"
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media)]})
            for i, chunk in enumerate(spelled):
                data = json.dumps(chunk).encode()
                data = b"data: " + data + b"\r\n\r\n" if sse else (b",\r\n" if i else b"[") + data
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b"" if sse else b"]", "more_body": False})

    async def answer(self, send, status, value):
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(value).encode(), "more_body": False})

    def chunk(self, number, parts, *, last):
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0} | ({"finishReason": "STOP"} if last else {})
        usage = {"promptTokenCount": 100 * number, "totalTokenCount": 110 * number}
        usage |= {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": 100 * number}]}
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "gemini-3-pro-preview",
            "responseId": f"response-{number}",
        }

    def refused(self, request):
        """Calls and results that do not fit, and first calls without a signature."""
        calls = 0
        for content in request["contents"]:
            parts = content["parts"]
            results = [part for part in parts if "functionResponse" in part]
            if content["role"] != "model" and len(results) != calls:
                return f"{len(results)} function responses for {calls} function calls"
            found = [part for part in parts if "functionCall" in part] if content["role"] == "model" else []
            if found and not calls and "thoughtSignature" not in found[0]:
                return "Function call is missing a thought_signature in functionCall parts."
            calls = calls + len(found) if content["role"] == "model" else 0  # chunks of one turn stand in a row
        return ""


class Client:
    """The SDK's client over the middleware around a model."""

    def __init__(self, *rounds, **settings):
        self.model = Model(*rounds)
        self.app = HeadroomMiddleware(self.model, discover=False, **settings)

    async def __aenter__(self):
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://t")
        options = types.HttpOptions(base_url="http://t", httpx_async_client=self.http)
        self.client = genai.Client(api_key="x", http_options=options)
        self.models = self.client.aio.models
        return self

    async def __aexit__(self, *_):
        await self.client.aio.aclose()
        await self.http.aclose()
        self.client.close()


def config(**more):
    off = types.AutomaticFunctionCallingConfig(disable=True)
    tools = [types.Tool(function_declarations=[types.FunctionDeclaration(**DECLARATION)])]
    return types.GenerateContentConfig(**({"tools": tools, "automatic_function_calling": off} | more))


def asked():
    """A conversation whose one tool result is the table."""
    return [
        {"role": "user", "parts": [{"text": "What of order ORD-10059?"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "list_orders", "args": {}}, "thoughtSignature": SIGNATURE}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "list_orders", "response": {"output": TABLE}}}]},
    ]


async def told(client, *, stream, contents=None, **more):
    """The parts, last reason, ids and last usage that the SDK sees."""
    arguments = {"model": "gemini-3-pro-preview", "contents": contents or asked(), "config": config(**more)}
    if stream:
        answers = [chunk async for chunk in await client.models.generate_content_stream(**arguments)]
    else:
        answers = [await client.models.generate_content(**arguments)]
    parts = [part for answer in answers for part in answer.candidates[0].content.parts]
    assert OURS not in "".join(answer.model_dump_json() for answer in answers)
    assert [answer.candidates[0].finish_reason is not None for answer in answers] == [False] * (len(answers) - 1) + [True]
    return parts, answers[-1].usage_metadata, {answer.response_id for answer in answers}


def shown(parts):
    """Texts, and names of calls."""
    return [part.function_call.name if part.function_call else part.text for part in parts if part.function_call or part.text]


HIDDEN = call(OURS, "h1", SIGNATURE, ref="REF")


@both
async def test_hidden_rounds_are_one_answer(stream):
    rounds = [
        ([HIDDEN], [text("It is pending.")]),
        ([text("Let me look."), HIDDEN], [text("It is pending.")]),
        ([HIDDEN, call(OURS, "h2", ref="REF")], [text("It is pending.")]),
        ([HIDDEN], [call(OURS, "h2", SIGNATURE, ref="REF")], [call(OURS, "h3", SIGNATURE, ref="REF")], [text("It is pending.")]),
    ]
    for script in rounds:
        async with Client(*script) as client:
            parts, usage, ids = await told(client, stream=stream)
        assert shown(parts) == [*(["Let me look."] if len(script[0]) > 1 and "text" in script[0][0] else []), "It is pending."]
        assert ids == {"response-1"}
        assert usage.total_token_count == sum(110 * n for n in range(1, len(script) + 1))
        assert usage.prompt_tokens_details[0].token_count == sum(100 * n for n in range(1, len(script) + 1))
        last = client.model.requests[-1]["contents"]
        assert last[-2]["parts"][-1]["functionCall"]["name"] == OURS
        assert "ORD-10100" in last[-1]["parts"][0]["functionResponse"]["response"]["output"]


@both
@pytest.mark.parametrize("shared", [False, True], ids=["stripped", "replayed"])
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_mixed_turn_has_the_clients_calls_and_its_next_request_is_taken(stream, shared, place):
    turn = [call("list_orders", "c1", n=1), call("list_orders", "c2", n=2)]
    turn.insert(place, call(OURS, "h1", ref="REF"))
    turn[0]["thoughtSignature"] = SIGNATURE
    async with Client([HIDDEN], turn, [text("done")], store=MemoryStore(shared=shared)) as client:
        parts, _, _ = await told(client, stream=stream)
        assert [part.function_call.args for part in parts if part.function_call] == [{"n": 1}, {"n": 2}]
        # The client goes on with the parts as it decoded them.
        kept = types.Content(role="model", parts=[part for part in parts if part.function_call])
        responses = [types.Part.from_function_response(name="list_orders", response={"output": "[]"}) for _ in range(2)]
        contents = [*asked(), kept, types.Content(role="user", parts=responses)]
        parts, _, _ = await told(client, stream=stream, contents=contents)
    assert shown(parts) == ["done"]
    before, after = client.model.requests[1]["contents"], client.model.requests[2]["contents"]
    if shared:
        assert after[: len(before)] == before
        script = client.model.said[1]
        assert after[len(before)]["parts"] == script
        names = [part["functionResponse"]["name"] for part in after[len(before) + 1]["parts"]]
        assert names == [part["functionCall"]["name"] for part in script]
    else:
        sent_back = SENTINEL if place == 0 else SIGNATURE.translate(str.maketrans("+/", "-_"))
        assert [part.get("thoughtSignature") for part in after[3]["parts"]] == [sent_back, None]


@both
async def test_structured_output_has_no_preamble(stream):
    more = {
        "response_mime_type": "application/json",
        "response_schema": {"type": "OBJECT", "properties": {"ok": {"type": "BOOLEAN"}}},
    }
    async with Client([text("Let me look."), HIDDEN], [text('{"ok"'), text(": true}")]) as client:
        parts, _, _ = await told(client, stream=stream, **more)
    assert json.loads("".join(part.text for part in parts)) == {"ok": True}


@both
async def test_functions_of_the_client_are_called_by_the_sdk_and_ours_never(stream):
    called = []

    def list_orders(customer: str) -> str:
        """Lists orders."""
        called.append(customer)
        return TABLE

    rounds = [
        [call("list_orders", "", SIGNATURE, customer="a")],
        [call(OURS, "", SIGNATURE, ref="REF"), call("list_orders", "", customer="b")],
        [text("one moment"), call(OURS, "", SIGNATURE, ref="REF")],
        [text("It is pending.")],
    ]
    async with Client(*rounds) as client:
        arguments = {"model": "gemini-3-pro-preview", "contents": "ORD-10059?"}
        arguments["config"] = types.GenerateContentConfig(tools=[list_orders])
        if stream:
            answers = [chunk async for chunk in await client.models.generate_content_stream(**arguments)]
        else:
            answers = [await client.models.generate_content(**arguments)]
    assert called == ["a", "b"]
    assert shown(answers[-1].candidates[0].content.parts) == (["one moment", "It is pending."] if not stream else [])
    assert "".join(answer.text or "" for answer in answers).endswith("one momentIt is pending.")
    assert OURS not in "".join(answer.model_dump_json() for answer in answers)
    names = [each["name"] for each in client.model.requests[0]["tools"][0]["functionDeclarations"]]
    assert names == ["list_orders", OURS]


@both
async def test_a_chat_keeps_a_valid_history(stream):
    tools = [types.Tool(function_declarations=[types.FunctionDeclaration(**DECLARATION)])]
    async with Client([HIDDEN], [text("a"), text("b")], [text("c")]) as client:
        chat = client.client.aio.chats.create(
            model="gemini-3-pro-preview", config=types.GenerateContentConfig(tools=tools), history=asked()[:1] + asked()[1:]
        )
        for words in ("first", "second"):
            if stream:
                async for _ in await chat.send_message_stream(words):
                    pass
            else:
                await chat.send_message(words)
        history = chat.get_history(curated=True)
    assert [content.role for content in history if content.role == "user"] == ["user"] * 4
    assert "".join(part.text or "" for content in history[3:] for part in content.parts) == "firstabsecondc"


async def test_the_elements_of_an_array_are_one_answer_too():
    async with Client([text("Let me look."), HIDDEN], [text("It is"), text(" pending.")]) as client:
        body = {"contents": asked(), "tools": [{"functionDeclarations": [DECLARATION]}]}
        response = await client.http.post("/v1beta/models/gemini-3-pro:streamGenerateContent", json=body)
    chunks = response.json()
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in parts) == "Let me look.It is pending."
    assert {chunk["responseId"] for chunk in chunks} == {"response-1"}
    assert chunks[-1]["usageMetadata"]["totalTokenCount"] == 330
    assert OURS not in response.text


async def test_counted_tokens_are_those_of_what_is_sent():
    class Counting(Model):
        async def __call__(self, scope, receive, send):
            self.requests.append(json.loads((await receive())["body"]))
            await self.answer(send, 200, {"totalTokens": 5})

    client = Client()
    client.app = HeadroomMiddleware(counting := Counting(), discover=False)
    async with client:
        wrapped = {"model": "models/gemini-3-pro", "contents": asked(), "tools": [{"functionDeclarations": [DECLARATION]}]}
        response = await client.http.post("/v1beta/models/gemini-3-pro:countTokens", json={"generateContentRequest": wrapped})
        counted = await client.models.count_tokens(model="gemini-3-pro", contents=asked())
    assert response.json() == {"totalTokens": 5}
    assert counted.total_tokens == 5
    request = counting.requests[0]["generateContentRequest"]
    assert "<<ccr:" in json.dumps(request["contents"])
    assert request["tools"][0]["functionDeclarations"][-1]["name"] == OURS


async def test_an_error_of_a_later_round_is_raised_by_the_sdk():
    class Broken(Model):
        async def answer(self, send, status, value):
            error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
            await super().answer(send, 503, error)

        def refused(self, request):
            return "busy" if len(self.requests) > 1 else ""

    client = Client()
    client.app = HeadroomMiddleware(Broken([text("Let me look."), HIDDEN]), discover=False)
    async with client:
        with pytest.raises(errors.ServerError) as raised:
            await told(client, stream=True)
    assert raised.value.code == 503


async def test_the_sdk_takes_keep_alives_and_a_raw_line_separator():
    async def app(scope, receive, send):
        codec = dialect_named("gemini").codec()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for words in ("a\u2028b", "c"):
            data = codec.notice("@", 0).replace(b"@", words.encode()) + codec.keep_alive()
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    client = Client()
    client.app = app
    async with client:
        answers = [chunk async for chunk in await client.models.generate_content_stream(model="m", contents="q")]
    assert "".join(answer.text for answer in answers) == "a\u2028bc"
