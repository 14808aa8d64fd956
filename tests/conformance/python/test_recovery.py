"""The official client when the network fails between it and the service.

A reliable connection is recovered: it keeps its id and groups, nothing is lost and nothing comes
twice, and the client's callbacks are not called. `OfficialClient.receive` insists on gapless
sequence ids, so whatever a test receives is also all that was sent.
"""

import asyncio

import pytest
import sdk
from azure.messaging.webpubsubclient.models import SendMessageError
from client_sdk import Message
from until import wait_until

QUICK_PINGS = '[hubs._default]\nweb_socket_keep_alive_interval = "1s"\n'
SHORT_WINDOW = '[limits]\nrecovery_window = "500ms"\n'
SMALL_BUFFER = "[hubs._default]\nreliable_buffer_messages = 10\n"


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_a_cut_connection_is_recovered_with_all_that_was_sent_meanwhile(reliable_clients, reset):
    client, other = reliable_clients.open(user_id="alice", groups=["of the token"]), reliable_clients.open()
    client.join("room")
    send_numbered(reliable_clients, "before", 3)
    assert client.receive_data(3) == numbered("before", 3)
    client.proxy.refuse()
    client.proxy.cut(reset)
    send_numbered(reliable_clients, "during", 5)
    other.send("room", {"from": "another client"}, "json")
    reliable_clients.rest.send_to_group("of the token", b"\x00\xff", content_type="application/octet-stream")
    client.proxy.wait_refused(2)
    assert reliable_clients.rest.connection_exists(client.connection_id) is True
    client.proxy.admit()
    assert client.receive_data(5) == numbered("during", 5)
    assert client.receive() == Message("json", {"from": "another client"}, "room")
    assert client.receive() == Message("binary", b"\x00\xff", "of the token")
    expect_same_connection(reliable_clients, client)


def test_a_connection_survives_cut_after_cut(reliable_clients):
    client = reliable_clients.open(groups=["room"])
    for number in range(4):
        send_numbered(reliable_clients, f"before {number}", 5)
        client.proxy.cut()
        send_numbered(reliable_clients, f"after {number}", 5)
        assert client.receive_data(5) == numbered(f"before {number}", 5)
        assert client.receive_data(5) == numbered(f"after {number}", 5)
    expect_same_connection(reliable_clients, client)


def test_messages_lost_on_their_way_are_sent_again(reliable_clients):
    client = reliable_clients.open(groups=["room"])
    client.proxy.hold("down")
    send_numbered(reliable_clients, "swallowed", 5)
    client.proxy.cut()
    client.proxy.release()
    assert client.receive_data(5) == numbered("swallowed", 5)
    expect_same_connection(reliable_clients, client)


def test_messages_whose_acknowledgement_was_lost_do_not_come_twice(reliable_clients):
    client = reliable_clients.open(groups=["room"])
    client.proxy.hold("up")
    send_numbered(reliable_clients, "seen", 5)
    assert client.receive_data(5) == numbered("seen", 5)
    client.proxy.cut()
    client.proxy.release()
    send_numbered(reliable_clients, "new", 5)
    assert client.receive_data(5) == numbered("new", 5)
    expect_same_connection(reliable_clients, client)


def test_a_request_whose_ack_was_lost_is_done_once(reliable_clients):
    sender = reliable_clients.open(groups=["room"], options={"ack_timeout": 2})
    receiver = reliable_clients.open(groups=["room"])
    sender.proxy.hold("down")
    with pytest.raises((SendMessageError, asyncio.TimeoutError)):
        sender.send("room", "once", ack_id=1000)
    assert receiver.receive() == Message("text", "once", "room")
    sender.proxy.cut()
    sender.proxy.release()
    assert sender.receive() == Message("text", "once", "room")
    sender.send("room", "twice", ack_id=1000)
    expect_same_connection(reliable_clients, sender, receiver)


def test_a_new_socket_takes_over_while_the_service_believes_in_the_old_one(reliable_clients):
    client = reliable_clients.open(groups=["room"])
    client.proxy.hold("down")
    send_numbered(reliable_clients, "swallowed", 5)
    client.proxy.cut_clients()
    client.proxy.release()
    assert client.receive_data(5) == numbered("swallowed", 5)
    client.proxy.wait_dropped(1)
    expect_same_connection(reliable_clients, client)


def test_a_silent_connection_is_dropped_and_recovered(style, official, start_service):
    clients = official(start_service(QUICK_PINGS), f"{style}-reliable")
    client = clients.open(groups=["room"])
    client.proxy.hold()
    send_numbered(clients, "swallowed", 5)
    client.proxy.wait_dropped(1)
    send_numbered(clients, "later", 5)
    client.proxy.release()
    assert client.receive_data(5) == numbered("swallowed", 5)
    assert client.receive_data(5) == numbered("later", 5)
    expect_same_connection(clients, client)


def test_a_held_up_connection_goes_on(reliable_clients):
    client = reliable_clients.open(groups=["room"])
    client.proxy.hold()
    send_numbered(reliable_clients, "held", 5)
    client.proxy.release()
    assert client.receive_data(5) == numbered("held", 5)
    expect_same_connection(reliable_clients, client)


def test_a_slow_way_changes_nothing(clients):
    client, other = clients.open(), clients.open(groups=["room"])
    client.proxy.delay_s = 0.2
    client.join("room")
    client.send("room", "there and back", no_echo=True)
    assert other.receive() == Message("text", "there and back", "room")
    send_numbered(clients, "slow", 1)
    assert client.receive_data(1) == numbered("slow", 1)
    client.leave("room")
    clients.api.expect_nothing_more(client)


def test_a_connection_is_recovered_over_a_slow_way(reliable_clients):
    client = reliable_clients.open(groups=["room"])
    client.proxy.delay_s = 0.2
    send_numbered(reliable_clients, "on their way", 5)
    client.proxy.cut()
    send_numbered(reliable_clients, "during", 5)
    assert client.receive_data(5) == numbered("on their way", 5)
    assert client.receive_data(5) == numbered("during", 5)
    expect_same_connection(reliable_clients, client)


def test_a_narrow_way_loses_nothing_although_it_is_cut(reliable_clients):
    client = reliable_clients.open(groups=["room"])
    client.proxy.bytes_per_s = 256 * 1024
    texts = [f"{number} ".ljust(16 * 1024, "x") for number in range(40)]
    for text in texts[:20]:
        reliable_clients.rest.send_to_group("room", text, content_type="text/plain")
    assert client.receive_data(5) == texts[:5]
    client.proxy.cut()
    for text in texts[20:]:
        reliable_clients.rest.send_to_group("room", text, content_type="text/plain")
    assert client.receive_data(35) == texts[5:]
    expect_same_connection(reliable_clients, client)


def test_a_connection_closed_while_it_was_away_is_replaced(reliable_clients):
    client = reliable_clients.open()
    client.join("room")
    first = client.connection_id
    client.proxy.refuse()
    client.proxy.cut()
    client.proxy.wait_refused(1)
    reliable_clients.rest.close_connection(first)
    client.proxy.admit()
    assert client.next_event() == ("disconnected", first, None)
    client.expect_connected()
    assert client.connection_id != first
    expect_member_again(reliable_clients, client, "room")


def test_a_connection_that_was_away_for_too_long_is_replaced(style, official, start_service):
    clients = official(start_service(SHORT_WINDOW), f"{style}-reliable")
    client = clients.open()
    client.join("room")
    first = client.connection_id
    client.proxy.refuse()
    client.proxy.cut()
    wait_until(lambda: not clients.rest.connection_exists(first), "its time was over")
    client.proxy.admit()
    assert client.next_event() == ("disconnected", first, None)
    client.expect_connected()
    assert client.connection_id != first
    expect_member_again(clients, client, "room")


def test_a_connection_that_acknowledges_too_little_is_replaced(style, official, start_service):
    clients = official(start_service(SMALL_BUFFER), f"{style}-reliable")
    client = clients.open()
    client.join("room")
    first = client.connection_id
    client.proxy.hold("up")
    send_numbered(clients, "kept", 10)
    assert client.receive_data(10) == numbered("kept", 10)
    clients.rest.send_to_connection(first, "one too many", content_type="text/plain")
    assert clients.rest.connection_exists(first) is False
    client.proxy.release()
    assert client.next_event()[:2] == ("disconnected", first)
    client.expect_connected()
    assert client.connection_id != first
    expect_member_again(clients, client, "room")


@pytest.mark.parametrize("protocol", ["reliable", "plain"])
def test_a_client_finds_a_restarted_service(style, protocol, official, start_service):
    clients = official(start_service(), f"{style}-{protocol}")
    client = clients.open(user_id="alice")
    client.join("room")
    first = client.connection_id
    clients.api.service.terminate()
    assert clients.api.service.wait() == 0
    restarted = start_service()
    client.proxy.forward_to(restarted)
    assert client.next_event()[:2] == ("disconnected", first)
    client.expect_connected()
    assert (client.connection_id != first, client.user_id) == (True, "alice")
    with sdk.make_blocking(restarted, restarted.connection_string, clients.api.hub) as rest:
        wait_until(lambda: rest.group_exists("room"), "it is in its group again")
        rest.send_to_group("room", "welcome back", content_type="text/plain")
    assert client.receive() == Message("text", "welcome back", "room")
    client.expect_no_event()


def test_a_connection_over_tls_is_recovered(monkeypatch, official, https_service):
    monkeypatch.setenv("WEBSOCKET_CLIENT_CA_BUNDLE", str(https_service.authority.path))
    clients = official(https_service, "blocking-reliable")
    client = clients.open(groups=["room"])
    client.proxy.hold("down")
    send_numbered(clients, "swallowed", 5)
    client.proxy.cut()
    client.proxy.release()
    send_numbered(clients, "during", 5)
    assert client.receive_data(5) == numbered("swallowed", 5)
    assert client.receive_data(5) == numbered("during", 5)
    expect_same_connection(clients, client)


def test_a_plain_connection_that_was_cut_is_replaced(official, style, http_service):
    clients = official(http_service, f"{style}-plain")
    client = clients.open()
    client.join("room")
    first = client.connection_id
    client.proxy.refuse()
    client.proxy.cut()
    client.proxy.wait_refused(1)
    wait_until(lambda: not clients.rest.connection_exists(first), "the service noticed the cut")
    clients.rest.send_to_group("room", "lost", content_type="text/plain")
    client.proxy.admit()
    assert client.next_event() == ("disconnected", first, None)
    client.expect_connected()
    assert client.connection_id != first
    expect_member_again(clients, client, "room")


def send_numbered(clients, what, count):
    """The service sends so many texts to the group `room`."""
    for text in numbered(what, count):
        clients.rest.send_to_group("room", text, content_type="text/plain")


def numbered(what, count):
    return [f"{what} {number}" for number in range(count)]


def expect_same_connection(clients, *recovered):
    """The clients can be reached and can send, without having been told of anything."""
    for client in recovered:
        clients.rest.send_to_connection(client.connection_id, "still you?", content_type="text/plain")
        assert client.receive() == Message("text", "still you?")
        client.join("recovered")
        client.leave("recovered")
        client.expect_no_event()
    clients.api.expect_nothing_more(*recovered)


def expect_member_again(clients, client, group):
    wait_until(lambda: clients.members(group) == [client.connection_id], f"it is in {group} again")
    clients.rest.send_to_group(group, "welcome back", content_type="text/plain")
    assert client.receive() == Message("text", "welcome back", group)
    client.expect_no_event()
    clients.api.expect_nothing_more(client)
