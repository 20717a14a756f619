"""Takes out of a folder of packages what an image does not need, as `python slim.py EXTRAS SITE-PACKAGES`.

The tests and headers of numpy and scipy everywhere; where goldwatch alone calls scipy, all of it but `scipy.special`.
What was taken out there says so when it is imported: pip in a derived image believes that it is there.
"""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import distributions
from pathlib import Path

SLIM = ("base", "onnx", "operator")
KEPT = ("special",)
"""The subpackages of scipy that goldwatch imports; they need no other."""
_NEEDS_SCIPY = re.compile(r"scipy\b(?!.*\bextra\b)")
_COMPILED = (".a", ".f90", ".h", ".pxd", ".pxi", ".pyi", ".pyx")
_STUB = """raise ImportError(
    "scipy.{part} is left out of this image of goldwatch; take the image with EXTRAS=light, or put it back with: "
    "python3 -m pip --python /opt/goldwatch/bin/python install --force-reinstall --no-deps scipy=={version}"
)
"""


def slim(extras: str, packages: Path) -> None:
    """Take out what the image of these extras does not need. Raises SystemExit if another package needs scipy."""
    for package in (packages / "numpy", packages / "scipy"):
        for tests in sorted(package.rglob("tests/")):
            shutil.rmtree(tests, ignore_errors=True)
        for file in package.rglob("*"):
            if file.suffix in _COMPILED:
                file.unlink()
    if extras in SLIM:
        if needing := _needing_scipy(packages):
            raise SystemExit(
                f"scipy is needed by {', '.join(needing)} too: take {extras} out of SLIM in requirements/slim.py"
            )
        _leave_out_parts(packages)
        _leave_out_libraries(packages / "scipy", packages / "scipy.libs")


def _needing_scipy(packages: Path) -> list[str]:
    found = distributions(path=[str(packages)])
    return sorted(one.name for one in found if any(_NEEDS_SCIPY.match(need) for need in one.requires or []))


def _leave_out_parts(packages: Path) -> None:
    (version,) = (info.name.split("-")[1].removesuffix(".dist") for info in packages.glob("scipy-*.dist-info"))
    for init in sorted((packages / "scipy").glob("[!_]*/__init__.py")):
        part = init.parent
        if part.name not in KEPT:
            shutil.rmtree(part)
            part.mkdir()
            init.write_text(_STUB.format(part=part.name, version=version), encoding="utf-8")


def _leave_out_libraries(package: Path, libraries: Path) -> None:
    """Delete the shared libraries that nothing names any more, neither an extension that is left nor a library."""
    while True:
        extensions = [*package.rglob("*.so"), *libraries.iterdir()]
        bytes_of = {file: file.read_bytes() for file in extensions}
        unused = [
            library
            for library in libraries.iterdir()
            if not any(library.name.encode() in found for file, found in bytes_of.items() if file != library)
        ]
        if not unused:
            return
        for library in unused:
            library.unlink()


if __name__ == "__main__":
    slim(sys.argv[1], Path(sys.argv[2]))
