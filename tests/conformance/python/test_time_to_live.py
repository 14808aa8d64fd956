"""Time to live of messages: what the service accepts, and that it delivers in time.

The methods of the package have no argument for it, so it is given as a parameter of the query.
"""

import pytest
from azure.core.exceptions import HttpResponseError


def sends(api, client, seconds):
    options = {"params": {"messageTtlSeconds": seconds}, "content_type": "text/plain"}
    return [
        lambda: api.client.send_to_all("all", **options),
        lambda: api.client.send_to_group("room", "group", **options),
        lambda: api.client.send_to_user("alice", "user", **options),
        lambda: api.client.send_to_connection(client.connection_id, "connection", **options),
    ]


@pytest.mark.parametrize("seconds", [0, 1, 300])
def test_a_message_with_a_time_to_live_arrives(api, seconds):
    client = api.json(user_id="alice", groups=["room"])
    for send in sends(api, client, seconds):
        send()
    received = [client.receive()["data"] for _ in range(4)]
    assert received == ["all", "group", "user", "connection"]


@pytest.mark.parametrize("seconds", [-1, 301, "x"])
def test_a_time_to_live_out_of_range_is_refused_and_has_no_effect(api, seconds):
    client = api.json(user_id="alice", groups=["room"])
    for send in sends(api, client, seconds):
        with pytest.raises(HttpResponseError) as refused:
            send()
        assert refused.value.status_code == 400
        assert refused.value.response.json()["message"] == "Invalid messageTtlSeconds."
    api.expect_nothing_more(client)
