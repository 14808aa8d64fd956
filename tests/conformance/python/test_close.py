"""Closing connections: who is closed, and what it sees."""

CLOSED = "Application server closed the connection."


def disconnected(message):
    return {"type": "system", "event": "disconnected", "message": message}


def expect_closed(client, message=CLOSED):
    """A JSON client is told why, then the socket is closed in the ordinary way."""
    assert client.receive() == disconnected(message)
    assert client.expect_close() == (1000, "")


def test_one_connection(api):
    client, other = api.json(user_id="alice"), api.json(user_id="alice")
    api.client.close_connection(client.connection_id)
    expect_closed(client)
    api.expect_nothing_more(other)


def test_the_reason_is_told(api):
    client = api.json()
    api.client.close_connection(client.connection_id, reason="we are done & gone")
    expect_closed(client, f"{CLOSED} Reason: we are done & gone")


def test_a_reason_may_be_longer_than_a_close_frame(api):
    client = api.json()
    reason = "because " * 60
    api.client.close_connection(client.connection_id, reason=reason)
    expect_closed(client, f"{CLOSED} Reason: {reason}")


def test_closing_what_is_not_there_succeeds(api):
    bystander = api.json(user_id="bob")
    api.client.close_connection("absent")
    api.client.close_user_connections("nobody")
    api.client.close_group_connections("empty")
    api.expect_nothing_more(bystander)


def test_a_user(api):
    excluded = api.json(user_id="alice")
    simple, json = api.simple(user_id="alice"), api.json(user_id="alice")
    other = api.json(user_id="bob")
    api.client.close_user_connections("alice", excluded=[excluded.connection_id], reason="bye")
    assert simple.expect_close() == (1000, "")
    expect_closed(json, f"{CLOSED} Reason: bye")
    api.expect_nothing_more(excluded, other)
    assert api.client.user_exists("alice") is True


def test_a_group(api):
    excluded = api.json(groups=["room"])
    simple, json = api.simple(groups=["room"]), api.json(groups=["room"])
    other = api.json(groups=["hall"])
    api.client.close_group_connections("room", excluded=[excluded.connection_id], reason="bye")
    assert simple.expect_close() == (1000, "")
    expect_closed(json, f"{CLOSED} Reason: bye")
    api.expect_nothing_more(excluded, other)
    assert api.client.group_exists("room") is True


def test_the_whole_hub(api):
    excluded = [api.json(), api.json()]
    simple, json = api.simple(), api.json()
    elsewhere = api.make_client(hub=f"{api.hub}_other")
    neighbour = api.connect(elsewhere.get_client_access_token()["url"])
    api.client.close_all_connections(
        excluded=[client.connection_id for client in excluded], reason="bye"
    )
    assert simple.expect_close() == (1000, "")
    expect_closed(json, f"{CLOSED} Reason: bye")
    api.expect_nothing_more(*excluded)
    elsewhere.send_to_all("still here", content_type="text/plain")
    assert neighbour.receive() == "still here"


def test_messages_sent_before_a_close_arrive_before_it(api):
    client = api.json()
    for number in range(5):
        api.client.send_to_all(f"message {number}", content_type="text/plain")
    api.client.close_connection(client.connection_id)
    assert [client.receive()["data"] for _ in range(5)] == [f"message {n}" for n in range(5)]
    expect_closed(client)
