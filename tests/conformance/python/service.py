"""The hubwire process under test."""

import ctypes
import dataclasses
import os
import pathlib
import queue
import re
import signal
import ssl
import subprocess
import sys
import threading
import urllib.parse

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 5

DEVELOPMENT_KEY = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

CONNECTION_STRING = re.compile(
    r"Connection string: (Endpoint=(https?://127\.0\.0\.1:\d+);AccessKey=([^;]+);Version=1\.0;)"
)
CLIENT_URL = re.compile(r"Client URL: (wss?://127\.0\.0\.1:\d+/client/hubs/\S+)")
HEALTH_URL = re.compile(r"Health URL: (https?://127\.0\.0\.1:\d+/api/health)")


@dataclasses.dataclass(frozen=True)
class Authority:
    """The certificate authority of a TLS server, for those who are to trust it."""

    path: pathlib.Path

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.path))


class Service:
    """One running `hubwire serve` on a free port of the loopback.

    `access_key` is the one in its configuration, if there is one: it is not printed."""

    def __init__(
        self,
        name: str,
        *arguments: str,
        authority: Authority | None = None,
        access_key: str | None = None,
    ):
        self.name = name
        self.authority = authority
        self.access_key = access_key
        self._stdout: queue.Queue[str | None] = queue.Queue()
        self._log: list[str] = []
        self._process = subprocess.Popen(
            [os.environ["HUBWIRE_BIN"], "serve", "--listen", "127.0.0.1:0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=_clean_environment(),
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        self._readers = [
            threading.Thread(target=self._read_stdout, daemon=True),
            threading.Thread(target=self._read_log, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            self._read_addresses()
        except BaseException:
            self.kill()
            raise

    def _read_addresses(self) -> None:
        connection_string = self._expect(CONNECTION_STRING)
        text, self.endpoint, shown_key = connection_string.groups()
        self.access_key = self.access_key or shown_key
        self.connection_string = text.replace(shown_key, self.access_key)
        self.client_url = self._expect(CLIENT_URL).group(1)
        self.health_url = self._expect(HEALTH_URL).group(1)
        self.authority_part = urllib.parse.urlsplit(self.endpoint).netloc

    def _expect(self, pattern: re.Pattern[str]) -> re.Match[str]:
        try:
            line = self._stdout.get(timeout=START_TIMEOUT_S)
        except queue.Empty:
            raise self._failure(f"printed nothing for {START_TIMEOUT_S} s") from None
        if line is None:
            raise self._failure("closed its stdout before it was ready")
        found = pattern.fullmatch(line)
        if found is None:
            raise self._failure(f"printed {line!r} where {pattern.pattern!r} was expected")
        return found

    def _failure(self, what: str) -> RuntimeError:
        return RuntimeError(f"hubwire ({self.name}) {what}; its log:\n{self.log()}")

    def client_url_of(self, hub: str, query: str = "") -> str:
        """The address of a hub for WebSocket clients, without a token."""
        scheme = "wss" if self.endpoint.startswith("https:") else "ws"
        return f"{scheme}://{self.authority_part}/client/hubs/{hub}{query}"

    def tls_context(self) -> ssl.SSLContext | None:
        return self.authority.context() if self.authority else None

    def log(self) -> str:
        """What the process has written to stderr so far."""
        return "".join(self._log)

    def log_size(self) -> int:
        return len(self._log)

    def log_since(self, size: int) -> str:
        return "".join(self._log[size:])

    def terminate(self) -> None:
        """Asks the process to stop."""
        self._process.send_signal(signal.SIGTERM)

    def reload(self) -> None:
        """Has the process read its configuration again."""
        self._process.send_signal(signal.SIGHUP)

    def wait(self) -> int:
        """The exit code of the process, which must have been asked to stop. From then on its log is whole."""
        try:
            code = self._process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._failure(f"was still running {STOP_TIMEOUT_S} s after SIGTERM") from None
        self._readers[1].join(timeout=STOP_TIMEOUT_S)
        return code

    def rest_of_stdout(self) -> list[str]:
        """The lines after the addresses, once the process has ended."""
        self._readers[0].join(timeout=STOP_TIMEOUT_S)
        lines = []
        while (line := self._stdout.get(timeout=STOP_TIMEOUT_S)) is not None:
            lines.append(line)
        return lines

    def kill(self) -> None:
        """Ends the process if it is still running; only ever this one."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(timeout=STOP_TIMEOUT_S)

    def _read_stdout(self) -> None:
        for line in self._process.stdout:
            self._stdout.put(line.rstrip("\n"))
        self._stdout.put(None)

    def _read_log(self) -> None:
        for line in self._process.stderr:
            self._log.append(line)


def _clean_environment() -> dict[str, str]:
    """The environment without settings that would change the server under test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HUBWIRE_")}


def _end_with_parent() -> None:
    """Has the kernel end this process with the test run, however that ends."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
