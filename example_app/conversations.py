"""The demo's own dozen conversations, written for it: what is asked, what the tools answer, and what the right answer is.

Three of them save nothing: small talk, short tool results, and a file that the model must see as it is.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from example_app import data
from example_app.speakers import Tool
from example_app.view import WireFormat

SYSTEM = """You are the assistant of the operations team at Fjordline Supply, an office furniture shop with four warehouses.

How you work:
- Answer from the results of your tools only. If they do not hold the answer, say so; never guess a number, a date or a name.
- Call a tool when you need facts that are not in the conversation yet. Call several at once when they are independent.
- Do not call a tool again with the same arguments: its result has not changed in the meantime.
- Times are UTC. Amounts are in euros, tax included, unless a result says otherwise. Weights are in kilograms.
- Order numbers start with ORD-, invoices with INV-, articles with SKU-. Repeat them exactly as they are written.
- Personal data (addresses, phone numbers, e-mail) is for colleagues only: give it when it is asked for, one person at a time.
- Customers who wait for a delayed parcel are told the last scan and the expected date, nothing else.
- Refunds above 500 euros need a team lead. Say so, and name the lead of the department in question.

How you write: one or two sentences, no greeting, no lists unless asked. Lead with the fact that was asked for. If a number comes
from adding others up, say which. If two results contradict each other, say that they do and which one is newer."""


@dataclass(frozen=True, slots=True)
class Question:
    """One user turn.

    Attributes:
        text: what the user says.
        calls: rounds of tool calls that the model makes first; each round a list of (tool, arguments).
        find: what the model then looks up: `key`, `value`, `field` of a record, or `line` and `part` (a regex after it).
        asked: how the thing that is looked up is called.
        answer: the right answer, for the table only; the model has to find it.
        say: what the model says where nothing is looked up.
        preface: what it says before it calls a tool.
        split_name: the name of its tool calls comes in two pieces.
    """

    text: str
    calls: tuple[tuple[tuple[str, Mapping[str, Any]], ...], ...] = ()
    find: Mapping[str, str] = field(default_factory=dict)
    asked: str = ""
    answer: str = ""
    say: str = "I have the list."
    preface: str = ""
    split_name: bool = False

    def spoken(self) -> str:
        """The user's words, with the script that stands for the model's cleverness, and without the answer."""
        script: dict[str, Any] = {}
        if self.calls:
            script["calls"] = [[{"tool": tool, "arguments": arguments} for tool, arguments in calls] for calls in self.calls]
        if self.find:
            script["find"] = {**self.find, "asked": self.asked}
        else:
            script["say"] = self.say
        if self.preface:
            script["preface"] = self.preface
        if self.split_name:
            script["split_name"] = True
        return f"{self.text}\n[script: {json.dumps(script)}]"

    @property
    def expected(self) -> str:
        """How the model's answer must end."""
        return f"The {self.asked} is {self.answer}." if self.find else self.say


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation of the demo.

    Attributes:
        name: for the table.
        wire_format, stream: how the client talks.
        questions: the user turns.
        tools: what the client declares.
        results: what a tool answers, by its name and the values of its arguments, joined by a blank.
        system: the system prompt.
        route: path prefix of the gateway.
        thinking: the model thinks first, and signs its thinking.
    """

    name: str
    wire_format: WireFormat
    stream: bool
    questions: tuple[Question, ...]
    tools: tuple[Tool, ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    system: str = SYSTEM
    route: str = ""
    thinking: bool = False


def _record(rows: list[data.Record], at: int, key: str, wanted: str, what: str) -> dict[str, Any]:
    """The parts of a question about one field of one record."""
    row = rows[at]
    asked = f"{what} of {row[key]}"
    find = {"key": key, "value": str(row[key]), "field": wanted}
    return {"text": f"And what is the {asked}?", "find": find, "asked": asked, "answer": str(row[wanted])}


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def dozen(variant: int = 0) -> list[Conversation]:
    """The conversations, the same every time; each variant with other data of the same kind."""
    seed = 11 + variant
    tables = [_orders(seed), _parcels(seed), _staff(seed), _invoices(seed), _prices(seed)]
    shapes = [_issues(seed), _contacts(seed), _job(seed), _metrics(seed)]
    return [*tables, *shapes, *_unsaved()]


def warm_up() -> list[Conversation]:
    """Conversations that are no part of the table: they open connections and load what servers load on first use."""
    rows = data.orders(99, 60)
    tool = Tool("list_orders", "Lists the orders of a warehouse.", ("warehouse",))
    question = Question("List the orders.", ((("list_orders", {"warehouse": "Porto"}),),))
    formats: tuple[WireFormat, ...] = ("chat", "anthropic")
    return [
        Conversation("warm-up", name, stream, (question,), (tool,), {"list_orders Porto": _dump(rows)})
        for name in formats
        for stream in (False, True)
    ]


# Long tables; later questions ask for rows that nobody could know to be needed.


def _orders(seed: int) -> Conversation:
    orders = data.orders(seed, 240)
    return Conversation(
        "orders, one looked up",
        "chat",
        stream=False,
        route="/team-a",
        tools=(Tool("list_orders", "Lists the orders of a warehouse.", ("warehouse",)),),
        results={"list_orders Hamburg": _dump({"warehouse": "Hamburg", "count": len(orders), "orders": orders})},
        questions=(
            Question("Get me the orders of the Hamburg warehouse.", ((("list_orders", {"warehouse": "Hamburg"}),),)),
            Question(**_record(orders, 137, "order_id", "total", "total")),
        ),
    )


def _parcels(seed: int) -> Conversation:
    parcels = data.shipments(seed, 260)
    return Conversation(
        "parcels, split tool name",
        "chat",
        stream=True,
        tools=(Tool("list_shipments", "Lists the parcels that are on their way.", ("hub",)),),
        results={"list_shipments Rotterdam": _dump(parcels)},
        questions=(
            Question("Which parcels left Rotterdam?", ((("list_shipments", {"hub": "Rotterdam"}),),), split_name=True),
            Question(
                **_record(parcels, 171, "tracking", "last_scan", "last scan"), preface="Let me look that up.", split_name=True
            ),
        ),
    )


def _staff(seed: int) -> Conversation:
    staff = data.employees(seed, 220)
    return Conversation(
        "staff, an e-mail address",
        "anthropic",
        stream=False,
        tools=(Tool("list_employees", "The staff directory.", ()),),
        results={"list_employees": _dump({"employees": staff})},
        questions=(
            Question("Load the staff directory, please.", ((("list_employees", {}),),)),
            Question(**_record(staff, 149, "employee_id", "email", "e-mail address")),
        ),
    )


def _invoices(seed: int) -> Conversation:
    bills = data.invoices(seed, 250)
    return Conversation(
        "invoices, signed thinking",
        "anthropic",
        stream=True,
        route="/team-a",
        thinking=True,
        tools=(Tool("list_invoices", "Lists the invoices of a quarter.", ("quarter",)),),
        results={"list_invoices 2026Q1": _dump({"quarter": "2026Q1", "invoices": bills})},
        questions=(
            Question("Open the invoices of the first quarter.", ((("list_invoices", {"quarter": "2026Q1"}),),)),
            Question(**_record(bills, 120, "invoice", "payment_reference", "payment reference")),
            Question("Thank you. Anything to add?", say="No, that is all."),
        ),
    )


def _prices(seed: int) -> Conversation:
    goods = data.products(seed, 260)
    return Conversation(
        "price list, two look-ups",
        "anthropic",
        stream=True,
        tools=(Tool("price_list", "The whole price list.", ()),),
        results={"price_list": _dump(goods)},
        questions=(
            Question("Fetch the price list.", ((("price_list", {}),),)),
            Question(**_record(goods, 101, "sku", "price", "price"), preface="One moment."),
            Question(**_record(goods, 188, "sku", "supplier", "supplier")),
        ),
    )


# What else tools answer: nested pages, envelopes, logs, series.


def _issues(seed: int) -> Conversation:
    page = data.tickets_page(seed, 40)
    issue = page["issues"][17]
    return Conversation(
        "issue page, lossless only",
        "chat",
        stream=True,
        route="/team-b",
        tools=(Tool("search_issues", "Searches the issue tracker; one page.", ("query",)),),
        results={"search_issues open": _dump(page)},
        questions=(
            Question("Show me the first page of open issues.", ((("search_issues", {"query": "open"}),),)),
            Question(
                f"Who has {issue['key']}?",
                find={"key": "key", "value": issue["key"], "field": "fields.assignee.display_name"},
                asked=f"assignee of {issue['key']}",
                answer=issue["fields"]["assignee"]["display_name"],
            ),
        ),
    )


def _contacts(seed: int) -> Conversation:
    envelope = data.contacts_envelope(seed, 60)
    contact = json.loads(json.loads(envelope)["content"][0]["text"])["results"][33]
    return Conversation(
        "CRM over MCP, JSON in JSON",
        "anthropic",
        stream=False,
        tools=(Tool("mcp__crm__search_contacts", "Searches contacts.", ("text",)),),
        results={"mcp__crm__search_contacts GmbH": envelope},
        questions=(
            Question(
                f"In which city is contact {contact['contact_id']}?",
                ((("mcp__crm__search_contacts", {"text": "GmbH"}),),),
                find={"key": "contact_id", "value": contact["contact_id"], "field": "city"},
                asked=f"city of {contact['contact_id']}",
                answer=contact["city"],
            ),
        ),
    )


def _job(seed: int) -> Conversation:
    failed = f"req-{0x51F0AC + seed:06x}"
    return Conversation(
        "job log inside JSON",
        "chat",
        stream=True,
        tools=(Tool("run_job", "Runs a job and returns its output.", ("job",)),),
        results={"run_job smoke-test-eu": _dump(data.job_log(seed, 320, failed))},
        questions=(
            Question(
                "Run the smoke test. Which request ran into a payment gateway timeout?",
                ((("run_job", {"job": "smoke-test-eu"}),),),
                find={"line": "payment gateway timeout", "part": r"request=(\S+)"},
                asked="failed request",
                answer=failed,
            ),
        ),
    )


def _metrics(seed: int) -> Conversation:
    series = {service: data.metrics(seed, service, 180) for service in ("checkout", "search")}
    return Conversation(
        "metrics of two services",
        "chat",
        stream=True,
        tools=(Tool("get_metrics", "A day of metrics of a service.", ("service",)),),
        results={f"get_metrics {service}": _dump(one) for service, one in series.items()},
        questions=(
            Question(
                "Compare the metrics of checkout and search.",
                ((("get_metrics", {"service": "checkout"}), ("get_metrics", {"service": "search"})),),
                preface="I will get both.",
                say="Both look steady.",
            ),
            Question(**_record(series["checkout"]["points"], 98, "sample", "p99_ms", "p99 latency")),
        ),
    )


def _unsaved() -> list[Conversation]:
    """Conversations in which there is nothing to save."""
    return [
        Conversation(
            "small talk, no tools",
            "chat",
            stream=True,
            questions=(
                Question("Good morning!", say="Good morning! What can I do for you?"),
                Question("Just checking that you are there.", say="I am here."),
            ),
        ),
        Conversation(
            "short tool results",
            "anthropic",
            stream=False,
            tools=(Tool("get_weather", "The weather in a city.", ("city",)),),
            results={"get_weather Bergen": _dump({"city": "Bergen", "temperature_c": 7.5, "sky": "light rain"})},
            questions=(
                Question(
                    "What is the weather like in Bergen?",
                    ((("get_weather", {"city": "Bergen"}),),),
                    find={"key": "city", "value": "Bergen", "field": "sky"},
                    asked="sky over Bergen",
                    answer="light rain",
                ),
            ),
        ),
        Conversation(
            "a source file, as it is",
            "anthropic",
            stream=True,
            tools=(Tool("Read", "Reads a file, with line numbers.", ("file_path",)),),
            results={"Read src/routes.py": data.SOURCE_FILE},
            questions=(
                Question(
                    "Read src/routes.py. What is the retry limit?",
                    ((("Read", {"file_path": "src/routes.py"}),),),
                    find={"line": "RETRY_LIMIT", "part": r" = (\d+)"},
                    asked="retry limit",
                    answer="7",
                ),
            ),
        ),
    ]
