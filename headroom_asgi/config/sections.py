"""The sections of a configuration, and what a route may set: plain objects to fill in, checked when they are resolved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from headroom_asgi.types import Interceptor

Mode: TypeAlias = Literal["off", "audit", "lossless", "ccr"]
Replay: TypeAlias = Literal["auto", "strip"]

COMPRESSORS: Final = (
    "smart_crusher",
    "text_compressor",
    "views",
    "html",
    "fields",
    "opaque",
    "large",
    "snapshots",
    "terminal",
    "logs",
    "code",
    "search",
    "diff",
    "extract",
    "kompress",
    "repeats",
)  # fields of the configuration, each a CompressorConfig

# Tools whose output the model quotes back byte for byte when it edits: re-formatting it makes those edits fail.
_EXACT_MATCH_NAMES = """
    apply_patch create_file edit edit_file multiedit multi_edit notebookedit notebookread open_file patch read read_file
    read_multiple_files read_text_file replace_in_file str_replace str_replace_based_edit_tool str_replace_editor
    text_editor view view_file write write_file
"""
EXACT_MATCH_TOOLS: Final = tuple(_EXACT_MATCH_NAMES.split())


@dataclass(slots=True)
class CompressorConfig:
    """The compressor for one kind of tool output; or what is done across them.

    Attributes:
        enabled: False: that kind is left as it is. None: on, unless it needs a package that is not installed. True: on, and a
            package that is missing is an error at start-up.
        except_tools: names of tools whose output it leaves alone; matched as `ContentRouterConfig.exact_match_tools` are.
    """

    enabled: bool | None = None
    except_tools: Sequence[str] = ()


@dataclass(slots=True)
class ContentRouterConfig:
    """Which tool outputs are looked at.

    Attributes:
        enabled: False: no tool output is changed.
        exact_match_tools: names of tools whose output is never re-formatted; case does not matter, and a server prefix
            (`mcp__files__read_file`, `files-read_file`, `files.read_file`) is ignored.
    """

    enabled: bool = True
    exact_match_tools: Sequence[str] = EXACT_MATCH_TOOLS


@dataclass(slots=True)
class CacheAlignerConfig:
    """What is done about fragments of system prompts that change between conversations: dates, times, ids, tokens.

    Attributes:
        enabled: False: they are not looked for.
        move: True: they go to the head of the first user message; a placeholder stays. False: reports warn of them.
    """

    enabled: bool = True
    move: bool = False


@dataclass(slots=True)
class RetrievalConfig:
    """How the model gets back what was left out.

    Attributes:
        max_rounds: calls of the inner app for one request, the first included.
        max_bytes: UTF-8 bytes of originals that one exchange may hand out.
        ttl_s: seconds after its last use that an original, or what was remembered of an exchange, stays in the store.
        replay: what later requests have of rounds that the client never saw: `auto` puts them back where the store is shared;
            `strip`, and any other store, leaves them out.
        retry_s: seconds within which a later round that failed after its client saw something, or in a conversation that the
            provider holds, is tried again, twice at most; 0: never.
    """

    max_rounds: int = 4
    max_bytes: int = 262_144
    ttl_s: float = 86_400.0
    replay: Replay = "auto"
    retry_s: float = 20.0


@dataclass(slots=True)
class RouteConfig:
    """Settings for the requests whose path matches; what is None is inherited.

    Attributes:
        path: glob over the whole request path, e.g. `/team-a/*`. The first route that matches wins.
        resigns: the inner app signs its requests anew, so bodies that the client signed (AWS) may change.
    """

    path: str
    mode: Mode | None = None
    interceptors: Sequence[Interceptor] | None = None
    cache_aligner: CacheAlignerConfig | None = None
    content_router: ContentRouterConfig | None = None
    smart_crusher: CompressorConfig | None = None
    text_compressor: CompressorConfig | None = None
    views: CompressorConfig | None = None
    html: CompressorConfig | None = None
    fields: CompressorConfig | None = None
    opaque: CompressorConfig | None = None
    large: CompressorConfig | None = None
    snapshots: CompressorConfig | None = None
    terminal: CompressorConfig | None = None
    logs: CompressorConfig | None = None
    code: CompressorConfig | None = None
    search: CompressorConfig | None = None
    diff: CompressorConfig | None = None
    extract: CompressorConfig | None = None
    kompress: CompressorConfig | None = None
    repeats: CompressorConfig | None = None
    retrieval: RetrievalConfig | None = None
    hold_s: float | None = None
    keep_alive_s: float | None = None
    max_response_bytes: int | None = None
    resigns: bool | None = None
