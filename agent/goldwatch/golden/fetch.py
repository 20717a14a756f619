"""Fetches a golden set from an address into a folder: once, whole, and only if it is the right one.

The manifest is fetched first and must have the digest that the config pins; it has the length and digest of every
other file. So whichever server answers, only the bytes that the owner of the set froze are kept.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from goldwatch.golden import kept
from goldwatch.golden.error import GoldenError, reason
from goldwatch.golden.manifest import MANIFEST, parse
from goldwatch.golden.opened import MOST_MANIFEST_BYTES, GoldenSet
from goldwatch.http_reading import Unreadable, download

MOST_BYTES = 512 * 2**20
"""A set that is larger comes by a volume, which the nodes keep for all pods."""
_SILENCE_S = 30.0
_LIMIT_S = 240.0
"""Of all files; whoever waits for the worker gives up after 300 s."""


def fetch_set(url: str, folder: Path, digest: str, headers: Mapping[str, str]) -> None:
    """Fetch a golden set into a new folder, which appears whole or not at all. Raises GoldenError.

    `url` is the address of its folder, `digest` the whole digest of the set, "sha256:...".
    """
    unfinished = kept.unfinished(folder)
    try:
        unfinished.mkdir(parents=True)
        _fetch_into(unfinished, url.rstrip("/"), digest, headers)
        GoldenSet.open(unfinished)  # every byte matches the manifest
        kept.mark(folder)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was quicker, with the same set
                raise
    except Unreadable as error:
        raise GoldenError(folder, f"cannot be fetched: {error}") from None
    except GoldenError as error:
        raise GoldenError(folder, *(f"{url}: {problem}" for problem in error.problems)) from None
    except OSError as error:
        raise GoldenError(folder, f"cannot be written: {reason(error)}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fetch_into(folder: Path, url: str, digest: str, headers: Mapping[str, str]) -> None:
    deadline = time.monotonic() + _LIMIT_S

    def download_to(name: str, most_bytes: int) -> None:
        left_s = deadline - time.monotonic()
        with (folder / name).open("xb") as into:
            download(f"{url}/{name}", headers, into, most_bytes, silence_s=_SILENCE_S, limit_s=left_s)

    download_to(MANIFEST, MOST_MANIFEST_BYTES)
    raw = (folder / MANIFEST).read_bytes()
    found = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    if found != digest:
        raise GoldenError(
            folder,
            f"{MANIFEST} has digest {found}, expected {digest}; put that set there, or pin the one that you mean",
        )
    files = parse(folder, raw).files
    if (total := sum(file.bytes for file in files.values())) > MOST_BYTES:
        raise GoldenError(
            folder, f"the set has {total:,} bytes, at most {MOST_BYTES:,} are fetched; mount it, and write its `path`"
        )
    for name, file in files.items():
        download_to(name, file.bytes)
