"""A network that can be cut: a proxy on loopback before each broker, at the address that the broker advertises."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lockgate.local.compose import COMPOSE_FILE
from lockgate.local.stack import Stack

__all__ = ["LISTENER", "Network", "client_ports", "proxied", "running_proxies"]

LISTENER = "PROXIED"
_BEHIND = 10_000
"""What the listener's port is above the proxy's, which the broker advertises."""
_PROXY = 4_000
"""What the proxy's port is above the port of the listener CLIENT."""
_CHUNK = 64 * 1024


def proxied(root: Path, folder: Path) -> Path:
    """Write a project like the one at `root` whose brokers have one more listener, advertised where a proxy is."""
    folder.mkdir(parents=True)
    text = (root / COMPOSE_FILE).read_text(encoding="utf-8")
    for name in ("schemas", "services"):
        (folder / name).symlink_to(root / name)

    def listening(found: re.Match[str]) -> str:
        port = int(found[2]) + _PROXY
        return f"{found[0]},{LISTENER}://0.0.0.0:{port + _BEHIND}"

    def advertised(found: re.Match[str]) -> str:
        return f"{found[0]},{LISTENER}://127.0.0.1:{int(found[2]) + _PROXY}"

    text = re.sub(r"(KAFKA_LISTENERS: CLIENT://0\.0\.0\.0:(\d+))", listening, text)
    text = re.sub(r"(KAFKA_ADVERTISED_LISTENERS: CLIENT://127\.0\.0\.1:(\d+))", advertised, text)
    text = text.replace("CLIENT:SASL_SSL,", f"CLIENT:SASL_SSL,{LISTENER}:SASL_SSL,")
    login = re.compile(r"^( *KAFKA_LISTENER_NAME_)CLIENT(_SCRAM.*)$", re.MULTILINE)
    text = login.sub(rf"\1CLIENT\2\n\1{LISTENER}\2", text)
    (folder / COMPOSE_FILE).write_text(text, encoding="utf-8")
    return folder


def client_ports(stack: Stack) -> dict[str, int]:
    """Return where the proxies of a stack's brokers listen, by the brokers' names."""
    return {broker.name: int(broker.advertised(LISTENER).rpartition(":")[2]) for broker in stack.brokers}


class Proxy:
    """Pass bytes on between clients and one broker; only its loop's thread calls the methods."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._flows = asyncio.Event()
        self._flows.set()
        self._delay = 0.0
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self) -> None:
        """Take connections until cancelled."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)
        async with server:
            await server.serve_forever()

    def cut(self) -> None:
        """Let nothing through any more; connections stay, and new ones get no answer: nobody is told."""
        self._flows.clear()

    def heal(self) -> None:
        """Let all through, what has piled up first: TCP would have sent it again."""
        self._delay = 0.0
        self._flows.set()

    def slow(self, seconds: float) -> None:
        """Hold back what comes for so long, chunk by chunk."""
        self._delay = seconds

    def reset(self) -> None:
        """End all connections at once."""
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._flows.wait()
            theirs, ours = await asyncio.open_connection("127.0.0.1", self._port + _BEHIND)
            self._writers.add(ours)
            try:
                ways = [asyncio.create_task(self._pump(reader, ours)), asyncio.create_task(self._pump(theirs, writer))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
            finally:
                self._writers.discard(ours)
                ours.transport.abort()
        except OSError:
            pass  # the broker is away: its client is told by the end of this connection
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._flows.wait()
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()


class Network:
    """Hold the proxies of all brokers, which live in a thread of their own."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._loop = asyncio.new_event_loop()
        self._proxies = {name: Proxy(port) for name, port in ports.items()}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.bootstrap_servers = ",".join(f"127.0.0.1:{port}" for port in ports.values())

    def start(self) -> None:
        """Take connections."""
        self._thread.start()

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Cut clients off from all brokers."""
        for proxy in self._proxies.values():
            self._loop.call_soon_threadsafe(proxy.cut)

    def slow(self, name: str, seconds: float) -> None:
        """Make one broker slow to hear and to answer."""
        self._loop.call_soon_threadsafe(self._proxies[name].slow, seconds)

    def reset(self) -> None:
        """End all connections at once; new ones are taken."""
        for proxy in self._proxies.values():
            self._loop.call_soon_threadsafe(proxy.reset)

    def heal(self) -> None:
        """Let everything through."""
        for proxy in self._proxies.values():
            self._loop.call_soon_threadsafe(proxy.heal)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        served = [self._loop.create_task(proxy.serve()) for proxy in self._proxies.values()]
        self._loop.run_forever()
        pending = asyncio.all_tasks(self._loop)
        for task in pending:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*served, *pending, return_exceptions=True))


@contextmanager
def running_proxies(ports: Mapping[str, int]) -> Iterator[Network]:
    """Run a proxy for each broker: `ports` says where, by the brokers' names."""
    network = Network(ports)
    network.start()
    try:
        yield network
    finally:
        network.close()
