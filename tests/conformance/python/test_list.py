"""Listing the members of a group."""

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

WRONG_KEY = "X" * 44


def members_of(clients):
    return sorted((client.connection_id, client.user_id) for client in clients)


def test_the_members_are_listed_by_connection_id(api):
    clients = [api.json(user_id=user, groups=["room"]) for user in ("alice", "alice", None)]
    api.json(user_id="bob", groups=["ROOM"])
    assert api.listed("room") == members_of(clients)


def test_a_group_without_members_is_an_empty_list(api):
    assert api.listed("room") == []


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, [5]),
        ({"maxpagesize": 2}, [2, 2, 1]),
        ({"maxpagesize": 5}, [5]),
        ({"top": 3}, [3]),
        ({"top": 7}, [5]),
        ({"maxpagesize": 2, "top": 3}, [2, 1]),
        ({"maxpagesize": 2, "top": 4}, [2, 2]),
        ({"maxpagesize": 4, "top": 2}, [2]),
    ],
)
def test_members_come_in_pages(api, options, sizes):
    clients = [api.json(groups=["a/b & c"]) for _ in range(5)]
    pages = list(api.pages("a/b & c", **options))
    assert [len(page) for page in pages] == sizes
    wanted = members_of(clients)[: options.get("top")]
    assert [member for page in pages for member in page] == wanted
    assert api.listed("a/b & c", **options) == wanted


def test_a_list_goes_on_after_members_have_left(api):
    clients = [api.json(groups=["room"]) for _ in range(4)]
    members = members_of(clients)
    pages = api.pages("room", maxpagesize=2)
    assert next(pages) == members[:2]
    for gone, _ in (members[1], members[2]):
        api.client.remove_connection_from_group("room", gone)
    assert next(pages) == members[3:]
    assert next(pages, None) is None


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({"maxpagesize": 0}, "maxpagesize"),
        ({"maxpagesize": 201}, "maxpagesize"),
        ({"top": 0}, "top"),
        ({"continuation_token_parameter": "nonsense"}, "continuationToken"),
    ],
)
def test_bad_paging_is_refused(api, options, target):
    with pytest.raises(HttpResponseError) as refused:
        api.listed("room", **options)
    assert refused.value.status_code == 400
    assert refused.value.response.json()["target"] == target


def test_a_list_needs_a_good_key(api):
    with pytest.raises(ClientAuthenticationError):
        api.listed("room", client=api.make_client(access_key=WRONG_KEY))
