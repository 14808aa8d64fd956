"""Subscribes to events by the official client of NATS and prints what comes, a JSON object a line.

Usage: nats_subscriber.py URL core|jetstream
"""

import asyncio
import json
import sys
from typing import Any

import nats
from nats.errors import Error
from nats.js.api import StorageType

SUBJECTS = "hubwire.>"
STREAM = "hubwire"
BATCH = 256


def say(kind: str, **more: Any) -> None:
    print(json.dumps({"kind": kind, **more}), flush=True)


def say_message(message: Any) -> None:
    say(
        "message",
        subject=message.subject,
        headers=message.headers,
        body=message.data.decode(),
    )


async def ignore(_: Exception) -> None:
    """A server that goes away is part of the test."""


async def main(url: str, mode: str) -> None:
    async def reconnected() -> None:
        await client.flush()
        say("reconnected")

    client = await nats.connect(
        url,
        reconnected_cb=reconnected,
        error_cb=ignore,
        reconnect_time_wait=0.05,
        max_reconnect_attempts=-1,
    )
    if mode == "core":
        await subscribe(client)
    else:
        await consume(client)


async def subscribe(client: nats.NATS) -> None:
    async def take(message: Any) -> None:
        say_message(message)

    await client.subscribe(SUBJECTS, cb=take)
    await client.flush()
    say("ready")
    await asyncio.Event().wait()


async def consume(client: nats.NATS) -> None:
    stream = client.jetstream()
    await stream.add_stream(name=STREAM, subjects=[SUBJECTS], storage=StorageType.FILE)
    consumer = await stream.pull_subscribe(SUBJECTS, durable="test", stream=STREAM)
    say("ready")
    while True:
        try:
            messages = await consumer.fetch(BATCH, timeout=1)
        except (Error, OSError, asyncio.TimeoutError):
            # Nothing there, or the server is away for a moment.
            await asyncio.sleep(0.05)
            continue
        for message in messages:
            say_message(message)
            await message.ack()


asyncio.run(main(*sys.argv[1:]))
