"""Permissions granted and revoked while a connection is open."""

import pytest
from azure.core.exceptions import ResourceNotFoundError


def test_a_grant_to_join_holds_for_one_group_until_revoked(api):
    client = api.json()
    to = client.connection_id
    assert client.join("room")["error"]["name"] == "Forbidden"
    api.client.grant_permission("joinLeaveGroup", to, target_name="room")
    assert client.join("room")["success"] is True
    assert client.join("hall")["error"]["name"] == "Forbidden"
    api.client.revoke_permission("joinLeaveGroup", to, target_name="room")
    leave = client.request({"type": "leaveGroup", "group": "room"})
    assert leave["error"]["name"] == "Forbidden"


def test_a_grant_to_send_holds_for_one_group_until_revoked(api):
    client = api.json()
    to = client.connection_id
    member = api.json(groups=["room", "hall"])
    assert client.send_text("room", "too early")["error"]["name"] == "Forbidden"
    api.client.grant_permission("sendToGroup", to, target_name="room")
    assert client.send_text("room", "hi")["success"] is True
    assert client.send_text("hall", "wrong room")["error"]["name"] == "Forbidden"
    api.client.revoke_permission("sendToGroup", to, target_name="room")
    assert client.send_text("room", "too late")["error"]["name"] == "Forbidden"
    assert member.receive()["data"] == "hi"
    api.expect_nothing_more(client, member)


@pytest.mark.parametrize("permission", ["joinLeaveGroup", "sendToGroup"])
def test_a_permission_can_be_asked_for(api, permission):
    to = api.json().connection_id
    other = "sendToGroup" if permission == "joinLeaveGroup" else "joinLeaveGroup"
    for group in ("room", "a/b & c"):
        assert api.client.has_permission(permission, to, target_name=group) is False
        for _ in range(2):
            api.client.grant_permission(permission, to, target_name=group)
        assert api.client.has_permission(permission, to, target_name=group) is True
        assert api.client.has_permission(other, to, target_name=group) is False
        assert api.client.has_permission(permission, to, target_name=group.upper()) is False
        for _ in range(2):
            api.client.revoke_permission(permission, to, target_name=group)
        assert api.client.has_permission(permission, to, target_name=group) is False


def test_a_role_is_a_permission_and_can_be_taken_from_one_group(api):
    client = api.json(roles=["webpubsub.sendToGroup"])
    to = client.connection_id
    assert api.client.has_permission("sendToGroup", to, target_name="room") is True
    api.client.revoke_permission("sendToGroup", to, target_name="room")
    assert api.client.has_permission("sendToGroup", to, target_name="room") is False
    assert client.send_text("room", "hi")["error"]["name"] == "Forbidden"
    assert client.send_text("hall", "hi")["success"] is True


def test_permissions_of_an_absent_connection(api):
    with pytest.raises(ResourceNotFoundError):
        api.client.grant_permission("sendToGroup", "absent", target_name="room")
    assert api.client.has_permission("sendToGroup", "absent", target_name="room") is False
    api.client.revoke_permission("sendToGroup", "absent", target_name="room")
