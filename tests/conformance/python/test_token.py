"""Access keys and the client tokens made with them."""

import pytest
from azure.core.exceptions import ClientAuthenticationError
from service import DEVELOPMENT_KEY
from websocket import WebSocketBadStatusException

WRONG_KEY = DEVELOPMENT_KEY[::-1]


def test_a_token_carries_the_user(api):
    assert api.json(user_id="alice").user_id == "alice"
    assert api.json().user_id is None


def test_a_token_carries_roles(api):
    client = api.json(roles=["webpubsub.joinLeaveGroup.room", "webpubsub.sendToGroup"])
    assert client.join("room")["success"] is True
    assert client.join("other room")["error"]["name"] == "Forbidden"
    assert client.send_text("any room", "hi")["success"] is True


def test_a_token_carries_groups(api):
    member = api.json(groups=["room", "hall"])
    stranger = api.json()
    api.client.send_to_group("hall", "hi", content_type="text/plain")
    assert member.receive()["group"] == "hall"
    api.expect_nothing_more(member, stranger)


def test_the_url_of_a_token_is_that_of_the_hub(api):
    token = api.client.get_client_access_token()
    assert token["baseUrl"] == api.service.client_url_of(api.hub)
    assert token["url"] == f"{token['baseUrl']}?access_token={token['token']}"


def test_hub_names_are_compared_without_case(api):
    client = api.json()
    shouting = api.make_client(hub=api.hub.upper())
    shouting.send_to_all("hi", content_type="text/plain")
    assert client.receive()["data"] == "hi"
    api.connect(shouting.get_client_access_token()["url"])


def test_a_wrong_key_is_refused_and_has_no_effect(api):
    listener = api.simple()
    client = api.make_client(access_key=WRONG_KEY)
    with pytest.raises(ClientAuthenticationError):
        client.send_to_all("hi", content_type="text/plain")
    with pytest.raises(ClientAuthenticationError):
        client.user_exists("alice")
    with pytest.raises(ClientAuthenticationError):
        client.close_all_connections()
    api.expect_nothing_more(listener)


def test_a_client_token_of_a_wrong_key_is_refused(api):
    url = api.make_client(access_key=WRONG_KEY).get_client_access_token()["url"]
    with pytest.raises(WebSocketBadStatusException) as refused:
        api.connect(url)
    assert refused.value.status_code == 401


def test_a_client_token_opens_its_own_hub_only(api):
    token = api.client.get_client_access_token()["token"]
    url = api.service.client_url_of(f"{api.hub}_other", f"?access_token={token}")
    with pytest.raises(WebSocketBadStatusException) as refused:
        api.connect(url)
    assert refused.value.status_code == 401
