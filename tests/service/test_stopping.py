import asyncio
import logging
import threading

import pytest
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from goldwatch.daemon.service import ends_quietly


@pytest.mark.parametrize("stops", [True, False])
def test_a_job_that_a_stop_cancels_is_no_error(stops: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A cancellation that no stop explains is still logged."""

    async def stop_while_it_works() -> None:
        stopping, began = threading.Event(), asyncio.Event()

        async def work() -> None:
            began.set()
            await asyncio.Event().wait()

        scheduler = AsyncIOScheduler()
        scheduler.add_job(ends_quietly(stopping, work))
        scheduler.start()
        await began.wait()
        if stops:
            stopping.set()
        scheduler.shutdown(wait=False)
        for _ in range(5):
            await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR):
        asyncio.run(stop_while_it_works())
    assert ("CancelledError" in caplog.text) is not stops
