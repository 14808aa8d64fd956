"""A TCP proxy between a client and the service, with which a test makes the network fail."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from service import Service

WAIT_TIMEOUT_S = 20
QUEUE_BYTES_MAX = 64 * 1024
WAYS = ("up", "down")


class Loop:
    """An event loop in a thread of its own, for code that blocks."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any], timeout_s: float = WAIT_TIMEOUT_S) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout_s)
        finally:
            future.cancel()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=WAIT_TIMEOUT_S)


class Proxy:
    """Forwards connections to the service until it is told to do otherwise.

    Whatever is forwarded arrives `delay_s` later and not faster than `bytes_per_s`. Both count
    for each direction of each connection and may be set at any time.
    """

    def __init__(self, service: Service, loop: Loop):
        self.delay_s = 0.0
        self.bytes_per_s: int | None = None
        self._service = service
        self._loop = loop
        self._links: list[_Link] = []
        self._admits = True
        self._refused = 0
        loop.run(self._open())

    async def _open(self) -> None:
        self._changed = asyncio.Condition()
        self._flows = {way: asyncio.Event() for way in WAYS}
        await self._set_flows(WAYS, flows=True)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        scheme = self._service.endpoint.split(":")[0]
        port = self._server.sockets[0].getsockname()[1]
        self.endpoint = f"{scheme}://127.0.0.1:{port}"

    @property
    def connection_string(self) -> str:
        """That of the service, for tokens of clients that come through here."""
        return self._service.connection_string.replace(self._service.endpoint, self.endpoint)

    def cut(self, reset: bool = True) -> None:
        """Ends every connection, on both sides by a reset or in the ordinary way of TCP."""
        self._loop.run(self._cut(reset))

    def cut_clients(self) -> None:
        """Ends every connection on the side of the client; the service does not learn of it."""
        self._loop.run(self._cut(reset=True, tells_service=False))

    def hold(self, *ways: str) -> None:
        """Stops forwarding `up` to the service, `down` from it or both. Nothing is closed."""
        self._loop.run(self._set_flows(ways or WAYS, flows=False))

    def release(self) -> None:
        """Forwards again, first what was held."""
        self._loop.run(self._set_flows(WAYS, flows=True))

    def refuse(self) -> None:
        """Resets new connections."""
        self._admits = False

    def admit(self) -> None:
        """Forwards new connections again."""
        self._admits = True

    def forward_to(self, service: Service) -> None:
        """Forwards new connections to another server."""
        self._service = service

    def wait_refused(self, count: int) -> None:
        """Waits until that many connections were refused in all."""
        self._loop.run(self._wait_for(lambda: self._refused >= count))

    def wait_dropped(self, count: int) -> None:
        """Waits until the service's side of that many connections was ended in all."""
        self._loop.run(
            self._wait_for(lambda: sum(link.service.is_ended for link in self._links) >= count)
        )

    def close(self) -> None:
        self._loop.run(self._close())

    async def _close(self) -> None:
        self._server.close()
        await self._cut(reset=True)
        for link in self._links:
            link.stop()

    async def _cut(self, reset: bool, tells_service: bool = True) -> None:
        for link in self._links:
            link.cut(reset, tells_service)

    async def _set_flows(self, ways: tuple[str, ...], flows: bool) -> None:
        for way in ways:
            if flows:
                self._flows[way].set()
            else:
                self._flows[way].clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Side(reader, writer, self._tell)
        if not self._admits:
            client.end(reset=True)
            self._refused += 1
            await self._tell()
            return
        host, port = self._service.authority_part.split(":")
        try:
            service = _Side(*await asyncio.open_connection(host, int(port)), self._tell)
        except OSError:
            client.end(reset=True)
            return
        self._links.append(_Link(client, service, self._pace))

    async def _wait_for(self, condition: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(condition)

    async def _tell(self) -> None:
        """Has those who wait look again."""
        async with self._changed:
            self._changed.notify_all()

    async def _pace(self, way: str, arrived: float, size: int) -> None:
        """Waits until a chunk may go on."""
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, arrived + self.delay_s - now))
        if self.bytes_per_s:
            await asyncio.sleep(size / self.bytes_per_s)
        await self._flows[way].wait()


class _Link:
    """A connection of a client and the one to the service that belongs to it."""

    def __init__(self, client: "_Side", service: "_Side", pace: Callable[..., Any]):
        self.client = client
        self.service = service
        self._pace = pace
        self._is_half_open = False
        self._pumps = [
            asyncio.create_task(self._pump("up", client, service)),
            asyncio.create_task(self._pump("down", service, client)),
        ]

    def cut(self, reset: bool, tells_service: bool) -> None:
        self._is_half_open = not tells_service
        self.client.end(reset)
        if tells_service:
            self.service.end(reset)

    def stop(self) -> None:
        for pump in self._pumps:
            pump.cancel()

    async def _pump(self, way: str, source: "_Side", target: "_Side") -> None:
        while (item := await source.take()) is not None:
            arrived, chunk = item
            await self._pace(way, arrived, len(chunk))
            await target.write(chunk)
        await self._pace(way, 0.0, 0)
        if not self._is_half_open:
            target.end(reset=False)


class _Side:
    """One socket. It is read although nobody takes what came, so that its end is noticed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tell: Any):
        self.is_ended = False
        self._reader = reader
        self._writer = writer
        self._tell = tell
        self._chunks: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
        self._waiting_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._task = asyncio.create_task(self._read())

    async def take(self) -> tuple[float, bytes] | None:
        """The next chunk and when it came, or nothing after the last one."""
        item = await self._chunks.get()
        if item is not None:
            self._waiting_bytes -= len(item[1])
            self._has_room.set()
        return item

    async def write(self, chunk: bytes) -> None:
        with contextlib.suppress(OSError):
            self._writer.write(chunk)
            await self._writer.drain()

    def end(self, reset: bool) -> None:
        if reset:
            raw = self._writer.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        else:
            self._writer.close()

    async def _read(self) -> None:
        now = asyncio.get_running_loop().time
        with contextlib.suppress(OSError):
            while chunk := await self._reader.read(16 * 1024):
                self._chunks.put_nowait((now(), chunk))
                self._waiting_bytes += len(chunk)
                if self._waiting_bytes > QUEUE_BYTES_MAX:
                    self._has_room.clear()
                await self._has_room.wait()
        self._chunks.put_nowait(None)
        self.is_ended = True
        await self._tell()
