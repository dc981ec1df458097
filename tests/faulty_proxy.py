"""A TCP proxy between a store and its server that can be told to do what networks do."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

FAULTS = ("delay", "reset", "half open", "black hole", "garbage", "refuse")


class Proxy:
    """Passes bytes on until `fault` is set.

    `delay`: everything a second late. `reset`: connections are cut once they say something. `half open`: connections that are there
    get no answers any more, and new ones none at all. `black hole`: nothing is read. `garbage`: answers are random bytes. `refuse`:
    nobody listens.
    """

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.connections = 0
        self.asked = 0  # pieces that came from the store
        self._fault = ""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        await self._listen()
        try:
            yield self
        finally:
            await self._stop()

    async def set(self, fault: str) -> None:
        if "refuse" in (fault, self._fault) and fault != self._fault:
            await (self._stop() if fault == "refuse" else self._listen())
        self._fault = fault

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in [*self._writers]:
            writer.close()
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        upstream: asyncio.StreamWriter | None = None
        try:
            back, upstream = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, upstream, from_store=True))
                both.create_task(self._pass(back, writer, from_store=False))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            for end in (writer, upstream):
                if end is not None:
                    end.close()
            self._tasks.discard(task)
            self._writers.discard(writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_store: bool) -> None:
        while data := await reader.read(65536):
            self.asked += from_store
            if self._fault == "delay":
                await asyncio.sleep(1)
            elif self._fault == "reset":
                raise ConnectionResetError
            elif self._fault == "half open" or (self._fault == "black hole" and from_store):
                await asyncio.sleep(3600)
            elif self._fault == "garbage" and not from_store:
                data = random.Random(len(data)).randbytes(200) + b"\r\n"
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError
