"""The store on the network: Redis or Valkey, for all workers of all hosts."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import quote_from_bytes, unquote_to_bytes

from headroom_asgi.errors import ConfigError, StoreError, StoreRefusedError
from headroom_asgi.store.base import StoreStats, checked_ttl, decoded, deletion, encoded
from headroom_asgi.store.memory import DAY_S, MIB
from headroom_asgi.store.redis_client import Connector, RedisTLS, imported, parsed
from headroom_asgi.store.redis_scripts import ADD, DELETE, GET, LIVE, PUT, TOUCH, Script
from headroom_asgi.store.redis_talk import BATCH, Command, Talk, count, next_batch, reason_of, sent

# Entries that the figures are taken from; where there are more, these stand for all.
_SAMPLED: Final = 2048
# Keys that the server looks at in one step of a scan: a fraction of a millisecond in which it does nothing else.
_LOOKED_AT: Final = 1024
# Seconds until a deletion that failed half-way goes on, each time: together 15, for a server to come back, or for another one.
_PAUSES_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)

_Call: TypeAlias = tuple[Script, str, tuple[str | bytes, ...]]


class RedisStore:
    """A Store on Redis 6.2 or later, or on Valkey: one server, several behind Sentinel, or a cluster. It runs on asyncio only.

    Entries expire on the server, by its clock. They are bounded by the server's own `maxmemory`, which should come with one of
    the policies `volatile-lru` or `allkeys-lru`. Tenants are kept apart by the keys' names.

    Args:
        url: e.g. `rediss://user:password@host:6380/0`, `redis+sentinel://a,b,c/service`, `redis+cluster://a:7000,b:7000`.
        prefix: what all keys begin with; stores with different ones don't see each other.
        max_age_s: seconds after which an entry expires however often it is used.
        max_value_bytes: larger values are refused; they have to come over the network within `timeout_s`.
        max_connections: per server and event loop; who finds all of them taken waits.
        timeout_s: seconds for connecting, and for each answer.
        tls: files for `rediss`.
        sentinel_username, sentinel_password: for the Sentinels themselves.
        clock: seconds that take the place of the server's.

    Raises:
        ConfigError: the address is none, a bound isn't above 0, or the package `redis` is missing.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "headroom",
        max_age_s: float = 7 * DAY_S,
        max_value_bytes: int = 16 * MIB,
        max_connections: int = 16,
        timeout_s: float = 0.25,
        tls: RedisTLS = RedisTLS(),  # noqa: B008 (it is frozen)
        sentinel_username: str = "",
        sentinel_password: str = "",
        clock: Callable[[], float] | None = None,
    ) -> None:
        bounds = {"max_age_s": max_age_s, "max_value_bytes": max_value_bytes}
        for name, bound in {**bounds, "max_connections": max_connections, "timeout_s": timeout_s}.items():
            if not bound > 0:
                raise ConfigError(f"{name}: {bound!r} is not a number above 0")
        self.shared = True
        self._connector = Connector(
            parsed(url),
            tls=tls,
            sentinel_username=sentinel_username,
            sentinel_password=sentinel_password,
            max_connections=max_connections,
            timeout_s=timeout_s,
        )
        self._errors = imported("redis.exceptions")
        self._prefix = _quoted(prefix)
        self._max_age_s = max_age_s
        self._max_value_bytes = max_value_bytes
        self._clock = clock
        self._talks: dict[asyncio.AbstractEventLoop, Talk] = {}
        self._max_connections = max_connections
        self._closed = False
        self._hits = self._misses = 0

    async def put(self, ns: str, key: str, value: bytes, *, tenant: str, ttl: float, if_absent: bool = False) -> bool:
        """Write a value (Store.put)."""
        idle = self._milliseconds(checked_ttl(ttl))
        self._check_size(len(value))
        cap = self._milliseconds(self._max_age_s)
        (stored,) = await self._calls([(PUT, self._key(tenant, ns, key), (value, idle, cap, "1" if if_absent else "0"))])
        return bool(stored == 1)

    async def get_many(self, ns: str, keys: Iterable[str], *, tenant: str) -> dict[str, bytes]:
        """Read values (Store.get_many)."""
        wanted = list(dict.fromkeys(keys))
        values = await self._calls([(GET, self._key(tenant, ns, key), ()) for key in wanted])
        found = {key: value for key, value in zip(wanted, values, strict=True) if isinstance(value, bytes)}
        self._hits += len(found)
        self._misses += len(wanted) - len(found)
        return found

    async def touch(self, ns: str, keys: Iterable[str], *, tenant: str, ttl: float) -> int:
        """Start idle times again (Store.touch)."""
        idle = self._milliseconds(checked_ttl(ttl))
        return sum(await self._calls([(TOUCH, self._key(tenant, ns, key), (idle,)) for key in dict.fromkeys(keys)]))

    async def delete(self, ns: str, keys: Iterable[str], *, tenant: str) -> int:
        """Delete entries (Store.delete)."""
        return sum(await self._calls([(DELETE, self._key(tenant, ns, key), ()) for key in dict.fromkeys(keys)]))

    async def scan(self, ns: str, tenant: str) -> AsyncIterator[str]:
        """Every key of a namespace (Store.scan). The server looks at all its keys for that, a few hundred at a time."""
        start = self._key(tenant, ns, "")
        seen: set[str] = set()
        async with aclosing(self._scan(start)) as batches:
            async for batch in batches:
                fresh = [name for name in batch if name not in seen]
                seen.update(fresh)
                alive = await self._calls([(LIVE, name, ()) for name in fresh])
                for name, live in zip(fresh, alive, strict=True):
                    if live:
                        yield decoded(unquote_to_bytes(name.removeprefix(start)))

    async def add(self, ns: str, key: str, counters: Mapping[str, int], *, tenant: str) -> dict[str, int]:
        """Add to counters (Store.add)."""
        pairs = [part for name, count in counters.items() for part in (encoded(name), str(count))]
        self._check_size(sum(map(len, pairs)))
        cap = self._milliseconds(self._max_age_s)
        (found,) = await self._calls([(ADD, self._key(tenant, ns, key), (cap, *pairs))])
        if isinstance(found, int):
            raise StoreRefusedError("the entry holds a value, not counters")
        return {decoded(name): int(count) for name, count in zip(found[::2], found[1::2], strict=True)}

    async def delete_tenant(self, tenant: str) -> int:
        """Delete everything of one tenant (Store.delete_tenant). The server looks at all its keys for that.

        What fails half-way is begun again, as long as that deletes something, or a few times if it does not.
        """
        self._talk()  # nothing to wait for where there can't be any
        pauses = iter(_PAUSES_S)
        with deletion() as so_far:
            while True:
                before = so_far.deleted
                try:
                    async with aclosing(self._scan(f"{self._prefix}:{_quoted(tenant)}:")) as batches:
                        async for batch in batches:
                            so_far.deleted += sum(await self._calls([(DELETE, name, ()) for name in batch]))
                    break
                except StoreError:
                    pauses = iter(_PAUSES_S) if so_far.deleted > before else pauses
                    pause_s = next(pauses, None)
                    if pause_s is None or self._closed:
                        raise
                    await asyncio.sleep(pause_s)
        return so_far.deleted

    async def stats(self) -> StoreStats:
        """Entries and bytes, estimated where there are more than a few thousand; hits and misses are this store's own."""
        (everything,) = await self._talk().alone(count)
        sampled: list[str] = []
        looked_at = 0
        async with aclosing(self._scan("")) as batches:
            async for batch in batches:
                looked_at += len(batch)
                sampled += [name for name in batch if name.startswith(f"{self._prefix}:")]
                if len(sampled) >= _SAMPLED:
                    break
        answers = _without_errors(await self._pipeline([("MEMORY", "USAGE", name) for name in sampled]))
        sizes = [size for size in answers if size is not None]
        factor = max(1.0, everything / looked_at) if len(sampled) >= _SAMPLED else 1.0
        return StoreStats(round(len(sizes) * factor), round(sum(sizes) * factor), self._hits, self._misses)

    async def aclose(self) -> None:
        """Close the connections of this event loop; those of others are closed when these end."""
        self._closed = True
        talk = self._talks.pop(asyncio.get_running_loop(), None)
        if talk is not None:
            await talk.close()

    # -- keys and numbers ----------------------------------------------------------------------------------------------

    def _key(self, tenant: str, ns: str, key: str) -> str:
        """The server's key for an entry: quoted names, so that no name can reach into another one or into a pattern."""
        return f"{self._prefix}:{_quoted(tenant)}:{_quoted(ns)}:{_quoted(key)}"

    def _milliseconds(self, seconds: float) -> str:
        return str(max(1, round(min(seconds, self._max_age_s) * 1000)))

    def _check_size(self, size: int) -> None:
        if size > self._max_value_bytes:
            raise StoreRefusedError(f"a value of {size} bytes is beyond max_value_bytes: {self._max_value_bytes}")

    # -- talking to the server -----------------------------------------------------------------------------------------

    def _talk(self) -> Talk:
        """The connections of this event loop."""
        if self._closed:
            raise StoreError("the store is closed")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise StoreError("the Redis store runs on asyncio, and on no other event loop") from error
        if loop not in self._talks:
            self._talks = {other: talk for other, talk in self._talks.items() if not other.is_closed()}
            self._talks[loop] = Talk(self._connector.clients(), asyncio.Semaphore(self._max_connections))
        return self._talks[loop]

    async def _calls(self, calls: Sequence[_Call]) -> list[Any]:
        """The answers to calls of scripts, in order. A server that has forgotten a script gets its text."""
        now = "" if self._clock is None else str(round(self._clock() * 1000))
        answers = await self._pipeline([("EVALSHA", script.sha, 1, key, now, *rest) for script, key, rest in calls])
        unknown = [at for at, answer in enumerate(answers) if isinstance(answer, self._errors.NoScriptError)]
        if unknown:
            texts = [(calls[at][0].text, calls[at][1], calls[at][2]) for at in unknown]
            again = await self._pipeline([("EVAL", text, 1, key, now, *rest) for text, key, rest in texts])
            for at, answer in zip(unknown, again, strict=True):
                answers[at] = answer
        return _without_errors(answers)

    async def _pipeline(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands, errors among them, a round trip for a few hundred of them."""
        answers: list[Any] = []
        for start in range(0, len(commands), BATCH):
            answers += await self._talk().alone(partial(sent, commands[start : start + BATCH]))
        return answers

    async def _scan(self, start: str) -> AsyncGenerator[list[str], None]:
        """The server's keys that begin so, some at a time; some may come twice."""
        talk = self._talk()
        names = talk.client.scan_iter(match=f"{start}*", count=_LOOKED_AT)
        while batch := await talk.alone(partial(next_batch, names)):
            yield batch


def _without_errors(answers: list[Any]) -> list[Any]:
    """The answers, if none of them is an error."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise StoreError(reason_of(answer)) from answer
    return answers


def _quoted(name: str) -> str:
    return quote_from_bytes(encoded(name), safe="")
