"""What holds for all tests."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from goldwatch.replay.workers import Workers

# No test asserts a time, and a busy machine is no failure.
settings.register_profile("goldwatch", deadline=None)
settings.load_profile("goldwatch")


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()
