"""ASGI middleware that makes LLM requests several times shorter, keeps the originals, and answers the model when it asks.

app.add_middleware(HeadroomMiddleware)
"""

from headroom_asgi.api import (
    CompressResult,
    acompress,
    adelete_tenant,
    aretrieve,
    compress,
    delete_tenant,
    expand,
    expand_messages,
    retrieve,
)
from headroom_asgi.config import (
    CacheAlignerConfig,
    CompressorConfig,
    ContentRouterConfig,
    HeadroomConfig,
    RetrievalConfig,
    RouteConfig,
)
from headroom_asgi.engine import CompressContext
from headroom_asgi.errors import (
    CompressError,
    ConfigError,
    ExpandError,
    HeadroomError,
    PayloadError,
    ResponseError,
    ScanError,
    StoreDownError,
    StoreError,
    StoreRefusedError,
)
from headroom_asgi.middleware import HeadroomMiddleware
from headroom_asgi.observers import Report
from headroom_asgi.pipeline import (
    CANONICAL_PIPELINE_STAGES,
    PipelineEvent,
    PipelineExtension,
    PipelineExtensionManager,
    PipelineStage,
    discover_pipeline_extensions,
)
from headroom_asgi.store import (
    GuardedStore,
    Keys,
    MemoryStore,
    RedisStore,
    RedisTLS,
    SealedStore,
    SQLiteStore,
    Store,
    StoreStats,
    open_store,
)
from headroom_asgi.tokenizer import Tokenizer
from headroom_asgi.transforms import CacheAligner, ContentRouter, Repeats, Transform, TransformPipeline, TransformResult
from headroom_asgi.types import Interceptor

__version__ = "0.1.0"

__all__ = [
    "CANONICAL_PIPELINE_STAGES",
    "CacheAligner",
    "CacheAlignerConfig",
    "CompressContext",
    "CompressError",
    "CompressResult",
    "CompressorConfig",
    "ConfigError",
    "ContentRouter",
    "ContentRouterConfig",
    "ExpandError",
    "GuardedStore",
    "HeadroomConfig",
    "HeadroomError",
    "HeadroomMiddleware",
    "Interceptor",
    "Keys",
    "MemoryStore",
    "PayloadError",
    "PipelineEvent",
    "PipelineExtension",
    "PipelineExtensionManager",
    "PipelineStage",
    "RedisStore",
    "RedisTLS",
    "Repeats",
    "Report",
    "ResponseError",
    "RetrievalConfig",
    "RouteConfig",
    "SQLiteStore",
    "ScanError",
    "SealedStore",
    "Store",
    "StoreDownError",
    "StoreError",
    "StoreRefusedError",
    "StoreStats",
    "Tokenizer",
    "Transform",
    "TransformPipeline",
    "TransformResult",
    "__version__",
    "acompress",
    "adelete_tenant",
    "aretrieve",
    "compress",
    "delete_tenant",
    "discover_pipeline_extensions",
    "expand",
    "expand_messages",
    "open_store",
    "retrieve",
]
