"""What holds for all tests."""

import threading
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


@pytest.fixture(autouse=True)
def no_push_outlives_its_test() -> Iterator[None]:
    """Let threads of the OpenTelemetry SDK end: their retries draw from `random`, which Hypothesis allows nobody.

    A test that failed may have left an exporter open, whose threads never end: so it does not wait for ever.
    """
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("Otel"):
            thread.join(60)
