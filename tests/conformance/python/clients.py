"""WebSocket clients without any SDK: what they see is what is on the wire."""

import itertools
import json
import ssl
from typing import Any

import websocket

RECEIVE_TIMEOUT_S = 10

JSON_SUBPROTOCOL = "json.webpubsub.azure.v1"


class SimpleClient:
    """A client that negotiated no subprotocol: payloads come as they are."""

    subprotocol: str | None = None

    def __init__(self, url: str, tls: ssl.SSLContext | None = None):
        self._socket = websocket.create_connection(
            url,
            timeout=RECEIVE_TIMEOUT_S,
            subprotocols=[self.subprotocol] if self.subprotocol else None,
            sslopt={"context": tls} if tls else None,
            suppress_origin=True,
            http_no_proxy=["127.0.0.1"],
        )
        assert self._socket.getsubprotocol() == self.subprotocol

    def receive(self) -> Any:
        """The next message: `str` of a text frame, `bytes` of a binary one."""
        opcode, data = self._receive()
        assert opcode != websocket.ABNF.OPCODE_CLOSE, f"expected a message, was closed: {data!r}"
        return data.decode() if opcode == websocket.ABNF.OPCODE_TEXT else data

    def send(self, data: str | bytes) -> None:
        """Sends a text frame of `str`, a binary one of `bytes`."""
        if isinstance(data, str):
            self._socket.send(data)
        else:
            self._socket.send_binary(data)

    def expect_close(self) -> tuple[int, str]:
        """Code and reason of the service's close frame, which must be the next thing that comes."""
        opcode, data = self._receive()
        assert opcode == websocket.ABNF.OPCODE_CLOSE, f"expected a close, received {data!r}"
        return int.from_bytes(data[:2], "big"), data[2:].decode()

    def _receive(self) -> tuple[int, bytes]:
        opcode, frame = self._socket.recv_data_frame()
        return opcode, frame.data

    def close(self) -> None:
        self._socket.shutdown()


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
        self.send(json.dumps({**frame, "ackId": ack_id}))
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
