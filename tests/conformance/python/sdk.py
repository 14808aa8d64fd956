"""The official package, called in one way whether it blocks or awaits."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

from azure.messaging.webpubsubservice import WebPubSubServiceClient
from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient as AsyncServiceClient

from service import Service

OPTIONS = {"connection_timeout": 10, "read_timeout": 10, "retry_total": 0}


def make_blocking(service: Service, connection_string: str, hub: str) -> WebPubSubServiceClient:
    return WebPubSubServiceClient.from_connection_string(
        connection_string, hub=hub, **_options(service)
    )


class Awaited:
    """The asynchronous client; every call runs on one event loop until it is done."""

    def __init__(self, service: Service, connection_string: str, hub: str):
        self._loop = asyncio.new_event_loop()
        self._client = self._loop.run_until_complete(
            self._open(service, connection_string, hub)
        )

    @staticmethod
    async def _open(service: Service, connection_string: str, hub: str) -> AsyncServiceClient:
        return AsyncServiceClient.from_connection_string(
            connection_string, hub=hub, **_options(service)
        )

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            result = method(*arguments, **options)
            return self._loop.run_until_complete(result) if inspect.isawaitable(result) else result

        return call

    def iterate(self, items: Any) -> Iterator[Any]:
        """The items of an asynchronous iterator, each awaited when it is wanted."""
        iterator = aiter(items)
        end = object()
        while (item := self._loop.run_until_complete(_next(iterator, end))) is not end:
            yield item

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


def iterate(client: Any, items: Any) -> Iterator[Any]:
    """The items of what a client returned as a list or as a page of one."""
    return client.iterate(items) if isinstance(client, Awaited) else iter(items)


async def _next(iterator: AsyncIterator[Any], end: Any) -> Any:
    return await anext(iterator, end)


def _options(service: Service) -> dict[str, Any]:
    if service.authority is None:
        return OPTIONS
    return {**OPTIONS, "connection_verify": str(service.authority.path)}
