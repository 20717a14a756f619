"""Jobs for workers under test. Their signature is that of `goldwatch.replay.worker.Job`."""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any


def abort(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:
    os.abort()


def leave(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:
    print("first words\nlast words", file=sys.stderr, flush=True)
    os._exit(3)


def hold_the_gil(argument: dict[str, Any], descriptors: list[int], emit: object) -> dict[str, Any]:
    Path(argument["file"]).touch()
    ctypes.PyDLL(None).sleep(60)  # PyDLL, unlike CDLL, keeps the GIL during the call
    return {}
