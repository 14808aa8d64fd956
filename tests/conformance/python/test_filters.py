"""Filters: who of those addressed receives a message."""

import pytest
from azure.core.exceptions import HttpResponseError


def text_of(message):
    return message["data"]


@pytest.mark.parametrize(
    "filter",
    [
        "userId eq 'alice'",
        "userId ne null and not(userId eq 'bob')",
        "startswith(tolower(userId), 'al') or length(userId) gt 5",
        "'room' in groups",
        "userId in ('alice', 'carol')",
        "protocol eq 'json.webpubsub.azure.v1' and length(groups) ge 1",
    ],
)
def test_a_filter_chooses_among_all(api, filter):
    alice = api.json(user_id="alice", groups=["room"])
    others = [api.json(user_id="bob"), api.json(), api.simple()]
    api.client.send_to_all("hi", filter=filter, content_type="text/plain")
    assert text_of(alice.receive()) == "hi"
    api.expect_nothing_more(alice, *others)


def test_a_filter_chooses_among_the_members_of_a_group(api):
    alice = api.json(user_id="alice", groups=["room"])
    bob = api.json(user_id="bob", groups=["room"])
    stranger = api.json(user_id="alice")
    api.client.send_to_group("room", "hi", filter="userId eq 'alice'", content_type="text/plain")
    assert text_of(alice.receive()) == "hi"
    api.expect_nothing_more(alice, bob, stranger)


def test_a_filter_chooses_among_the_connections_of_a_user(api):
    member, other = api.json(user_id="alice", groups=["room"]), api.json(user_id="alice")
    api.client.send_to_user("alice", "hi", filter="'room' in groups", content_type="text/plain")
    assert text_of(member.receive()) == "hi"
    api.expect_nothing_more(member, other)


def test_a_filter_and_excluded_hold_both(api):
    clients = [api.json(user_id="alice", groups=["room"]) for _ in range(2)]
    bob = api.json(user_id="bob", groups=["room"])
    excluded, receiver = clients
    spared = [excluded.connection_id]
    api.client.send_to_all(
        "to all", filter="userId eq 'alice'", excluded=spared, content_type="text/plain"
    )
    api.client.send_to_group(
        "room", "to room", filter="userId eq 'alice'", excluded=spared, content_type="text/plain"
    )
    assert [text_of(receiver.receive()) for _ in range(2)] == ["to all", "to room"]
    api.expect_nothing_more(excluded, receiver, bob)


def test_a_filter_may_name_a_connection(api):
    one, other = api.json(), api.json()
    filter = f"connectionId eq '{one.connection_id}'"
    api.client.send_to_all("hi", filter=filter, content_type="text/plain")
    assert text_of(one.receive()) == "hi"
    api.expect_nothing_more(one, other)


def test_quotes_in_a_filter_are_doubled(api):
    jane, other = api.json(user_id="O'Brien, Jane"), api.json(user_id="O''Brien, Jane")
    filter = "userId in ('Doe, John', 'O''Brien, Jane')"
    api.client.send_to_all("hi", filter=filter, content_type="text/plain")
    assert text_of(jane.receive()) == "hi"
    api.expect_nothing_more(jane, other)


def test_an_empty_filter_is_none(api):
    client = api.json()
    api.client.send_to_all("hi", filter="", content_type="text/plain")
    assert text_of(client.receive()) == "hi"


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ("userId lt 1", "Invalid syntax for 'userId lt 1': Type 'string', expect 'int'. (Parameter 'filter')"),
        ("ab eq 1", "Invalid syntax for 'ab eq 1': Token 'ab' is not supported. (Parameter 'filter')"),
    ],
)
def test_a_bad_filter_is_an_error_that_says_why(api, filter, message):
    client = api.json(user_id="alice", groups=["room"])
    sends = [
        lambda: api.client.send_to_all("no", filter=filter, content_type="text/plain"),
        lambda: api.client.send_to_group("room", "no", filter=filter, content_type="text/plain"),
        lambda: api.client.send_to_user("alice", "no", filter=filter, content_type="text/plain"),
    ]
    for send in sends:
        with pytest.raises(HttpResponseError) as refused:
            send()
        assert refused.value.status_code == 400
        assert refused.value.response.headers["x-ms-error-code"] == "Error.BadRequest"
        assert refused.value.response.json()["message"] == message
    api.expect_nothing_more(client)
