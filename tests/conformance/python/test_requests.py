"""Operations for which the package has no method of its own, through its `send_request`."""

import pytest
from websocket import WebSocketBadStatusException


def test_health(api):
    response = api.request("HEAD", "/api/health")
    assert (response.status_code, response.content) == (200, b"")


def test_a_client_token_is_made_by_the_service(api):
    query = "userId=alice&role=webpubsub.joinLeaveGroup.room&group=hall&minutesToExpire=5"
    response = api.request("POST", f"/api/hubs/{api.hub}/:generateToken?{query}")
    assert response.status_code == 200
    token = response.json()["token"]
    client = api.connect_json(api.service.client_url_of(api.hub, f"?access_token={token}"))
    assert client.user_id == "alice"
    assert client.join("room")["success"] is True
    assert client.join("attic")["error"]["name"] == "Forbidden"
    api.client.send_to_group("hall", "hi", content_type="text/plain")
    assert client.receive()["data"] == "hi"
    with pytest.raises(WebSocketBadStatusException) as refused:
        api.connect(api.service.client_url_of(f"{api.hub}_other", f"?access_token={token}"))
    assert refused.value.status_code == 401


def test_many_connections_are_added_to_groups_and_removed(api):
    alice, bob = api.json(user_id="alice"), api.json(user_id="bob", groups=["room"])
    change = {"groups": ["room", "hall"], "filter": "userId eq 'alice'"}
    response = api.request("POST", f"/api/hubs/{api.hub}/:addToGroups", json=change)
    assert (response.status_code, response.content) == (200, b"")
    assert [len(api.listed(group)) for group in ("room", "hall")] == [2, 1]
    response = api.request("POST", f"/api/hubs/{api.hub}/:removeFromGroups", json=change)
    assert (response.status_code, response.content) == (200, b"")
    assert api.listed("room") == [(bob.connection_id, "bob")]
    assert api.listed("hall") == []
    api.expect_nothing_more(alice, bob)


def test_health_is_answered_to_probes_that_send_get(api):
    response = api.request("GET", "/api/health")
    assert (response.status_code, response.content) == (200, b"")


def test_connections_are_counted(api):
    alice = [api.json(user_id="alice", groups=["room"]), api.json(user_id="alice")]
    api.json(user_id="bob", groups=["room"])
    for path, count in [("", 3), ("groups/room/", 2), ("users/alice/", 2), ("groups/hall/", 0)]:
        assert get(api, f"{path}:count") == {"connections": count}
    api.client.close_connection(alice[0].connection_id)
    for path, count in [("", 2), ("groups/room/", 1), ("users/alice/", 1)]:
        assert get(api, f"{path}:count") == {"connections": count}


def test_connections_are_listed_with_what_is_known_of_them(api):
    alice = api.json(user_id="alice", groups=["room", "hall"])
    api.simple()
    listed = get(api, "connections")
    assert listed["nextLink"] is None
    assert len(listed["value"]) == 2
    ids = [connection["connectionId"] for connection in listed["value"]]
    assert ids == sorted(ids)
    anonymous = next(item for item in listed["value"] if item["connectionId"] != alice.connection_id)
    assert (anonymous["userId"], anonymous["protocol"], anonymous["groupCount"]) == (None, None, 0)
    of_alice = get(api, "users/alice/connections")["value"]
    assert 0 <= of_alice[0].pop("ageSeconds") < 60
    assert of_alice == [
        {
            "connectionId": alice.connection_id,
            "userId": "alice",
            "protocol": "json.webpubsub.azure.v1",
            "groupCount": 2,
        }
    ]


def test_groups_are_listed_with_how_many_are_in_them(api):
    alice = api.json(user_id="alice", groups=["room", "a/b"])
    api.json(user_id="alice", groups=["room"])
    api.json(user_id="bob", groups=["room", "hall"])
    assert groups(api, "groups") == [("a/b", 1), ("hall", 1), ("room", 3)]
    assert groups(api, "users/alice/groups") == [("a/b", 1), ("room", 2)]
    assert groups(api, f"connections/{alice.connection_id}/groups") == [("a/b", 1), ("room", 1)]
    missing = api.request("GET", f"/api/hubs/{api.hub}/connections/absent/groups")
    assert missing.status_code == 404
    assert missing.json()["code"] == "Error.Connection.NotExisted"


@pytest.mark.parametrize("path", ["connections", "groups", "users/alice/connections", "users/alice/groups"])
def test_our_own_lists_come_in_pages(api, path):
    for number in range(3):
        api.json(user_id="alice", groups=[f"group {number}"])
    whole = get(api, path)["value"]
    paged, link = [], f"/api/hubs/{api.hub}/{path}?maxpagesize=2&top=3"
    sizes = []
    while link:
        page = api.request("GET", link).json()
        sizes.append(len(page["value"]))
        paged += page["value"]
        link = page["nextLink"]
    assert sizes == [2, 1]
    assert without_age(paged) == without_age(whole)


def get(api, path):
    response = api.request("GET", f"/api/hubs/{api.hub}/{path}")
    assert response.status_code == 200
    return response.json()


def groups(api, path):
    return [(item["group"], item["connectionCount"]) for item in get(api, path)["value"]]


def without_age(items):
    return [{name: item[name] for name in item if name != "ageSeconds"} for item in items]
