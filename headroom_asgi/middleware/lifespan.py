"""The lifespan's way through: the stages of the process fire around the app's own start, resources go after its end."""

from headroom_asgi.engine import Engine
from headroom_asgi.pipeline import PipelineStage
from headroom_asgi.types import ASGIApp, Message, Receive, Scope, Send


async def run_lifespan(app: ASGIApp, engine: Engine, scope: Scope, receive: Receive, send: Send) -> None:
    """SETUP and PRE_START before the app sees the lifespan; POST_START when it has started and our own tables are loaded.

    Servers that run no lifespan, and apps that refuse it, get these stages with their first request.
    """
    await engine.start(until=PipelineStage.PRE_START)

    async def watched(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            await engine.warmed()
            await engine.start()
        elif message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"):
            await engine.aclose()
        await send(message)

    await app(scope, receive, watched)
