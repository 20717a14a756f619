"""Chores are done again and again, whatever becomes of one time, until they are stopped."""

from __future__ import annotations

import asyncio

import pytest

from goldwatch.chores import Chores


def test_a_chore_that_fails_is_told_of_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        chores, done, times = Chores(), asyncio.Event(), 0

        async def _sweep() -> None:
            nonlocal times
            times += 1
            if times == 1:
                raise ValueError("of all things")
            done.set()

        chores.start(0, _sweep)
        await asyncio.wait_for(done.wait(), 30)
        await chores.stop()
        ended_at = times
        await asyncio.sleep(0.01)
        assert times == ended_at

    asyncio.run(main())
    (record,) = caplog.records
    assert record.getMessage() == "a chore failed in goldwatch itself"
    assert record.__dict__["chore"] == "sweep"
    assert record.exc_text is None or "of all things" in record.exc_text


def test_a_chore_that_takes_long_holds_up_no_other_and_is_not_done_twice_at_a_time() -> None:
    async def main() -> None:
        chores, done = Chores(), asyncio.Event()
        begun = others = 0

        async def long() -> None:
            nonlocal begun
            begun += 1
            await asyncio.Event().wait()

        async def short() -> None:
            nonlocal others
            others += begun
            if others > 5:
                done.set()

        chores.start(0, long)
        chores.start(0, short)
        await asyncio.wait_for(done.wait(), 30)
        await chores.stop()
        assert begun == 1

    asyncio.run(main())


def test_without_any_there_is_nothing_to_stop() -> None:
    asyncio.run(Chores().stop())
