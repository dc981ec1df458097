"""Real Redis servers for the tests: one, a cluster of three, one behind Sentinel, one with TLS. Started when first asked for."""

import atexit
import contextlib
import datetime as dt
import functools
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

START_S = 20


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def await_port(port: int, log: Path) -> None:
    """Return once somebody listens there."""
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.02)
        else:
            return


class Server:
    """A redis-server of our own, gone when the tests are."""

    def __init__(self, *options: str, port: int = 0, program: str = "redis-server") -> None:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install redis-server")
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="redis"))
        self.options = options
        self.start()
        atexit.register(self.remove)

    def start(self) -> None:
        listening = () if "--tls-port" in self.options else ("--port", str(self.port))
        quiet = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--logfile", str(self.folder / "log"))
        command = ["redis-server", *listening, "--dir", str(self.folder), *quiet, *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await_port(self.port, self.folder / "log")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, *words: str) -> str:
        command = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=START_S).stdout


@functools.cache
def single() -> str:
    """The address of one server."""
    return f"redis://127.0.0.1:{Server().port}/0"


@functools.cache
def cluster() -> str:
    """The address of a cluster of three, without replicas."""
    buses = [str(free_port()) for _ in range(3)]
    nodes = [Server("--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-port", bus) for bus in buses]
    for place, node in enumerate(nodes):
        first, last = 16384 * place // 3, 16384 * (place + 1) // 3 - 1
        assert node.ask("cluster", "addslotsrange", str(first), str(last)).strip() == "OK"
        node.ask("cluster", "set-config-epoch", str(place + 1))
    for node, bus in zip(nodes[1:], buses[1:], strict=True):
        nodes[0].ask("cluster", "meet", "127.0.0.1", str(node.port), bus)
    until = time.monotonic() + START_S
    while not all("cluster_state:ok" in (info := node.ask("cluster", "info")) and "known_nodes:3" in info for node in nodes):
        assert time.monotonic() < until, "the cluster does not come together"
        time.sleep(0.05)
    return f"redis+cluster://127.0.0.1:{nodes[0].port},127.0.0.1:{nodes[1].port}"


@contextlib.contextmanager
def sentinel(server: Server, service: str) -> Iterator[int]:
    """A Sentinel that watches a server under that name; gives its port."""
    config = server.folder / "sentinel.conf"
    config.write_text(f"sentinel monitor {service} 127.0.0.1 {server.port} 1\n")
    port = free_port()
    command = ["redis-server", str(config), "--sentinel", "--port", str(port), "--dir", str(server.folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        await_port(port, server.folder / "log")
        yield port
    finally:
        process.kill()
        process.wait()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for `localhost` that has signed itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown, secret = folder / "certificate.pem", folder / "key.pem"
    shown.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return shown, secret
