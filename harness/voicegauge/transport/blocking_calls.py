"""Runs blocking calls, such as writes to disk, in a thread, so that they do not delay the timing of requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

BlockingParameters = ParamSpec("BlockingParameters")
ResultT = TypeVar("ResultT")


async def run_in_thread(
    function: Callable[BlockingParameters, ResultT], *args: BlockingParameters.args, **kwargs: BlockingParameters.kwargs
) -> ResultT:
    """Call `function` in a thread, and return what it returns.

    If the task is cancelled, the call is completed first, so that a write is never cut short.
    """
    call = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(call)
    except asyncio.CancelledError:
        await asyncio.wait([call])
        raise
