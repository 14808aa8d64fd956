"""Sends: what arrives, in which form, and at whom."""

import io

import pytest
from azure.core.exceptions import HttpResponseError

JSON_MESSAGE = {"from": "user1", "data": "Hello world"}
JSON_TEXT = '{"from": "user1", "data": "Hello world"}'


def from_server(data_type, data):
    return {"type": "message", "from": "server", "dataType": data_type, "data": data}


def from_group(group, data_type, data):
    return {
        "type": "message",
        "from": "group",
        "group": group,
        "fromUserId": None,
        "dataType": data_type,
        "data": data,
    }


class Parts:
    """A body of unknown length, for the blocking and for the awaiting SDK."""

    def __init__(self, *parts):
        self._parts = parts

    def __iter__(self):
        return iter(self._parts)

    async def __aiter__(self):
        for part in self._parts:
            yield part


def test_json_to_all(api):
    simple, json = api.simple(), api.json()
    api.client.send_to_all(JSON_MESSAGE)
    assert simple.receive() == JSON_TEXT
    assert json.receive() == from_server("json", JSON_MESSAGE)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("quoted", '"quoted"'),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        ([1, "two", {}], '[1, "two", {}]'),
        ({}, "{}"),
    ],
)
def test_any_json_value_to_all(api, value, text):
    simple, json = api.simple(), api.json()
    api.client.send_to_all(value, content_type="application/json")
    assert simple.receive() == text
    assert json.receive() == from_server("json", value)


def test_text_to_all(api):
    simple, json = api.simple(), api.json()
    api.client.send_to_all("Hello world", content_type="text/plain")
    assert simple.receive() == "Hello world"
    assert json.receive() == from_server("text", "Hello world")


def test_text_beyond_ascii_to_all(api):
    simple, json = api.simple(), api.json()
    text = "gr\u00fc\u00df dich \u2603 \U0001f44b \"quoted\" \\ \n"
    api.client.send_to_all(text.encode(), content_type="text/plain")
    assert simple.receive() == text
    assert json.receive() == from_server("text", text)


def test_binary_to_all(api):
    simple, json = api.simple(), api.json()
    api.client.send_to_all(b"Hello World", content_type="application/octet-stream")
    assert simple.receive() == b"Hello World"
    assert json.receive() == from_server("binary", "SGVsbG8gV29ybGQ=")


def test_a_stream_as_binary_to_all(api):
    simple, json = api.simple(), api.json()
    stream = io.BytesIO(b"Hello World")
    api.client.send_to_all(stream, content_type="application/octet-stream")
    assert simple.receive() == b"Hello World"
    assert json.receive() == from_server("binary", "SGVsbG8gV29ybGQ=")


def test_a_stream_as_text_to_all(api):
    simple, json = api.simple(), api.json()
    api.client.send_to_all(io.BytesIO(b"Hello world"), content_type="text/plain")
    assert simple.receive() == "Hello world"
    assert json.receive() == from_server("text", "Hello world")


def test_a_stream_of_unknown_length_to_all(api):
    simple, json = api.simple(), api.json()
    api.client.send_to_all(Parts(b"Hello ", b"World"), content_type="application/octet-stream")
    assert simple.receive() == b"Hello World"
    assert json.receive() == from_server("binary", "SGVsbG8gV29ybGQ=")


def test_empty_payloads_arrive_as_empty_messages(api):
    simple, json = api.simple(), api.json()
    api.client.send_to_all("", content_type="text/plain")
    assert simple.receive() == ""
    assert json.receive() == from_server("text", "")
    api.client.send_to_all(b"", content_type="application/octet-stream")
    assert simple.receive() == b""
    assert json.receive() == from_server("binary", "")


def test_a_large_message_arrives_whole(api):
    simple, json = api.simple(), api.json()
    payload = bytes(range(256)) * 2048
    api.client.send_to_all(payload, content_type="application/octet-stream")
    assert simple.receive() == payload
    assert json.receive()["dataType"] == "binary"
    api.expect_nothing_more(simple, json)


def test_a_message_above_the_limit_is_refused(api):
    simple = api.simple()
    with pytest.raises(HttpResponseError) as refused:
        api.client.send_to_all(bytes(1024 * 1024 + 1), content_type="application/octet-stream")
    assert refused.value.status_code == 400
    api.expect_nothing_more(simple)


@pytest.mark.parametrize("size", [1, 100_000, 1_000_000])
def test_a_refused_message_leaves_the_connection_as_it_is(api, size):
    client = api.json()
    for number in range(10):
        with pytest.raises(HttpResponseError) as refused:
            api.client.send_to_all("x" * size, filter="no filter", content_type="text/plain")
        assert refused.value.status_code == 400
        api.client.send_to_all(f"message {number}", content_type="text/plain")
        assert client.receive() == from_server("text", f"message {number}")


def test_messages_keep_their_order(api):
    simple, json = api.simple(), api.json()
    texts = [f"message {number}" for number in range(20)]
    for text in texts:
        api.client.send_to_all(text, content_type="text/plain")
    assert [simple.receive() for _ in texts] == texts
    assert [json.receive()["data"] for _ in texts] == texts


def test_to_all_stays_in_the_hub_and_spares_the_excluded(api):
    excluded, other, stranger = api.json(), api.json(), api.json()
    elsewhere = api.make_client(hub=f"{api.hub}_other")
    elsewhere.send_to_all("elsewhere", content_type="text/plain")
    api.client.send_to_all(
        "hi",
        excluded=[excluded.connection_id, stranger.connection_id],
        content_type="text/plain",
    )
    assert other.receive() == from_server("text", "hi")
    api.expect_nothing_more(excluded, other, stranger)


def test_to_a_group_reaches_its_members(api):
    simple, json = api.simple(groups=["room"]), api.json(groups=["room", "hall"])
    excluded = api.json(groups=["room"])
    stranger = api.json(groups=["hall"])
    api.client.send_to_group("room", JSON_MESSAGE, excluded=[excluded.connection_id])
    assert simple.receive() == JSON_TEXT
    assert json.receive() == from_group("room", "json", JSON_MESSAGE)
    api.client.send_to_group("room", "hi", content_type="text/plain")
    assert simple.receive() == "hi"
    assert json.receive() == from_group("room", "text", "hi")
    assert excluded.receive() == from_group("room", "text", "hi")
    api.client.send_to_group(
        "room", io.BytesIO(b"\x00\xff"), content_type="application/octet-stream"
    )
    for member in (json, excluded):
        assert member.receive() == from_group("room", "binary", "AP8=")
    assert simple.receive() == b"\x00\xff"
    api.expect_nothing_more(simple, json, excluded, stranger)


@pytest.mark.parametrize("group", ["a/b", "two words", "50% + more", "r\u00e4ume", "Room?x=1#y"])
def test_group_names_survive_the_path(api, group):
    member = api.json(groups=[group])
    stranger = api.json(groups=[group.swapcase()])
    api.client.send_to_group(group, "hi", content_type="text/plain")
    assert member.receive() == from_group(group, "text", "hi")
    api.expect_nothing_more(member, stranger)


def test_to_a_user_reaches_each_of_its_connections(api):
    simple, json = api.simple(user_id="alice"), api.json(user_id="alice")
    others = [api.json(user_id="Alice"), api.json(user_id="bob"), api.json()]
    api.client.send_to_user("alice", JSON_MESSAGE)
    assert simple.receive() == JSON_TEXT
    assert json.receive() == from_server("json", JSON_MESSAGE)
    api.client.send_to_user("alice", "hi", content_type="text/plain")
    assert simple.receive() == "hi"
    assert json.receive() == from_server("text", "hi")
    api.client.send_to_user("alice", io.BytesIO(b"hi"), content_type="application/octet-stream")
    assert simple.receive() == b"hi"
    assert json.receive() == from_server("binary", "aGk=")
    api.expect_nothing_more(simple, json, *others)


def test_to_a_connection_reaches_that_one_only(api):
    receiver, other = api.json(user_id="alice"), api.json(user_id="alice")
    to = receiver.connection_id
    api.client.send_to_connection(to, JSON_MESSAGE)
    assert receiver.receive() == from_server("json", JSON_MESSAGE)
    api.client.send_to_connection(to, "hi", content_type="text/plain")
    assert receiver.receive() == from_server("text", "hi")
    api.client.send_to_connection(to, io.BytesIO(b"hi"), content_type="application/octet-stream")
    assert receiver.receive() == from_server("binary", "aGk=")
    api.expect_nothing_more(receiver, other)


def test_sends_to_nobody_are_accepted(api):
    bystander = api.json()
    api.client.send_to_group("empty", "hi", content_type="text/plain")
    api.client.send_to_user("nobody", "hi", content_type="text/plain")
    api.client.send_to_connection("absent", "hi", content_type="text/plain")
    api.expect_nothing_more(bystander)


def test_clients_of_a_group_hear_each_other(api):
    sender = api.json(user_id="alice", roles=["webpubsub.sendToGroup.room"], groups=["room"])
    simple = api.simple(groups=["room"])
    receiver = api.json(groups=["room"])
    assert sender.send_text("room", "hi")["success"] is True
    assert receiver.receive() == {**from_group("room", "text", "hi"), "fromUserId": "alice"}
    assert simple.receive() == "hi"
    api.expect_nothing_more(sender, receiver, simple)
