"""Servers, SDK clients and WebSocket clients for the tests; everything opened here is closed here.

Every test that takes `api` runs four times: the blocking and the awaiting SDK, over http and https.
It has a hub of its own, so that "everyone" means everyone whom the test connected.
"""

import concurrent.futures
import contextlib
import itertools
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core.rest import HttpRequest

import sdk
from application import Application
from certificate import write_certificates
from client_sdk import OfficialClient, close_quietly
from clients import JsonClient, SimpleClient
from proxy import Loop, Proxy
from service import Authority, Service

PRIMARY_KEY = "primary-key-of-the-tests-0123456789"
SECONDARY_KEY = "secondary-key-of-the-tests-0123456789"

ALL_ROLES = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"]

_running: list[Service] = []
_log_sizes: dict[int, int] = {}
_hub_numbers = itertools.count(1)


def pytest_sessionstart() -> None:
    binary = os.environ.get("HUBWIRE_BIN")
    if not binary:
        raise pytest.UsageError(
            "HUBWIRE_BIN is not set; `cargo xtask conformance python` builds the binary and sets it"
        )
    if not pathlib.Path(binary).is_file():
        raise pytest.UsageError(f"HUBWIRE_BIN is {binary}, which is no file")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    _log_sizes.update({id(service): service.log_size() for service in _running})
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Shows with a failure what the servers logged during that test."""
    report = yield
    if report.failed:
        for service in _running:
            log = service.log_since(_log_sizes.get(id(service), 0))
            report.sections.append((f"stderr of hubwire ({service.name})", log or "(nothing)"))
    return report


@contextlib.contextmanager
def running(service: Service) -> Iterator[Service]:
    _running.append(service)
    try:
        yield service
    finally:
        service.kill()
        _running.remove(service)


def expect_clean_end(service: Service) -> None:
    """Whatever the tests did to it, the process is there to be asked to stop, and does."""
    service.terminate()
    assert service.wait() == 0, service.log()


@pytest.fixture(scope="session")
def http_service() -> Iterator[Service]:
    with running(Service("http")) as service:
        yield service
        expect_clean_end(service)


@pytest.fixture(scope="session")
def https_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    authority, certificate, key = write_certificates(tmp_path_factory.mktemp("tls"))
    arguments = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with running(Service("https", *arguments, authority=Authority(authority))) as service:
        yield service
        expect_clean_end(service)


@pytest.fixture(scope="session")
def application() -> Iterator[Application]:
    """An application that handles the events of `events_service`."""
    application = Application(PRIMARY_KEY, SECONDARY_KEY)
    yield application
    application.close()


@pytest.fixture(scope="session")
def events_service(
    application: Application, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    file = tmp_path_factory.mktemp("events") / "hubwire.toml"
    file.write_text(application.configuration(), encoding="utf-8")
    service = Service("with events", "--config", str(file), access_key=PRIMARY_KEY)
    with running(service):
        yield service
        expect_clean_end(service)


@pytest.fixture
def start_service(tmp_path: pathlib.Path) -> Iterator[Callable[..., Service]]:
    """Starts a server of this test's own, optionally with a configuration file of that text."""
    with contextlib.ExitStack() as stack:

        def start(config: str | None = None, **options: Any) -> Service:
            arguments = []
            if config is not None:
                file = tmp_path / "hubwire.toml"
                file.write_text(config, encoding="utf-8")
                arguments = ["--config", str(file)]
            return stack.enter_context(running(Service("of this test", *arguments, **options)))

        yield start


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """Connects a client of the given class; all of them are closed after the test."""
    opened: list[SimpleClient] = []

    def open_client(kind: type[SimpleClient], service: Service, url: str) -> SimpleClient:
        client = kind(url, service.tls_context())
        opened.append(client)
        return client

    yield open_client
    for client in opened:
        client.close()


class Api:
    """The SDK on one hub, with clients that get their tokens from it."""

    def __init__(
        self,
        service: Service,
        make: Callable[..., Any],
        connect: Callable[..., Any],
        stack: contextlib.ExitStack,
    ):
        self.service = service
        self.hub = f"chat_{next(_hub_numbers)}"
        self._make = make
        self._connect = connect
        self._stack = stack
        self._fences = itertools.count(1)
        self.client = self.make_client()

    def make_client(self, hub: str | None = None, access_key: str | None = None) -> Any:
        """The SDK in the same style on the same server, with another hub or key."""
        connection_string = self.service.connection_string
        if access_key is not None:
            connection_string = connection_string.replace(self.service.access_key, access_key)
        client = self._make(self.service, connection_string, hub or self.hub)
        self._stack.callback(client.close)
        return client

    def connect(self, url: str) -> SimpleClient:
        return self._connect(SimpleClient, self.service, url)

    def connect_json(self, url: str) -> JsonClient:
        return self._connect(JsonClient, self.service, url)

    def simple(self, **token: Any) -> SimpleClient:
        return self._connect(SimpleClient, self.service, self._url(token))

    def json(self, **token: Any) -> JsonClient:
        return self._connect(JsonClient, self.service, self._url(token))

    def request(self, method: str, target: str, **content: Any) -> Any:
        """A request that the SDK signs and sends as it is."""
        return self.client.send_request(HttpRequest(method, target, **content))

    def listed(self, group: str, client: Any = None, **options: Any) -> list[tuple[str, str | None]]:
        """Connection id and user of each member of a group, in the order of the list."""
        client = client or self.client
        members = client.list_connections(group=group, **options)
        return [_member(member) for member in sdk.iterate(client, members)]

    def pages(self, group: str, **options: Any) -> Iterator[list[tuple[str, str | None]]]:
        """Like `listed`, page by page, each asked for when it is wanted."""
        pages = self.client.list_connections(group=group, **options).by_page()
        for page in sdk.iterate(self.client, pages):
            yield [_member(member) for member in sdk.iterate(self.client, page)]

    def _url(self, token: dict[str, Any]) -> str:
        return self.client.get_client_access_token(**token)["url"]

    def expect_nothing_more(self, *clients: SimpleClient | OfficialClient) -> None:
        """Every client has received all it was sent. Proved by a message to the whole hub that
        each of them must see next, since a connection receives in the order of acceptance."""
        fence = f"fence {next(self._fences)}"
        self.client.send_to_all(fence, content_type="text/plain")
        for client in clients:
            received = client.receive()
            if isinstance(client, JsonClient):
                received = received.get("data", received)
            elif isinstance(client, OfficialClient):
                received = received.data
            assert received == fence


def _member(member: Any) -> tuple[str, str | None]:
    return member.connection_id, member.user_id


@pytest.fixture(params=["blocking-http", "awaiting-http", "blocking-https", "awaiting-https"])
def api(request: pytest.FixtureRequest, connect: Callable[..., Any]) -> Iterator[Api]:
    style, scheme = request.param.split("-")
    service = request.getfixturevalue(f"{scheme}_service")
    make = sdk.make_blocking if style == "blocking" else sdk.Awaited
    with contextlib.ExitStack() as stack:
        yield Api(service, make, connect, stack)


@pytest.fixture
def events_api(events_service: Service, connect: Callable[..., Any]) -> Iterator[Api]:
    """The SDK on a hub whose events are handled by `application`."""
    with contextlib.ExitStack() as stack:
        yield Api(events_service, sdk.make_blocking, connect, stack)


class Official:
    """Official clients in one style on a hub of their own, with the SDK of the service in `api`."""

    def __init__(self, api: Api, loop: Loop, kind: str, stack: contextlib.ExitStack):
        style, protocol = kind.split("-")
        self.api = api
        self.rest = api.client
        self.is_reliable = protocol == "reliable"
        self._network = loop
        self._loop = loop if style == "awaiting" else None
        self._stack = stack
        self._clients: list[OfficialClient] = []

    def open(self, options: dict[str, Any] | None = None, **token: Any) -> OfficialClient:
        """A connected client, by default one that may do everything in every group."""
        client = self.make(options, **token)
        client.open()
        client.expect_connected()
        return client

    def make(self, options: dict[str, Any] | None = None, **token: Any) -> OfficialClient:
        """A client that is not opened yet, behind a proxy of its own."""
        proxy = Proxy(self.api.service, self._network)
        self._stack.callback(proxy.close)
        tokens = sdk.make_blocking(self.api.service, proxy.connection_string, self.api.hub)
        self._stack.callback(tokens.close)
        url = tokens.get_client_access_token(**{"roles": ALL_ROLES, **token})["url"]
        client = OfficialClient(proxy, url, self.is_reliable, self._loop, **(options or {}))
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Ends all clients at once: an awaiting one takes a second to close."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.map(close_quietly, self._clients)

    def members(self, group: str) -> list[str]:
        return [connection_id for connection_id, _ in self.api.listed(group)]


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def official(
    connect: Callable[..., Any],
    loop: Loop,
    start_service: Callable[..., Service],
) -> Iterator[Callable[..., Official]]:
    """Official clients of a kind such as `blocking-reliable` on a server. They end before it does."""
    made: list[Official] = []
    with contextlib.ExitStack() as stack:

        def make(service: Service, kind: str) -> Official:
            api = Api(service, sdk.make_blocking, connect, stack)
            made.append(Official(api, loop, kind, stack))
            return made[-1]

        yield make
        for clients in made:
            clients.close()


KINDS = ["blocking-reliable", "awaiting-reliable", "blocking-plain", "awaiting-plain"]


@pytest.fixture(params=KINDS)
def clients(
    request: pytest.FixtureRequest, http_service: Service, official: Callable[..., Official]
) -> Official:
    return official(http_service, request.param)


@pytest.fixture(params=KINDS)
def events_clients(
    request: pytest.FixtureRequest, events_service: Service, official: Callable[..., Official]
) -> Official:
    return official(events_service, request.param)


@pytest.fixture(params=["blocking", "awaiting"])
def style(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def reliable_clients(style: str, http_service: Service, official: Callable[..., Official]) -> Official:
    return official(http_service, f"{style}-reliable")
