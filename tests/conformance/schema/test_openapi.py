"""Requests made from docs/openapi.json, good and bad; every answer must be one that the file describes.

Each operation is asked twice over: about anything at all, and about a client that is there, so that the answers which show
something are seen too. The requests are the same in every run.
"""

import contextlib
import pathlib
import time
import urllib.parse

import hypothesis
import jwt
import pytest
import requests
import schemathesis
from clients import JsonClient
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from service import Service

EXAMPLES = 10
TIMEOUT_S = 10
HUB = "schema"
USER = "alice"
GROUP = "a/b & c"

CHECKED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]

FILE = pathlib.Path(__file__).parents[3] / "docs" / "openapi.json"
schema = schemathesis.openapi.from_path(FILE)

settings = hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


class Signed(requests.auth.AuthBase):
    """A token for the very URL that is asked for."""

    def __init__(self, service):
        self._service = service

    def __call__(self, request):
        claims = {"aud": request.url, "exp": time.time() + 60}
        token = jwt.encode(claims, self._service.access_key, algorithm="HS256")
        request.headers["Authorization"] = f"Bearer {token}"
        return request


@pytest.fixture(scope="session")
def service():
    service = Service("schema")
    try:
        yield service
        service.terminate()
        assert service.wait() == 0, service.log()
    finally:
        service.kill()


@pytest.fixture(scope="session")
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


@schema.parametrize()
@settings
def test_any_request(case, service, session):
    call(case, service, session)


@schema.parametrize()
@settings
def test_a_request_about_a_client_that_is_there(case, service, session):
    with client_of(service) as client:
        there = {
            "hub": HUB,
            "group": urllib.parse.quote(GROUP, safe=""),
            "userId": USER,
            "connectionId": client.connection_id,
        }
        case.path_parameters.update(
            {name: there[name] for name in case.path_parameters if name in there}
        )
        call(case, service, session)


def call(case, service, session):
    response = case.call(
        base_url=service.endpoint, session=session, auth=Signed(service), timeout=TIMEOUT_S
    )
    case.validate_response(response, checks=CHECKED)


@contextlib.contextmanager
def client_of(service):
    claims = {
        "aud": f"{service.endpoint}/client/hubs/{HUB}",
        "exp": time.time() + 60,
        "sub": USER,
        "webpubsub.group": [GROUP, "room"],
    }
    token = jwt.encode(claims, service.access_key, algorithm="HS256")
    client = JsonClient(service.client_url_of(HUB, f"?access_token={token}"))
    try:
        yield client
    finally:
        client.close()
