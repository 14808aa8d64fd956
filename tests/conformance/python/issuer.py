"""An OIDC issuer on the loopback: discovery, a key set that can be rotated, and tokens of every kind, wrong ones included.

As a module it is for tests, see `Issuer`. As a program it serves until its standard input ends:

    python issuer.py [--port PORT] [--tls-cert FILE --tls-key FILE]

It prints one line of JSON, `{"issuer": URL, "token": TEXT}`, with a token of the role "Web PubSub Service Owner" that is good for a
day, and prints another such token for each line it reads: a line holds JSON with the claims that differ, or is empty.
"""

import argparse
import base64
import hashlib
import hmac
import http.server
import json
import ssl
import sys
import threading
import time
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

AUDIENCE = "https://webpubsub.azure.com"
SCOPE = f"{AUDIENCE}/.default"
OWNER = "Web PubSub Service Owner"
READER = "Web PubSub Service Reader"

LIFETIME_S = 3600
DISCOVERY_PATH = "/.well-known/openid-configuration"
KEYS_PATH = "/keys"


class Key:
    """A key pair that signs tokens by one algorithm: RS256, PS256 or ES256."""

    def __init__(self, key_id: str, algorithm: str = "RS256"):
        self.key_id = key_id
        self.algorithm = algorithm
        if algorithm == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwk(self) -> dict[str, str]:
        """The public half as an entry of a key set."""
        numbers = self.private.public_key().public_numbers()
        common = {"kid": self.key_id, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "ES256":
            x, y = _base64(numbers.x, 32), _base64(numbers.y, 32)
            return {**common, "kty": "EC", "crv": "P-256", "x": x, "y": y}
        n, e = _base64(numbers.n), _base64(numbers.e)
        return {**common, "kty": "RSA", "n": n, "e": e}

    def public_pem(self) -> bytes:
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class AccessToken(NamedTuple):
    """What a credential returns, in the shape that `azure.core` wants."""

    token: str
    expires_on: int


class Credential:
    """A token credential for the SDKs that block: it asks `make` for each token."""

    def __init__(self, make: Any):
        self._make = make
        self.scopes: list[tuple[str, ...]] = []

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        self.scopes.append(scopes)
        return AccessToken(self._make(), int(time.time()) + LIFETIME_S)


class AsyncCredential(Credential):
    """The same for the SDKs that await."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return Credential.get_token(self, *scopes, **options)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> "AsyncCredential":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class Issuer:
    """A running issuer on a free port of the loopback, by https when a certificate is given.

    `fetches` counts the requests by path. While `is_failing`, every request is answered 503."""

    def __init__(
        self,
        certificate: str | None = None,
        certificate_key: str | None = None,
        algorithm: str = "RS256",
        port: int = 0,
    ):
        self.keys = [Key("key-1", algorithm)]
        self.fetches: dict[str, int] = {}
        self.is_failing = False
        self._lock = threading.Lock()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate_key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            scheme = "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Issuer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def key(self) -> Key:
        """The key that signs now."""
        return self.keys[-1]

    def rotate(self, keep: bool = True) -> Key:
        """Signs by a new key from now on. The old ones stay in the key set, or leave it."""
        new = Key(f"key-{int(self.key.key_id.split('-')[1]) + 1}", self.key.algorithm)
        self.keys = [*self.keys, new] if keep else [new]
        return new

    def claims(self, *roles: str, **changed: Any) -> dict[str, Any]:
        """The claims of a good token with these roles. A changed claim that is None is left out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + LIFETIME_S,
            "oid": "00000000-0000-0000-0000-000000000001",
            "roles": list(roles),
            **changed,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, *roles: str, key: Key | None = None, **changed: Any) -> str:
        """A token with these roles, the owner's without any named; further arguments change claims."""
        key = key or self.key
        claims = self.claims(*(roles or (OWNER,)), **changed)
        return jwt.encode(claims, key.private, key.algorithm, headers={"kid": key.key_id})

    def token_of_alg_none(self, **changed: Any) -> str:
        """A token that says it needs no signature."""
        header = {"alg": "none", "typ": "JWT", "kid": self.key.key_id}
        claims = self.claims(OWNER, **changed)
        return f"{_json(header)}.{_json(claims)}."

    def token_by_public_key(self, **changed: Any) -> str:
        """A token signed by HS256 with the text of the public key, which everybody can do."""
        header = {"alg": "HS256", "typ": "JWT", "kid": self.key.key_id}
        text = f"{_json(header)}.{_json(self.claims(OWNER, **changed))}"
        signature = hmac.digest(self.key.public_pem(), text.encode(), hashlib.sha256)
        return f"{text}.{_encode(signature)}"

    def answer(self, path: str) -> dict[str, Any] | None:
        """The document at a path."""
        with self._lock:
            self.fetches[path] = self.fetches.get(path, 0) + 1
        if path == DISCOVERY_PATH:
            return {
                "issuer": self.url,
                "jwks_uri": f"{self.url}{KEYS_PATH}",
                "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256"],
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
            }
        if path == KEYS_PATH:
            return {"keys": [key.jwk() for key in self.keys]}
        return None


def _handler(issuer: Issuer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            document = issuer.answer(self.path)
            if issuer.is_failing:
                self._send(503, {"error": "temporarily_unavailable"})
            elif document is None:
                self._send(404, {"error": "not_found"})
            else:
                self._send(200, document)

        def _send(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _base64(number: int, size: int | None = None) -> str:
    size = size or (number.bit_length() + 7) // 8
    return _encode(number.to_bytes(size, "big"))


def _json(value: dict[str, Any]) -> str:
    return _encode(json.dumps(value).encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves an OIDC issuer until the input ends.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls-cert")
    parser.add_argument("--tls-key")
    options = parser.parse_args()
    with Issuer(options.tls_cert, options.tls_key, port=options.port) as issuer:
        day = 24 * 3600

        def tell(changed: dict[str, Any]) -> None:
            token = issuer.token(**{"exp": int(time.time()) + day, **changed})
            print(json.dumps({"issuer": issuer.url, "token": token}), flush=True)

        tell({})
        for line in sys.stdin:
            tell(json.loads(line) if line.strip() else {})


if __name__ == "__main__":
    main()
