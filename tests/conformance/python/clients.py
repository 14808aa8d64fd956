"""WebSocket clients without any SDK: what they see is what is on the wire."""

import itertools
import json
import ssl
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

RECEIVE_TIMEOUT_S = 10

JSON_SUBPROTOCOL = "json.webpubsub.azure.v1"


class SimpleClient:
    """A client that negotiated no subprotocol: payloads come as they are."""

    subprotocol: str | None = None

    def __init__(self, url: str, tls: ssl.SSLContext | None = None):
        self._socket = connect(
            url,
            subprotocols=[self.subprotocol] if self.subprotocol else None,
            ssl=tls,
            proxy=None,
            open_timeout=RECEIVE_TIMEOUT_S,
            close_timeout=RECEIVE_TIMEOUT_S,
            max_size=None,
        )

    @property
    def negotiated(self) -> str | None:
        return self._socket.subprotocol

    def receive(self) -> Any:
        """The next message: `str` of a text frame, `bytes` of a binary one."""
        return self._socket.recv(timeout=RECEIVE_TIMEOUT_S)

    def expect_close(self) -> tuple[int, str]:
        """Code and reason of the service's close frame, which must be the next thing that comes."""
        try:
            message = self._socket.recv(timeout=RECEIVE_TIMEOUT_S)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None, f"closed without a close frame: {closed}"
            return closed.rcvd.code, closed.rcvd.reason
        raise AssertionError(f"expected a close, received {message!r}")

    def close(self) -> None:
        self._socket.close()


class JsonClient(SimpleClient):
    """A client of `json.webpubsub.azure.v1`; it is made once the service said `connected`."""

    subprotocol = JSON_SUBPROTOCOL

    def __init__(self, url: str, tls: ssl.SSLContext | None = None):
        super().__init__(url, tls)
        self._ack_ids = itertools.count(1)
        connected = self.receive()
        assert (connected["type"], connected["event"]) == ("system", "connected"), connected
        self.connection_id: str = connected["connectionId"]
        self.user_id: str | None = connected["userId"]

    def receive(self) -> Any:
        """The next frame, decoded."""
        text = super().receive()
        assert isinstance(text, str), f"expected a text frame, received {text!r}"
        return json.loads(text)

    def request(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Sends a frame with the next ack id and returns its ack, the next frame that comes."""
        ack_id = next(self._ack_ids)
        self._socket.send(json.dumps({**frame, "ackId": ack_id}))
        ack = self.receive()
        assert (ack["type"], ack["ackId"]) == ("ack", ack_id), ack
        return ack

    def join(self, group: str) -> dict[str, Any]:
        return self.request({"type": "joinGroup", "group": group})

    def send_text(self, group: str, text: str) -> dict[str, Any]:
        return self.request(
            {
                "type": "sendToGroup",
                "group": group,
                "dataType": "text",
                "data": text,
                "noEcho": True,
            }
        )
