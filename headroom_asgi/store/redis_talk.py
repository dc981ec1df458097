"""How a Redis store talks to its server: in tasks that nobody can leave half-done, and with errors that quote nothing."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from headroom_asgi.errors import StoreError

# Calls per pipeline, and keys per step of a scan.
BATCH: Final = 256

Command: TypeAlias = tuple[str | bytes | int, ...]


class Talk:
    """The client of one event loop, and what is under way there.

    Args:
        clients: redis-py's: the one that is talked to, and those that it uses.
        turns: as many calls at a time as there are connections: a cluster's client refuses more, instead of having them wait.
    """

    __slots__ = ("_clients", "_life", "_tasks", "_turns", "client")

    def __init__(self, clients: Sequence[Any], turns: asyncio.Semaphore) -> None:
        self.client = clients[0]
        self._clients = clients
        self._turns = turns
        self._tasks: set[asyncio.Task[list[Any]]] = set()
        self._life: AsyncGenerator[None, None] | None = None

    async def alone(self, work: Callable[[Any], Awaitable[list[Any]]]) -> list[Any]:
        """What work with the client gives, done in a task of its own.

        A caller that is cancelled leaves at once, and the task puts its connection in order: a cancel scope of anyio would
        disturb it in that again and again. Whatever it raises becomes a StoreError that quotes nothing of what was sent.
        """

        async def run() -> list[Any]:
            async with self._turns:
                return await work(self.client)

        if self._life is None:
            self._life = self._lives()
            await anext(self._life)
        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            raise
        except Exception as error:  # an answer that is garbage may raise anything
            raise StoreError(reason_of(error)) from error

    def _done(self, task: asyncio.Task[list[Any]]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # of a caller who left; any other has it already

    async def close(self) -> None:
        """Close the connections, once nobody uses them."""
        if self._life is not None:
            await self._life.aclose()

    async def _lives(self) -> AsyncGenerator[None, None]:
        """The time in which there are connections. An event loop that ends closes what generates, and so these."""
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for client in self._clients:
                await client.aclose()


async def sent(commands: Sequence[Command], client: Any) -> list[Any]:
    """The answers to commands that are sent together."""
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers


async def next_batch(names: AsyncIterator[bytes], _client: Any) -> list[str]:
    """The next names of a scan, none at its end."""
    batch: list[str] = []
    async for name in names:
        batch.append(name.decode("latin-1"))
        if len(batch) == BATCH:
            break
    return batch


async def count(client: Any) -> list[int]:
    """How many keys the server has."""
    return [await client.dbsize()]


def reason_of(error: Exception) -> str:
    """The kind of an error, with the code that servers begin their answers with (OOM, READONLY, NOAUTH ...)."""
    code = str(error).partition(" ")[0]
    return f"{type(error).__name__}: {code}" if code.isalpha() and code.isupper() else type(error).__name__
