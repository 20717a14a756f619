"""Programs that only some machines have."""

import os
import shutil

import pytest


def program(*names: str) -> str:
    """Find a program by one of its names; in CI a missing one is a failure, elsewhere the test is skipped."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{names[0]} is not installed")
    return found or pytest.skip(f"{names[0]} is not installed")
