"""The official client: what it can do, on both subprotocols it offers, blocking and awaiting."""

import base64

import pytest
from azure.messaging.webpubsubclient.models import OpenClientError, SendMessageError
from client_sdk import Message
from until import wait_until

CLOSED = "Application server closed the connection."

# A google.protobuf.Any: field 1 is the type, field 2 the serialized message.
ANY = b"\x0a\x12example.test/Thing" + b"\x12\x03\x08\x96\x01"

PAYLOADS = [
    ("text", "Hello \u00e4 world", "Hello \u00e4 world"),
    ("json", {"from": "user1", "data": [1, 2.5, None, True]}, {"from": "user1", "data": [1, 2.5, None, True]}),
    ("json", "just a string", "just a string"),
    ("binary", b"\x00\x01\xff", "AAH/"),
    ("protobuf", ANY, base64.b64encode(ANY).decode()),
]


def test_connecting_and_closing_are_told(clients):
    client = clients.make(user_id="alice")
    client.open()
    client.expect_connected()
    assert client.user_id == "alice"
    assert clients.rest.connection_exists(client.connection_id) is True
    client.close()
    assert client.next_event() == ("disconnected", client.connection_id, None)
    assert client.next_event() == ("stopped",)
    wait_until(
        lambda: not clients.rest.connection_exists(client.connection_id),
        "the closed connection is gone",
    )


def test_a_closed_client_can_be_opened_again(clients):
    client = clients.open()
    first = client.connection_id
    client.close()
    assert [client.next_event()[0], client.next_event()[0]] == ["disconnected", "stopped"]
    client.open()
    client.expect_connected()
    assert client.connection_id != first
    clients.api.expect_nothing_more(client)


def test_a_client_without_a_valid_token_is_not_opened(clients):
    client = clients.make(minutes_to_expire=-10)
    with pytest.raises(OpenClientError):
        client.open()
    client.expect_no_event()


def test_a_member_hears_its_group_until_it_leaves(clients):
    client = clients.open()
    client.join("a/b \u00e4")
    clients.rest.send_to_group("a/b \u00e4", "hi", content_type="text/plain")
    assert client.receive() == Message("text", "hi", "a/b \u00e4")
    client.leave("a/b \u00e4")
    clients.rest.send_to_group("a/b \u00e4", "too late", content_type="text/plain")
    clients.api.expect_nothing_more(client)


@pytest.mark.parametrize(("data_type", "data", "on_the_wire"), PAYLOADS)
def test_members_hear_each_other_in_every_data_type(clients, data_type, data, on_the_wire):
    sender, receiver = clients.open(user_id="alice"), clients.open()
    other, stranger = clients.api.json(groups=["room"]), clients.open()
    sender.join("room")
    receiver.join("room")
    sender.send("room", memoryview(data) if isinstance(data, bytes) else data, data_type)
    for client in (sender, receiver):
        assert client.receive() == Message(data_type, data, "room", "alice")
    assert other.receive() == {
        "type": "message",
        "from": "group",
        "group": "room",
        "fromUserId": "alice",
        "dataType": data_type,
        "data": on_the_wire,
    }
    clients.api.expect_nothing_more(sender, receiver, other, stranger)


def test_a_sender_may_spare_itself(clients):
    sender, receiver = clients.open(), clients.open(groups=["room"])
    sender.join("room")
    sender.send("room", "not to me", no_echo=True)
    assert receiver.receive() == Message("text", "not to me", "room")
    clients.api.expect_nothing_more(sender, receiver)


def test_a_send_without_ack_arrives(clients):
    sender, receiver = clients.open(), clients.open(groups=["room"])
    sender.send("room", "hi", ack=False)
    assert receiver.receive() == Message("text", "hi", "room")


def test_what_is_forbidden_raises_and_the_connection_stays(clients):
    client, member = clients.open(roles=["webpubsub.joinLeaveGroup.hall"]), clients.open(groups=["room"])
    for call in (
        lambda: client.join("room"),
        lambda: client.leave("room"),
        lambda: client.send("room", "hi"),
    ):
        assert error_of(call) == "Forbidden"
    client.send("room", "hi", ack=False)
    client.join("hall")
    client.expect_no_event()
    clients.api.expect_nothing_more(client, member)


def test_a_request_with_a_used_ack_id_succeeds_and_is_not_done_again(clients):
    sender, receiver = clients.open(), clients.open(groups=["room"])
    sender.send("room", "once", ack_id=1000)
    sender.send("room", "twice", ack_id=1000)
    sender.join("room", ack_id=1000)
    assert receiver.receive() == Message("text", "once", "room")
    assert clients.members("room") == [receiver.connection_id]
    clients.api.expect_nothing_more(sender, receiver)


def test_an_event_that_nobody_handles_raises_and_the_connection_stays(clients):
    client = clients.open()
    assert error_of(lambda: client.send_event("order", {"id": 1}, "json")) == "InternalServerError"
    client.send_event("order", "no answer wanted", ack=False)
    client.join("room")
    client.expect_no_event()
    clients.api.expect_nothing_more(client)


def test_the_service_sends_to_all_a_user_a_group_and_a_connection(clients):
    alice, bob = clients.open(user_id="alice"), clients.open(user_id="bob", groups=["room"])
    clients.rest.send_to_all({"number": 1})
    for client in (alice, bob):
        assert client.receive() == Message("json", {"number": 1})
    clients.rest.send_to_user("alice", "to alice", content_type="text/plain")
    assert alice.receive() == Message("text", "to alice")
    clients.rest.send_to_group("room", b"\x00\xff", content_type="application/octet-stream")
    assert bob.receive() == Message("binary", b"\x00\xff", "room")
    clients.rest.send_to_connection(bob.connection_id, "to bob", content_type="text/plain")
    assert bob.receive() == Message("text", "to bob")
    clients.api.expect_nothing_more(alice, bob)


def test_a_large_message_arrives_whole(clients):
    sender, receiver = clients.open(), clients.open(groups=["room"])
    data = bytes(range(256)) * 2048
    sender.send("room", memoryview(data), "binary")
    assert receiver.receive() == Message("binary", data, "room")


def test_a_closed_connection_is_replaced_and_is_in_its_groups_again(clients):
    client = clients.open(user_id="alice", groups=["of the token"])
    for group in ("room", "hall", "left"):
        client.join(group)
    client.leave("left")
    first = client.connection_id
    clients.rest.close_connection(first, reason="bye")
    assert client.next_event() == ("disconnected", first, f"{CLOSED} Reason: bye")
    client.expect_connected()
    assert client.connection_id != first
    assert client.user_id == "alice"
    for group in ("room", "hall"):
        wait_until(lambda: clients.members(group) == [client.connection_id], f"it is in {group}")
        clients.rest.send_to_group(group, "welcome back", content_type="text/plain")
        assert client.receive() == Message("text", "welcome back", group)
    assert clients.members("left") == []
    assert clients.rest.connection_exists(first) is False
    client.expect_no_event()
    clients.api.expect_nothing_more(client)


def test_a_group_that_may_not_be_joined_again_is_told(clients):
    client = clients.open(roles=[])
    clients.rest.grant_permission("joinLeaveGroup", client.connection_id, target_name="room")
    client.join("room")
    clients.rest.close_connection(client.connection_id)
    assert client.next_event()[0] == "disconnected"
    client.expect_connected()
    assert client.next_event() == ("rejoin failed", "room", "Forbidden")
    assert clients.members("room") == []


def test_a_client_that_is_not_to_reconnect_stops(clients):
    client = clients.open(options={"reconnect_retry_total": 0})
    clients.rest.close_all_connections()
    assert client.next_event() == ("disconnected", client.connection_id, CLOSED)
    assert client.next_event() == ("stopped",)


def error_of(call):
    """The name of the error in the ack."""
    with pytest.raises(SendMessageError) as raised:
        call()
    return raised.value.error_detail.name
