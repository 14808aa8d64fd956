"""An application that handles the events of hubs, written from the public rules of the webhooks.

It knows nothing of the service but what comes over HTTP, and notes every request that is not as those rules say.
"""

import collections
import dataclasses
import datetime
import hashlib
import hmac
import http.server
import queue
import re
import threading
import urllib.parse
import uuid
from collections.abc import Callable
from typing import Any

WAIT_TIMEOUT_S = 20
CLOCK_SKEW_S = 60
ORIGIN = "pubsub.example.com"
SYSTEM_EVENTS = ["connect", "connected", "disconnected"]
PATH = "/eventhandler"


@dataclasses.dataclass(frozen=True)
class Event:
    """A request of the service."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def name(self) -> str:
        return self.headers["ce-eventname"]

    @property
    def id(self) -> int:
        return int(self.headers["ce-id"])

    @property
    def connection_id(self) -> str:
        return self.headers["ce-connectionid"]

    @property
    def user_id(self) -> str | None:
        return self.headers.get("ce-userid")

    @property
    def state(self) -> str | None:
        return self.headers.get("ce-connectionstate")


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


AGREED = Answer(headers={"WebHook-Allowed-Origin": ORIGIN})


class HandledHub:
    """What came to the application from one hub, and how that is answered."""

    def __init__(self, answer: Callable[[Event], Answer | None], validation: Callable[[str], Answer | None]):
        self.answer = answer
        self.validation = validation
        self.validations: list[str] = []
        self._events: dict[str, queue.Queue[Event]] = collections.defaultdict(queue.Queue)
        self._lock = threading.Lock()

    def note(self, event: Event) -> None:
        self._queue_of(event.name).put(event)

    def next(self, name: str) -> Event:
        """The next event of that name."""
        return self._queue_of(name).get(timeout=WAIT_TIMEOUT_S)

    def expect_no_event(self, name: str) -> None:
        """No event of that name came that was not asked for yet."""
        assert self._queue_of(name).empty(), self.next(name)

    def _queue_of(self, name: str) -> "queue.Queue[Event]":
        with self._lock:
            return self._events[name]


class Application:
    """An HTTP server on a free port of the loopback."""

    def __init__(self, *access_keys: str):
        self.faults: list[str] = []
        self.access_keys = access_keys
        self._hubs: dict[str, HandledHub] = {}
        self._bodies: dict[tuple[str, str], bytes] = {}
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def configuration(self, *access_keys: str) -> str:
        """The configuration of a service that sends it every event of every hub, and tries twice."""
        primary, secondary = access_keys or self.access_keys
        return f"""
[keys]
primary = "{primary}"
secondary = "{secondary}"

[upstream]
request_origins = ["{ORIGIN}"]
retry_delays = ["10ms"]

[[hubs._default.event_handlers]]
url_template = "http://127.0.0.1:{self._server.server_port}{PATH}/{{hub}}/{{event}}?code=secret"
user_event_pattern = "*"
system_events = {SYSTEM_EVENTS}
"""

    def handle(
        self,
        hub: str,
        answer: Callable[[Event], Answer | None] = lambda event: None,
        validation: Callable[[str], Answer | None] = lambda method: AGREED,
    ) -> HandledHub:
        """Handles a hub. `answer` is given every event, `validation` the method by which the application is asked first."""
        handled = HandledHub(answer, validation)
        self._hubs[hub] = handled
        return handled

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=WAIT_TIMEOUT_S)

    def receive(self, event: Event) -> Answer:
        """Answers a request."""
        path = urllib.parse.urlsplit(event.path)
        hub = self._hubs.get(urllib.parse.unquote(path.path).removeprefix(f"{PATH}/").split("/")[0])
        if hub is None:
            return Answer(404)
        is_event = event.method == "POST"
        try:
            self._check(event) if is_event else self._check_validation(event)
        except Exception as error:
            self.faults.append(f"{type(error).__name__}: {error} in {event}")
        if not is_event:
            hub.validations.append(event.method)
            return hub.validation(event.method) or Answer(500)
        hub.note(event)
        return hub.answer(event) or Answer()

    def signature(self, connection_id: str) -> str:
        """What shows that the service knows the access keys."""
        digests = [
            hmac.new(key.encode(), connection_id.encode(), hashlib.sha256).hexdigest() for key in self.access_keys
        ]
        return ",".join(f"sha256={digest}" for digest in digests)

    def _check_validation(self, event: Event) -> None:
        expect(event.path.endswith("/validate?code=secret"), True)
        expect(event.headers["webhook-request-origin"], ORIGIN)
        expect(event.headers["ce-awpsversion"], "1.0")
        expect({"ce-type", "ce-signature", "cookie"} & event.headers.keys(), set())
        expect(event.body, b"")

    def _check(self, event: Event) -> None:
        headers = event.headers
        kind = "sys" if event.name in SYSTEM_EVENTS else "user"
        path = f"{PATH}/{headers['ce-hub']}/{urllib.parse.quote(event.name, safe='')}?code=secret"
        expect(event.path, path)
        expect(headers["webhook-request-origin"], ORIGIN)
        expect(headers["ce-specversion"], "1.0")
        expect(headers["ce-awpsversion"], "1.0")
        expect(headers["ce-type"], f"azure.webpubsub.{kind}.{event.name}")
        expect(headers["ce-source"], f"/hubs/{headers['ce-hub']}/client/{event.connection_id}")
        expect(headers["ce-signature"], self.signature(event.connection_id))
        expect(int(headers["content-length"]), len(event.body))
        expect("authorization" in headers, False)
        expect("ce-subprotocol" in headers and event.name == "connect", False)
        uuid.UUID(headers["x-ms-client-request-id"])
        self._check_time(headers["ce-time"])
        expect(event.id == 0, event.name == "connect")
        # An event that is tried again is the same event.
        known = self._bodies.setdefault((event.connection_id, headers["ce-id"]), event.body)
        expect(event.body, known)

    @staticmethod
    def _check_time(text: str) -> None:
        expect(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text) is not None, True)
        age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        expect(abs(age.total_seconds()) < CLOCK_SKEW_S, True)


def expect(found: Any, expected: Any) -> None:
    if found != expected:
        raise ValueError(f"{found!r} where {expected!r} was expected")


def _handler_of(application: Application) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = WAIT_TIMEOUT_S

        def _answer(self) -> None:
            # Values are UTF-8, which this server takes for Latin-1.
            headers = {name.lower(): value.encode("latin-1").decode() for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", "0")))
            answer = application.receive(Event(self.command, self.path, headers, body))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_OPTIONS = do_GET = do_POST = _answer

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
