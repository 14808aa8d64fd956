"""Waiting for what nobody tells of."""

import time
from collections.abc import Callable

WAIT_TIMEOUT_S = 10
INTERVAL_S = 0.02


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {WAIT_TIMEOUT_S} s until {what}"
        time.sleep(INTERVAL_S)
