"""The official client package, called in one way whether it blocks or awaits."""

import contextlib
import dataclasses
import itertools
import queue
import threading
from collections.abc import Callable
from typing import Any

from azure.core.pipeline.policies import RetryMode
from azure.messaging.webpubsubclient import WebPubSubClient
from azure.messaging.webpubsubclient.aio import WebPubSubClient as AsyncClient
from azure.messaging.webpubsubclient.models import CallbackType, WebPubSubProtocolType

from proxy import Loop, Proxy

WAIT_TIMEOUT_S = 20

# The blocking client misses an ack that is there before it waits for it, and then finds it only
# when its time is over. This keeps acks from being so fast.
BLOCKING_DELAY_S = 0.01

OPTIONS = {
    "ack_timeout": 10,
    "start_timeout": 10,
    "message_retry_total": 0,
    "reconnect_retry_mode": RetryMode.Fixed,
    "reconnect_retry_backoff_factor": 0.2,
}


@dataclasses.dataclass(frozen=True)
class Message:
    """What a client was sent; without a group it came from the server."""

    data_type: str
    data: Any
    group: str | None = None
    user_id: str | None = None


class OfficialClient:
    """An official client, connected through a proxy of its own, and what it was told.

    The blocking client runs every callback in a thread of its own. On a reliable connection
    the sequence ids put the messages in order again; on a plain one they are only in order
    if each is received before the next one is sent.
    """

    def __init__(self, proxy: Proxy, url: str, is_reliable: bool, loop: Loop | None, **options: Any):
        self.proxy = proxy
        self.proxy.delay_s = 0.0 if loop else BLOCKING_DELAY_S
        self.is_reliable = is_reliable
        self._loop = loop
        self._happened: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self._messages: dict[int, Message] = {}
        self._message_came = threading.Condition()
        self._arrivals = itertools.count(1)
        self._next_number = 1
        protocol = WebPubSubProtocolType.JSON_RELIABLE if is_reliable else WebPubSubProtocolType.JSON
        kind = AsyncClient if loop else WebPubSubClient
        self._sdk = kind(url, protocol_type=protocol, **{**OPTIONS, **options})
        for event, callback in [
            (CallbackType.CONNECTED, self._on_connected),
            (CallbackType.DISCONNECTED, self._on_disconnected),
            (CallbackType.STOPPED, self._on_stopped),
            (CallbackType.REJOIN_GROUP_FAILED, self._on_rejoin_failed),
            (CallbackType.GROUP_MESSAGE, self._on_message),
            (CallbackType.SERVER_MESSAGE, self._on_message),
        ]:
            self._call("subscribe", event, _awaitable(callback) if loop else callback)

    def open(self) -> None:
        self._call("open")

    def close(self) -> None:
        self._call("close")

    def join(self, group: str, **options: Any) -> None:
        self._call("join_group", group, **options)

    def leave(self, group: str, **options: Any) -> None:
        self._call("leave_group", group, **options)

    def send(self, group: str, data: Any, data_type: str = "text", **options: Any) -> None:
        self._call("send_to_group", group, data, data_type, **options)

    def send_event(self, name: str, data: Any, data_type: str = "text", **options: Any) -> None:
        self._call("send_event", name, data, data_type, **options)

    def expect_connected(self) -> None:
        """The next thing that happened is a new connection."""
        what, self.connection_id, self.user_id = self.next_event()
        assert what == "connected"
        if self.is_reliable:
            self._next_number = 1

    def next_event(self) -> tuple[Any, ...]:
        """What happened next to the connection."""
        return self._happened.get(timeout=WAIT_TIMEOUT_S)

    def expect_no_event(self) -> None:
        """Nothing has happened to the connection that was not asked for yet."""
        assert self._happened.empty(), self._happened.get()

    def receive(self) -> Message:
        """The next message. On a reliable connection it has the next sequence id."""
        number = self._next_number
        with self._message_came:
            found = self._message_came.wait_for(lambda: number in self._messages, WAIT_TIMEOUT_S)
            assert found, f"waited {WAIT_TIMEOUT_S} s for message {number}, got {self._messages}"
            self._next_number += 1
            return self._messages.pop(number)

    def receive_data(self, count: int) -> list[Any]:
        """The payloads of so many messages."""
        return [self.receive().data for _ in range(count)]

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        result = getattr(self._sdk, name)(*arguments, **options)
        return self._loop.run(result) if self._loop else result

    def _on_connected(self, event: Any) -> None:
        self._happened.put(("connected", event.connection_id, event.user_id))

    def _on_disconnected(self, event: Any) -> None:
        self._happened.put(("disconnected", event.connection_id, event.message))

    def _on_stopped(self) -> None:
        self._happened.put(("stopped",))

    def _on_rejoin_failed(self, event: Any) -> None:
        self._happened.put(("rejoin failed", event.group, event.error.error_detail.name))

    def _on_message(self, event: Any) -> None:
        data = bytes(event.data) if isinstance(event.data, memoryview) else event.data
        group = getattr(event, "group", None)
        message = Message(event.data_type, data, group, getattr(event, "from_user_id", None))
        with self._message_came:
            number = event.sequence_id if self.is_reliable else next(self._arrivals)
            self._messages[number] = message
            self._message_came.notify_all()


def _awaitable(callback: Callable[..., None]) -> Callable[..., Any]:
    async def call(*arguments: Any) -> None:
        callback(*arguments)

    return call


def close_quietly(client: OfficialClient) -> None:
    """Ends a client in whichever state a test left it."""
    client.proxy.admit()
    client.proxy.release()
    with contextlib.suppress(Exception):
        client.close()
