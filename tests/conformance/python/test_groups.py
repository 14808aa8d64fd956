"""Moving connections and users into and out of groups."""

import pytest
from azure.core.exceptions import ResourceNotFoundError


def expect_members(api, group, members, strangers=()):
    """Exactly the members hear what is sent to the group."""
    api.client.send_to_group(group, "roll call", content_type="text/plain")
    for member in members:
        message = member.receive()
        assert (message["group"], message["data"]) == (group, "roll call")
    api.expect_nothing_more(*members, *strangers)


def test_a_connection_joins_and_leaves(api):
    client, other = api.json(), api.json()
    for _ in range(2):
        api.client.add_connection_to_group("room", client.connection_id)
    expect_members(api, "room", [client], [other])
    for _ in range(2):
        api.client.remove_connection_from_group("room", client.connection_id)
    expect_members(api, "room", [], [client, other])


def test_a_connection_leaves_all_its_groups(api):
    client, other = api.json(groups=["room", "hall"]), api.json(groups=["room"])
    api.client.remove_connection_from_all_groups(client.connection_id)
    expect_members(api, "room", [other], [client])
    expect_members(api, "hall", [], [client, other])


def test_a_user_joins_and_leaves_with_its_present_connections(api):
    clients = [api.json(user_id="alice"), api.json(user_id="alice")]
    other = api.json(user_id="bob")
    api.client.add_user_to_group("room", "alice")
    late = api.json(user_id="alice")
    expect_members(api, "room", clients, [other, late])
    api.client.remove_user_from_group("room", "alice")
    expect_members(api, "room", [], [*clients, other, late])


def test_a_user_leaves_all_its_groups(api):
    clients = [api.json(user_id="alice", groups=["room"]), api.json(user_id="alice", groups=["hall"])]
    other = api.json(user_id="bob", groups=["room"])
    api.client.remove_user_from_all_groups("alice")
    expect_members(api, "room", [other], clients)
    expect_members(api, "hall", [], [*clients, other])


def test_only_what_is_there_can_join(api):
    with pytest.raises(ResourceNotFoundError):
        api.client.add_connection_to_group("room", "absent")
    with pytest.raises(ResourceNotFoundError):
        api.client.add_user_to_group("room", "nobody")
    assert api.client.group_exists("room") is False


def test_anything_can_leave(api):
    client = api.json(user_id="alice", groups=["hall"])
    api.client.remove_connection_from_group("room", "absent")
    api.client.remove_connection_from_group("room", client.connection_id)
    api.client.remove_connection_from_all_groups("absent")
    api.client.remove_user_from_group("room", "nobody")
    api.client.remove_user_from_all_groups("nobody")
    expect_members(api, "hall", [client])


def test_a_client_that_joined_is_a_member_from_its_ack_on(api):
    client = api.json(roles=["webpubsub.joinLeaveGroup"])
    assert client.join("room")["success"] is True
    expect_members(api, "room", [client])
    assert client.request({"type": "leaveGroup", "group": "room"})["success"] is True
    expect_members(api, "room", [], [client])
