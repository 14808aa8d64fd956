"""Events of official clients at an application of our own, which checks every request by the public rules."""

import contextlib
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from application import AGREED, ORIGIN, Answer, Application
from azure.messaging.webpubsubclient.models import OpenClientError, SendMessageError
from client_sdk import Message
from clients import JsonClient, SimpleClient
from conftest import PRIMARY_KEY, SECONDARY_KEY
from until import wait_until
from websocket import WebSocketBadStatusException

# A google.protobuf.Any: field 1 is the type, field 2 the serialized message.
ANY = b"\x0a\x12example.test/Thing" + b"\x12\x03\x08\x96\x01"

# Data types with what a client sends, and the content type and body that it becomes.
DATA = [
    ("text", "Hello \u00e4 world", "text/plain; charset=utf-8", "Hello \u00e4 world".encode()),
    ("json", {"number": [1, 2.5, None, True]}, "application/json", b'{"number": [1, 2.5, null, true]}'),
    ("json", "just a string", "application/json", b'"just a string"'),
    ("binary", b"\x00\x01\xff", "application/octet-stream", b"\x00\x01\xff"),
    ("protobuf", ANY, "application/x-protobuf", ANY),
]

# Answers to `connect` that accept a client, with the user that it is then.
ACCEPTING = [
    (Answer(), "alice"),
    (Answer(204), "alice"),
    (Answer(202, b"null"), "alice"),
    (Answer(200, b"{}"), "alice"),
    (Answer(200, b'{"userId":null,"groups":[],"unknown":1}'), "alice"),
    (Answer(200, b'{"userId":"bob"}', {"Content-Type": "text/plain"}), "bob"),
    (Answer(200, b'{"USERID":"bob"}'), "bob"),
    (Answer(200, '{"userId":"Zo\u00eb"}'.encode()), "Zo\u00eb"),
]

# Answers to `connect` that refuse a client, with the status that it sees.
REFUSING = [
    (Answer(401), 401),
    (Answer(402, b"pay first"), 402),
    (Answer(403, b'{"userId":"bob"}'), 403),
    (Answer(429), 429),
    (Answer(503), 503),
    (Answer(200, b"no JSON"), 500),
    (Answer(200, b'{"groups":[" "]}'), 500),
    (Answer(200, b'{"roles":[null]}'), 500),
]

# Answers to a user event that are failures.
FAILING = [
    Answer(400, b"secret"),
    Answer(404),
    Answer(500, b"secret"),
    Answer(302, b"", {"Location": "/"}),
    Answer(200, b"secret", {"Content-Type": "text/html"}),
    Answer(200, b"no JSON", {"Content-Type": "application/json"}),
]

# How an application agrees to get events, or not: by method, what it answers.
AGREEING = [
    {"OPTIONS": AGREED},
    {"OPTIONS": Answer(204, b"", {"WebHook-Allowed-Origin": "*"})},
    {"OPTIONS": Answer(200, b"", {"webhook-allowed-origin": ORIGIN.upper()})},
    {"OPTIONS": Answer(404), "GET": AGREED},
]
DISAGREEING = [
    {"OPTIONS": Answer()},
    {"OPTIONS": Answer(200, b"", {"WebHook-Allowed-Origin": "another.example.com"})},
    {"OPTIONS": Answer(403, b"", AGREED.headers)},
    {"OPTIONS": Answer(404), "GET": Answer()},
    {"OPTIONS": Answer(405), "GET": AGREED},
]


@pytest.fixture(autouse=True)
def every_request_is_as_the_rules_say(application: Application) -> Iterator[None]:
    yield
    faults, application.faults = application.faults, []
    assert faults == []


def test_an_event_of_every_data_type_is_handled_and_answered(application, events_clients):
    def echo(event):
        return Answer(200, event.body, {"Content-Type": event.headers["content-type"]}) if event.body else None

    handled = application.handle(events_clients.api.hub, to_user_events(echo))
    client = events_clients.open(user_id="alice")
    for data_type, data, content_type, body in DATA:
        client.send_event("echo", memoryview(data) if isinstance(data, bytes) else data, data_type)
        event = handled.next("echo")
        assert (event.headers["content-type"], event.body) == (content_type, body)
        assert (event.connection_id, event.user_id) == (client.connection_id, "alice")
        reliable = "reliable." if events_clients.is_reliable else ""
        assert event.headers["ce-subprotocol"] == f"json.{reliable}webpubsub.azure.v1"
        assert client.receive() == Message(data_type, data)
    events_clients.api.expect_nothing_more(client)


def test_events_come_in_order_with_one_counter_for_all(application, events_clients):
    handled = application.handle(events_clients.api.hub)
    client = events_clients.open()
    assert handled.next("connect").id == 0
    numbers = [str(number) for number in range(20)]
    for number in numbers:
        client.send_event("count", number, ack=False)
    events = [handled.next("count") for _ in numbers]
    assert [event.body.decode() for event in events] == numbers
    assert sorted([handled.next("connected").id, *(event.id for event in events)]) == list(range(1, 22))
    assert [event.id for event in events] == sorted(event.id for event in events)


def test_an_event_that_fails_raises_and_the_connection_stays(application, events_clients):
    handled = application.handle(events_clients.api.hub, to_user_events(lambda event: Answer(400, b"secret")))
    client = events_clients.open()
    with pytest.raises(SendMessageError) as failed:
        client.send_event("order", {"id": 1}, "json")
    assert failed.value.error_detail.name == "InternalServerError"
    assert "secret" not in failed.value.error_detail.message
    handled.next("order")
    handled.expect_no_event("order")
    client.expect_no_event()
    events_clients.api.expect_nothing_more(client)


def test_an_event_with_a_used_ack_id_is_not_handled_again(application, events_clients):
    handled = application.handle(events_clients.api.hub)
    client = events_clients.open()
    client.send_event("order", "once", ack_id=1000)
    client.send_event("order", "twice", ack_id=1000)
    assert handled.next("order").body == b"once"
    handled.expect_no_event("order")


def test_a_client_that_is_refused_is_not_opened(application, events_clients):
    application.handle(events_clients.api.hub, lambda event: Answer(403))
    client = events_clients.make()
    with pytest.raises(OpenClientError):
        client.open()
    client.expect_no_event()


@pytest.mark.parametrize(("answer", "user_id"), ACCEPTING)
def test_a_client_is_accepted_with_what_the_answer_says(application, events_api, answer, user_id):
    handled = application.handle(events_api.hub, lambda event: answer if event.name == "connect" else None)
    client = events_api.json(user_id="alice", roles=["webpubsub.sendToGroup"])
    assert client.user_id == user_id
    asked, connected = handled.next("connect"), handled.next("connected")
    assert asked.headers["content-type"].startswith("application/json")
    body = json.loads(asked.body)
    assert (body["claims"]["sub"], body["claims"]["role"]) == (["alice"], ["webpubsub.sendToGroup"])
    assert "access_token" not in body["query"]
    assert body["subprotocols"] == [JsonClient.subprotocol]
    assert (asked.user_id, connected.user_id) == ("alice", user_id)
    assert connected.body == b"{}"
    assert asked.connection_id == connected.connection_id == client.connection_id


@pytest.mark.parametrize(("answer", "status"), REFUSING)
def test_a_client_is_refused_with_the_status_and_not_the_body(application, events_api, answer, status):
    application.handle(events_api.hub, lambda event: answer)
    with pytest.raises(WebSocketBadStatusException) as refused:
        events_api.json(user_id="alice")
    assert refused.value.status_code == status
    assert not answer.body or answer.body not in (refused.value.resp_body or b"")
    assert events_api.client.user_exists("alice") is False


@pytest.mark.parametrize("answer", FAILING)
def test_an_answer_that_is_no_success_fails_the_event(application, events_api, answer):
    application.handle(events_api.hub, to_user_events(lambda event: answer))
    client = events_api.json()
    ack = client.request({"type": "event", "event": "order", "dataType": "text", "data": "tea"})
    assert (ack["success"], ack["error"]["name"]) == (False, "InternalServerError")
    assert "secret" not in ack["error"]["message"]
    events_api.expect_nothing_more(client)


def test_what_the_service_is_told_to_try_again_is_the_same_request(application, events_api):
    answers = iter([Answer(503), Answer(200, b"at last", {"Content-Type": "text/plain"})])
    handled = application.handle(events_api.hub, to_user_events(lambda event: next(answers)))
    client = events_api.simple()
    client.send("tea")
    assert client.receive() == "at last"
    first, second = handled.next("message"), handled.next("message")
    assert first.body == second.body == b"tea"
    for header in ("ce-id", "ce-time"):
        assert first.headers[header] == second.headers[header]


def test_the_state_of_a_connection_is_kept_as_it_is_written(application, events_api):
    states = {"connect": "opaque, \"as it is\" =", "first": "changed", "refused": "not kept", "empty": ""}

    def answer(event):
        state = states.get(event.body.decode() if event.name == "message" else event.name)
        headers = {} if state is None else {"ce-connectionState": state}
        return Answer(400 if event.body == b"refused" else 200, b"", headers)

    handled = application.handle(events_api.hub, answer)
    client = events_api.json()
    assert handled.next("connect").state is None
    assert handled.next("connected").state == states["connect"]
    seen = []
    for text in ("first", "refused", "same", "empty", "last"):
        client.request({"type": "event", "event": "message", "dataType": "text", "data": text})
        seen.append(handled.next("message").state)
    assert seen == [states["connect"], "changed", "changed", "changed", ""]
    client.close()
    assert handled.next("disconnected").state == ""


def test_cookies_are_kept_for_one_connection(application, events_api):
    numbers = itertools.count(1)

    def answer(event):
        if event.name != "connect":
            return None
        return Answer(200, b"", {"Set-Cookie": f"affinity=node{next(numbers)}; Path=/; HttpOnly"})

    handled = application.handle(events_api.hub, answer)
    for cookie in ("affinity=node1", "affinity=node2"):
        client = events_api.json()
        assert "cookie" not in handled.next("connect").headers
        assert handled.next("connected").headers["cookie"] == cookie
        client.request({"type": "event", "event": "order", "dataType": "text", "data": "tea"})
        assert handled.next("order").headers["cookie"] == cookie


def test_the_end_of_a_connection_is_told_once_with_its_reason(application, start_service, official):
    service = start_service(application.configuration(), access_key=PRIMARY_KEY)
    api = official(service, "blocking-plain").api
    handled = application.handle(api.hub)
    client = api.json(user_id="alice")
    api.client.close_connection(client.connection_id, reason="good night")
    event = handled.next("disconnected")
    assert (event.connection_id, event.user_id) == (client.connection_id, "alice")
    assert "good night" in json.loads(event.body)["reason"]
    assert client.receive()["event"] == "disconnected"
    client.expect_close()
    # It tells everything that is to be told before it ends.
    service.terminate()
    assert service.wait() == 0
    handled.expect_no_event("disconnected")


@pytest.mark.parametrize("answers", AGREEING)
def test_an_application_that_agrees_is_asked_once(application, events_api, answers):
    handled = application.handle(events_api.hub, validation=answers.get)
    events_api.simple()
    events_api.simple()
    handled.next("connected")
    handled.next("connected")
    assert handled.validations == list(answers)


@pytest.mark.parametrize("answers", DISAGREEING)
def test_an_application_that_does_not_agree_gets_no_event(application, events_api, answers):
    handled = application.handle(events_api.hub, validation=answers.get)
    with pytest.raises(WebSocketBadStatusException) as refused:
        events_api.simple()
    assert refused.value.status_code == 500
    handled.expect_no_event("connect")


def test_events_are_signed_by_the_keys_of_the_configuration_as_it_is_now(
    start_service: Callable[..., Any],
    official: Callable[..., Any],
    tmp_path: pathlib.Path,
) -> None:
    with contextlib.closing(Application(PRIMARY_KEY, SECONDARY_KEY)) as application:
        service = start_service(application.configuration(), access_key=PRIMARY_KEY)
        clients = official(service, "blocking-reliable")
        handled = application.handle(clients.api.hub)
        client = clients.open()
        client.send_event("order", "under the old keys")
        connection_id = client.connection_id
        assert handled.next("order").headers["ce-signature"] == application.signature(connection_id)
        assert application.faults == []

        application.access_keys = ("following-key-of-the-tests-0123456789", PRIMARY_KEY)
        (tmp_path / "hubwire.toml").write_text(application.configuration(), encoding="utf-8")
        service.reload()

        def is_signed_anew() -> bool:
            client.send_event("order", "under the new keys")
            return handled.next("order").headers["ce-signature"] == application.signature(connection_id)

        wait_until(is_signed_anew, "events are signed by the new keys")
        client.expect_no_event()
        clients.close()


def to_user_events(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Answers user events so, and lets system events pass."""
    return lambda event: None if event.name in ("connect", "connected", "disconnected") else answer(event)
