"""Callers with an identity: tokens of an issuer, shown by the official package with a credential."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.core.rest import HttpRequest
from azure.messaging.webpubsubservice import WebPubSubServiceClient
from certificate import write_certificates
from clients import JsonClient, SimpleClient
from conftest import ALL_ROLES, expect_clean_end, running
from issuer import OWNER, READER, SCOPE, AsyncCredential, Credential, Issuer, Key
from sdk import OPTIONS, Awaited, iterate
from service import Authority, Service
from websocket import WebSocketBadStatusException

ACTIONS = "Microsoft.SignalRService/WebPubSub/"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def service(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with TLS, without access keys, that trusts the issuer."""
    folder = tmp_path_factory.mktemp("identity")
    with running(start(folder, issuer, "disable_local_auth = true")) as service:
        yield service
        expect_clean_end(service)


def start(folder: Any, issuer: Issuer, auth: str = "", *more: str) -> Service:
    authority, certificate, key = write_certificates(folder)
    file = folder / "hubwire.toml"
    file.write_text(
        f"""
        [keys]
        internal = "a key that only the service itself knows"
        [auth]
        {auth}
        [[auth.oidc]]
        issuer = "{issuer.url}"
        allow_http = true
        role_assignments = [
            {{ claim = "oid", value = "the backend", roles = ["{OWNER}"] }},
        ]
        """,
        encoding="utf-8",
    )
    arguments = ["--config", str(file), "--tls-cert", str(certificate), "--tls-key", str(key)]
    return Service("with identities", *arguments, *more, authority=Authority(authority))


class AwaitedWithIdentity(Awaited):
    @staticmethod
    async def _open(service: Service, credential: Any, hub: str) -> Any:
        from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient as Client

        return Client(service.endpoint, hub, credential, **options(service))


def options(service: Service) -> dict[str, Any]:
    return {**OPTIONS, "connection_verify": str(service.authority.path)}


@pytest.fixture
def client_of(service: Service, style: str) -> Iterator[Callable[..., Any]]:
    """Makes official clients, blocking or awaiting, that show the token they are given."""
    with contextlib.ExitStack() as stack:

        def make(token: str, hub: str = "identities") -> Any:
            if style == "blocking":
                credential = Credential(lambda: token)
                client = WebPubSubServiceClient(
                    service.endpoint, hub, credential, **options(service)
                )
            else:
                client = AwaitedWithIdentity(service, AsyncCredential(lambda: token), hub)
            stack.callback(client.close)
            return client

        yield make


def operations(client: Any, connection_id: str) -> dict[str, list[Callable[[], Any]]]:
    """Every operation of the package on the hub `identities`, by the data action that it takes."""

    def request(method: str, target: str, **content: Any) -> Any:
        response = client.send_request(HttpRequest(method, target, **content))
        response.raise_for_status()
        return response

    group, user, connection = "room", "alice", connection_id
    grant = {"permission": "sendToGroup", "connection_id": connection, "target_name": group}
    return {
        "auth/clientToken/action": [lambda: client.get_client_access_token(user_id=user)],
        "hub/send/action": [lambda: client.send_to_all({"a": 1}, excluded=[connection])],
        "group/send/action": [lambda: client.send_to_group(group, "hi", excluded=[connection])],
        "user/send/action": [lambda: client.send_to_user("nobody", "hi")],
        "clientConnection/send/action": [lambda: client.send_to_connection("none", "hi")],
        "group/write": [
            lambda: client.add_connection_to_group(group, connection),
            lambda: client.remove_connection_from_group(group, connection),
            lambda: client.remove_connection_from_all_groups(connection),
            lambda: client.remove_user_from_group(group, user),
            lambda: client.remove_user_from_all_groups(user),
            lambda: client.add_user_to_group(group, user),
            lambda: request(
                "POST",
                "/api/hubs/identities/:addToGroups",
                json={"groups": ["hall"], "filter": "userId eq 'alice'"},
            ),
            lambda: request(
                "POST",
                "/api/hubs/identities/:removeFromGroups",
                json={"groups": ["hall"], "filter": "userId eq 'alice'"},
            ),
        ],
        "group/read": [
            lambda: client.group_exists(group),
            lambda: list(iterate(client, client.list_connections(group=group))),
        ],
        "user/read": [lambda: client.user_exists(user)],
        "clientConnection/read": [
            lambda: client.connection_exists(connection),
            lambda: client.has_permission(**grant),
        ],
        "clientConnection/write": [
            lambda: client.grant_permission(**grant),
            lambda: client.revoke_permission(**grant),
            lambda: client.close_group_connections("nobody here"),
            lambda: client.close_user_connections("nobody"),
            lambda: client.close_connection("none"),
            lambda: client.close_all_connections(excluded=[connection]),
        ],
    }


def connected(client: Any, service: Service, connect: Callable[..., Any]) -> JsonClient:
    url = client.get_client_access_token(user_id="alice", roles=ALL_ROLES, groups=["room"])["url"]
    return connect(JsonClient, service, url)


def test_every_operation_is_open_to_an_owner(issuer, service, client_of, connect):
    client = client_of(issuer.token(OWNER))
    alice = connected(client, service, connect)
    for calls in operations(client, alice.connection_id).values():
        for call in calls:
            call()
    assert client.user_exists("alice") is True
    client.send_to_user("alice", "the end", content_type="text/plain")
    assert alice.receive()["data"] == "the end"


def test_a_reader_may_look_and_nothing_else(issuer, service, client_of, connect):
    alice = connected(client_of(issuer.token(OWNER)), service, connect)
    reader = client_of(issuer.token(READER))
    for action, calls in operations(reader, alice.connection_id).items():
        for call in calls:
            if action.endswith("/read"):
                call()
                continue
            with pytest.raises(HttpResponseError) as refused:
                call()
            assert refused.value.status_code == 403, action
            assert f"{ACTIONS}{action}" in refused.value.response.text(), action


def test_nobody_in_particular_may_do_anything(issuer, service, client_of, connect):
    alice = connected(client_of(issuer.token(OWNER)), service, connect)
    nobody = client_of(issuer.token("Contributor"))
    for action, calls in operations(nobody, alice.connection_id).items():
        for call in calls:
            with pytest.raises(HttpResponseError) as refused:
                call()
            assert refused.value.status_code == 403, action
            assert refused.value.response.headers["x-ms-error-code"] == "Error.Forbidden"


def test_a_role_can_come_from_who_the_caller_is(issuer, client_of):
    client = client_of(issuer.token("Contributor", oid="the backend"))
    client.send_to_all("hi", content_type="text/plain")


def test_the_package_asks_for_the_scope_of_the_service(issuer, service):
    credential = Credential(issuer.token)
    with WebPubSubServiceClient(service.endpoint, "chat", credential, **options(service)) as client:
        client.user_exists("alice")
        client.user_exists("bob")
    assert credential.scopes == [(SCOPE,)]


def test_the_package_shows_no_identity_without_tls(issuer, http_service):
    client = WebPubSubServiceClient(http_service.endpoint, "chat", Credential(issuer.token), **OPTIONS)
    with client, pytest.raises((ServiceRequestError, ValueError)):
        client.user_exists("alice")


def test_wrong_tokens_are_refused(issuer, client_of):
    now = int(time.time())
    stranger = Key(issuer.key.key_id)
    tokens = {
        "another audience": issuer.token(aud="https://management.azure.com"),
        "another issuer": issuer.token(iss="https://login.example.com"),
        "no issuer": issuer.token(iss=None),
        "expired": issuer.token(exp=now - 301),
        "no expiry": issuer.token(exp=None),
        "not valid yet": issuer.token(nbf=now + 360),
        "alg none": issuer.token_of_alg_none(),
        "HS256 by the public key": issuer.token_by_public_key(),
        "a key of somebody else": issuer.token(key=stranger),
        "an unknown key": issuer.token(key=Key("unknown")),
        "no token": "x",
    }
    for what, token in tokens.items():
        client = client_of(token)
        with pytest.raises(ClientAuthenticationError) as refused:
            client.send_to_all("hi", content_type="text/plain")
        assert refused.value.status_code == 401, what
        with pytest.raises(ClientAuthenticationError):
            client.get_client_access_token()


def test_what_does_not_exist_is_not_found_for_an_owner(issuer, client_of):
    client = client_of(issuer.token(OWNER))
    assert client.user_exists("nobody") is False
    with pytest.raises(ResourceNotFoundError):
        client.add_user_to_group("room", "nobody")


def test_access_keys_are_refused_and_an_identity_gets_tokens_that_connect(
    issuer, service, client_of, connect
):
    with_key = WebPubSubServiceClient.from_connection_string(
        service.connection_string, hub="identities", **options(service)
    )
    with with_key, pytest.raises(ClientAuthenticationError):
        with_key.send_to_all("hi", content_type="text/plain")
    with pytest.raises(WebSocketBadStatusException) as refused:
        connect(SimpleClient, service, with_key.get_client_access_token()["url"])
    assert refused.value.status_code == 401
    client = client_of(issuer.token(OWNER))
    alice = connected(client, service, connect)
    assert alice.user_id == "alice"
    client.send_to_group("room", "hi", content_type="text/plain")
    assert alice.receive()["data"] == "hi"


def test_keys_rotate_and_the_issuer_is_asked_seldom(tmp_path):
    for algorithm in ("RS256", "PS256", "ES256"):
        with Issuer(algorithm=algorithm) as issuer:
            folder = tmp_path / algorithm
            folder.mkdir()
            with running(start(folder, issuer)) as service:
                current = {"token": issuer.token()}

                def exists(token: str) -> bool:
                    current["token"] = token
                    credential = Credential(lambda: current["token"])
                    with WebPubSubServiceClient(
                        service.endpoint, "chat", credential, **options(service)
                    ) as client:
                        return client.user_exists("nobody")

                by_first = issuer.token()
                assert exists(by_first) is False
                assert issuer.fetches["/keys"] == 1
                issuer.rotate(keep=False)
                by_second = issuer.token()
                assert exists(by_second) is False
                assert issuer.fetches["/keys"] == 2
                with pytest.raises(ClientAuthenticationError):
                    exists(by_first)
                issuer.is_failing = True
                for number in range(20):
                    with pytest.raises(ClientAuthenticationError):
                        exists(issuer.token(key=Key(f"unknown-{number}", "ES256")))
                    assert exists(issuer.token(jti=str(number))) is False
                assert issuer.fetches["/keys"] == 2
                expect_clean_end(service)


def test_an_issuer_is_asked_by_tls_and_must_be_vouched_for(tmp_path, monkeypatch):
    authority, certificate, key = write_certificates(tmp_path)
    for name in ("trusted", "not trusted"):
        folder = tmp_path / name
        folder.mkdir()
        with Issuer(str(certificate), str(key)) as issuer:
            with monkeypatch.context() as environment:
                if name == "trusted":
                    environment.setenv("SSL_CERT_FILE", str(authority))
                service = start(folder, issuer)
            credential = Credential(issuer.token)
            with (
                running(service),
                WebPubSubServiceClient(
                    service.endpoint, "chat", credential, **options(service)
                ) as client,
            ):
                if name == "trusted":
                    assert client.user_exists("nobody") is False
                else:
                    with pytest.raises(HttpResponseError) as refused:
                        client.user_exists("nobody")
                    assert refused.value.status_code == 503
                expect_clean_end(service)
            is_told = "keys of an issuer cannot be fetched" in service.log()
            assert is_told == (name == "not trusted")


def test_no_token_reaches_the_log_however_much_is_logged(issuer, tmp_path):
    good = issuer.token(OWNER)
    wrong = issuer.token(OWNER, exp=1)
    with running(start(tmp_path, issuer, "", "--log-level", "trace")) as service:
        for token in (good, wrong):
            with WebPubSubServiceClient(
                service.endpoint, "chat", Credential(lambda token=token: token), **options(service)
            ) as client:
                if token == good:
                    assert client.user_exists("nobody") is False
                else:
                    with pytest.raises(ClientAuthenticationError):
                        client.user_exists("nobody")
        expect_clean_end(service)
    assert "caller with an identity refused" in service.log()
    for part in (*good.split("."), *wrong.split(".")):
        assert part not in service.log()
