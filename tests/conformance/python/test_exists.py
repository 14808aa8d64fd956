"""Whether a connection, a user or a group is there."""


def test_a_connection_exists_in_its_hub_while_it_is_open(api):
    client = api.json()
    elsewhere = api.make_client(hub=f"{api.hub}_other")
    assert api.client.connection_exists(client.connection_id) is True
    assert elsewhere.connection_exists(client.connection_id) is False
    api.client.close_connection(client.connection_id)
    assert api.client.connection_exists(client.connection_id) is False
    assert api.client.connection_exists("absent") is False


def test_a_user_exists_while_one_of_its_connections_does(api):
    clients = [api.json(user_id="alice"), api.json(user_id="alice")]
    assert api.client.user_exists("alice") is True
    assert api.client.user_exists("Alice") is False
    api.client.close_connection(clients[0].connection_id)
    assert api.client.user_exists("alice") is True
    api.client.close_connection(clients[1].connection_id)
    assert api.client.user_exists("alice") is False


def test_a_group_exists_while_it_has_members(api):
    clients = [api.json(groups=["room"]), api.json(groups=["room"])]
    assert api.client.group_exists("room") is True
    assert api.client.group_exists("ROOM") is False
    api.client.close_connection(clients[0].connection_id)
    assert api.client.group_exists("room") is True
    api.client.remove_connection_from_group("room", clients[1].connection_id)
    assert api.client.group_exists("room") is False
