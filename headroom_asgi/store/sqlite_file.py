"""The file of a SQLite store: its tables, who may read it, and connections to it, one per thread at work."""

import errno
import os
import sqlite3
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from headroom_asgi.errors import ConfigError, StoreError

# `user_version` of the file; a file with another one is not touched.
VERSION: Final = 1
# `application_id` of the file ("hdrm"): another program's database is not touched either.
APPLICATION: Final = 0x6864726D

# Seconds that a writer waits for others. Writes take a tenth of a millisecond, so that is a queue of thousands.
BUSY_S: Final = 2.0
# The write-ahead log is cut back to this after something large was written.
LOG_BYTES: Final = 16 * 1024 * 1024

# Entries and what they hold are apart, so that noting a use never moves a value; triggers keep the two and the sums together.
_SCHEMA: Final = """
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, tenant BLOB NOT NULL, ns BLOB NOT NULL, key BLOB NOT NULL, counts INTEGER NOT NULL,
    size INTEGER NOT NULL, ttl REAL NOT NULL, used REAL NOT NULL, cap REAL NOT NULL, expires REAL NOT NULL);
CREATE UNIQUE INDEX entries_by_name ON entries (tenant, ns, key);
CREATE INDEX entries_by_use ON entries (used);
CREATE INDEX entries_by_end ON entries (expires);
CREATE TABLE contents (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE totals (entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO totals VALUES (0, 0);
CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
    UPDATE totals SET entries = entries + 1, bytes = bytes + new.size;
END;
CREATE TRIGGER entry_dropped AFTER DELETE ON entries BEGIN
    DELETE FROM contents WHERE id = old.id;
    UPDATE totals SET entries = entries - 1, bytes = bytes - old.size;
END;
"""


class SQLiteFile:
    """One database file and the connections of this process to it.

    Args:
        path: the file; it is made if it is not there, readable by its owner only.
        fsync: a write is on the disk when it is done, not only with the operating system.

    Raises:
        ConfigError: the file can't be made or is not ours to write.
    """

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool) -> None:
        self.path = Path(path)
        self._fsync = fsync
        self._idle: list[sqlite3.Connection] = []
        # Connections must not be used, nor closed, in a process that was forked off: it lets go of them here.
        self._abandoned: list[list[sqlite3.Connection]] = []
        self._process = os.getpid()
        self._writing = threading.Lock()
        self._ready = self._closed = False
        try:
            _make_private(self.path)
        except OSError as error:
            raise ConfigError(f"store: {str(path)!r} is not a file that can be written ({error.strerror})") from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection of one's own, outside of any transaction."""
        self._look_around()
        if self._closed:
            raise StoreError("the store is closed")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._opened()
        try:
            yield connection
        except sqlite3.Error:
            connection.close()  # what is broken about it may be the connection
            raise
        except BaseException:
            self._release(connection)
            raise
        self._release(connection)

    @contextmanager
    def writing(self, wait_s: float = BUSY_S) -> Iterator[sqlite3.Connection]:
        """A connection inside a write transaction: all of what is done there is kept, or nothing of it.

        Threads of this process take turns here; only processes wait for each other with SQLite's own patience.
        """
        self._look_around()
        turn = self._writing
        if not turn.acquire(timeout=wait_s):
            raise StoreError("the store is busy")
        try:
            with self.reading() as connection:
                connection.execute(f"PRAGMA busy_timeout = {int(wait_s * 1000)}")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        finally:
            turn.release()

    def close(self) -> None:
        """Close all connections; those at work as soon as they are done."""
        self._look_around()
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _release(self, connection: sqlite3.Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self.close()

    def _look_around(self) -> None:
        """After a fork, begin anew: a connection that was carried across would damage the file."""
        if self._process != os.getpid():
            self._abandoned.append(self._idle)
            self._idle, self._writing, self._process = [], threading.Lock(), os.getpid()

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            if not self._ready:
                _prepare(connection)
                self._ready = True
            connection.execute(f"PRAGMA synchronous = {'FULL' if self._fsync else 'NORMAL'}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            connection.execute("PRAGMA secure_delete = ON")  # what is deleted is gone from the file, not only from its indexes
        except BaseException:
            connection.close()
            raise
        return connection


def _make_private(path: Path) -> None:
    """A file that only its owner may read. SQLite gives its side files the same mode.

    The file is never opened here: closing it would let go of the locks that connections of this process hold on it.
    """
    if not path.exists():
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # its mode is 0600
        os.close(descriptor)
        try:
            os.link(name, path)
        except FileExistsError:
            return _make_private(path)  # another process was faster
        finally:
            Path(name).unlink()
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    if stat.S_IMODE(found.st_mode) != 0o600:
        path.chmod(0o600)
    for side in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError):
            side.chmod(0o600)
    return None


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables unless they are there. Processes that start together may all do this.

    SQLite does not wait for a lock where the journal's mode changes, so the waiting is done here.

    Raises:
        StoreError: the file holds something else.
    """
    until = time.monotonic() + BUSY_S
    while True:
        try:
            made = _is_made(connection)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            if made:
                return
            connection.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > until:
                raise
            time.sleep(0.005)
    if not _is_made(connection):  # by another process, meanwhile
        for statement in _statements(_SCHEMA):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _is_made(connection: sqlite3.Connection) -> bool:
    """Whether our tables are there, in an otherwise empty file. StoreError if something else is."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and (application, version) != (APPLICATION, VERSION):
        raise StoreError("the file is a database of another program, or of another version of this one")
    return bool(tables)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; `executescript` would end the transaction that is open."""
    statement = ""
    for line in script.strip().splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
