"""Measures the memory of idle connections: `python bench/idle.py target/release/hubwire 10000`.

Starts the service on a free port, opens JSON connections one after another, each with a user id of its own, and prints how much the
process has grown for each of them. Needs nothing but Python. Ends the service it started.
"""

import base64
import hashlib
import hmac
import json
import resource
import socket
import subprocess
import sys
import time

KEY = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"


def main():
    binary, count = sys.argv[1], int(sys.argv[2])
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    service = subprocess.Popen(
        [binary, "--listen", "127.0.0.1:0", "--log-level", "warn"], stdout=subprocess.PIPE, text=True
    )
    try:
        endpoint = service.stdout.readline().split("Endpoint=")[1].split(";")[0]
        address = ("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))
        # The first connection makes what is made only once.
        sockets = [connect(endpoint, address, "first")]
        time.sleep(3)
        before = resident(service.pid)
        sockets += [connect(endpoint, address, f"user-{number}") for number in range(count)]
        time.sleep(3)
        after = resident(service.pid)
        print(f"{count} connections: {before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB after,")
        print(f"{(after - before) / count:.0f} bytes for each")
    finally:
        service.terminate()
        service.wait(10)


def connect(endpoint, address, user):
    path = "/client/hubs/bench"
    claims = {"aud": endpoint + path, "exp": int(time.time()) + 3600, "sub": user}
    request = (
        f"GET {path}?access_token={sign(claims)} HTTP/1.1\r\nHost: {endpoint.split('//')[1]}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: json.webpubsub.azure.v1\r\n\r\n"
    )
    client = socket.create_connection(address, timeout=10)
    client.sendall(request.encode())
    answer = b""
    while b'"connected"' not in answer:
        chunk = client.recv(4096)
        if not chunk:
            raise SystemExit(f"refused: {answer.decode()}")
        answer += chunk
    return client


def sign(claims):
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    text = head + b"." + encode(json.dumps(claims).encode())
    return (text + b"." + encode(hmac.new(KEY, text, hashlib.sha256).digest())).decode()


def resident(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
