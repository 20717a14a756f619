"""Jobs and probes for workers under test. The signature of a job is that of `goldwatch.replay.worker.Job`."""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from goldwatch.probe import Tokens
from goldwatch.testing.probe import FakeProbe, Response


class CountingProbe(FakeProbe):
    """A language model whose every answer takes ten tokens."""

    def tokens(self, response: Response) -> Tokens:
        return Tokens(input=7, output=3)


def abort(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:
    os.abort()


def leave(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:
    print("first words\nlast words", file=sys.stderr, flush=True)
    os._exit(3)


def hold_the_gil(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:
    Path(argument["file"]).touch()
    ctypes.PyDLL(None).sleep(60)  # PyDLL, unlike CDLL, keeps the GIL during the call
    return {}
