"""Fixtures and settings of all tests."""

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from goldwatch.ipc.workers import Workers

# No test asserts a time, and a busy machine is no failure.
settings.register_profile("goldwatch", deadline=None)
settings.register_profile("oldest", deadline=None, max_examples=10)  # a version changes calls, not laws
settings.load_profile("goldwatch")

# Tests that wait for other processes: `.ci/run` runs such a test once more if it fails, and no other test.
TIMED = ("real", "servers", "cluster")


@pytest.hookimpl(trylast=True)  # after `-m` has deselected tests
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Start files with slow tests first, so that the last ones are short and all workers of xdist end together."""
    slow: Counter[Path] = Counter()
    for item in items:
        timed = any(map(item.get_closest_marker, TIMED))
        slow[item.path] += timed or item.get_closest_marker("slow") is not None
        if not timed and config.getoption("reruns", None):
            item.add_marker(pytest.mark.flaky(reruns=0))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers()
    yield pool
    pool.close()


@pytest.fixture(autouse=True)
def no_push_outlives_its_test() -> Iterator[None]:
    """Let threads of the OpenTelemetry SDK end: their retries draw from `random`, which Hypothesis forbids.

    A test that failed may have left an exporter open, whose threads never end: so it does not wait for ever.
    """
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("Otel"):
            thread.join(60)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1, with its key next to it in `key.pem`."""
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def another_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one like `certificate`."""
    return self_signed(tmp_path_factory.mktemp("tls"))


def self_signed(folder: Path) -> Path:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-days", "1"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *key, *subject, "-out", "certificate.pem"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "certificate.pem"
