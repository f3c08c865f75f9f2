"""Calls of the Docker SDK as the rest of the harness needs them: awaited, with a deadline, with errors of our tree.

The SDK blocks and raises errors of three libraries; this is the one place that knows them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from harness.model.errors import BackendError, FaultError

CALL_S = 30.0
P = ParamSpec("P")
T = TypeVar("T")


async def engine_call(doing: str, call: Callable[..., T], *arguments: object, within_s: float = CALL_S) -> T:
    """Make a blocking call in a thread.

    Raises BackendError where the engine does not answer, FaultError where it refuses.
    """
    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

    try:
        async with asyncio.timeout(within_s):
            return await asyncio.to_thread(call, *arguments)
    except TimeoutError:
        raise BackendError(
            f"{doing} took the container engine longer than {within_s:g} s", remedy="look at the engine's own log"
        ) from None
    except docker.errors.NotFound as error:
        raise FaultError(f"{doing}: {error.explanation}", remedy="it was removed meanwhile") from error
    except docker.errors.APIError as error:
        raise FaultError(f"{doing} was refused by the container engine: {error.explanation or error}") from error
    except docker.errors.DockerException as error:
        raise FaultError(f"{doing} failed: {error}") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise BackendError(
            f"{doing}: the container engine does not answer: {error}", remedy="see whether `docker version` answers"
        ) from error
