"""What whoever starts the server relies on: its output, its configuration, its end."""

import urllib.request

import pytest
from clients import JsonClient, SimpleClient
from service import DEVELOPMENT_KEY
from websocket import WebSocketBadStatusException


def test_the_addresses_are_all_that_is_printed(start_service):
    service = start_service()
    assert service.access_key == DEVELOPMENT_KEY
    assert service.client_url.startswith(f"ws://{service.authority_part}/client/hubs/")
    assert service.health_url == f"{service.endpoint}/api/health"
    service.terminate()
    assert service.wait() == 0
    assert service.rest_of_stdout() == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_health_is_answered_without_a_token(request, scheme):
    service = request.getfixturevalue(f"{scheme}_service")
    head = urllib.request.Request(service.health_url, method="HEAD")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=service.tls_context()),
    )
    with opener.open(head, timeout=10) as response:
        assert response.status == 200
        assert response.read() == b""


def test_sigterm_tells_clients_and_exits_with_success(start_service, connect):
    service = start_service('[hubs.chat]\nanonymous_connect_policy = "allow"\n')
    simple = connect(SimpleClient, service, service.client_url_of("chat"))
    json = connect(JsonClient, service, service.client_url_of("chat"))
    service.terminate()
    assert simple.expect_close()[0] == 1001
    assert json.receive()["event"] == "disconnected"
    assert json.expect_close()[0] == 1001
    assert service.wait() == 0


def test_a_hub_admits_anonymous_clients_only_when_told_to(start_service, connect):
    service = start_service('[hubs.open]\nanonymous_connect_policy = "allow"\n')
    client = connect(JsonClient, service, service.client_url_of("open"))
    assert client.user_id is None
    with pytest.raises(WebSocketBadStatusException) as refused:
        connect(SimpleClient, service, service.client_url_of("closed"))
    assert refused.value.status_code == 401
    with pytest.raises(WebSocketBadStatusException) as refused:
        connect(SimpleClient, service, service.client_url_of("open", "?access_token=nonsense"))
    assert refused.value.status_code == 401
