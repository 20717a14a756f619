"""Workers in another Python interpreter, for a framework that conflicts with our dependencies.

Such an interpreter has its own numpy and framework. It must find goldwatch and the package of the probe, and nothing
else of ours: our numpy on its path would break it. So its path has a folder of links to just these.
"""

from __future__ import annotations

import atexit
import importlib.util
import shutil
import tempfile
from pathlib import Path

_made: dict[str, Path] = {}


def packages(factory: str) -> str:
    """Return a folder that holds links to goldwatch and to the package of the probe `factory`, for PYTHONPATH.

    It is removed when this process ends, and made again if a cleaner of temporary files removed it before. Raises
    ModuleNotFoundError for a package that is not installed.
    """
    folder = _made.get(factory)
    if folder is None or not (folder / "goldwatch").exists():
        folder = _made[factory] = _linked(factory)
    return str(folder)


def _linked(factory: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="goldwatch-packages-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in {"goldwatch", factory.partition(":")[0].partition(".")[0]}:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no package {name!r}", name=name)
        origin = Path(spec.origin)
        source = origin.parent if origin.name == "__init__.py" else origin
        (folder / source.name).symlink_to(source)
    return folder
