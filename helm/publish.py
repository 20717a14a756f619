"""Package the chart, and push it to an OCI registry: `make chart`, `make chart-push REGISTRY=oci://HOST/PATH`.

The login is that of `helm registry login` or `docker login`. A version that the registry has is never replaced, because
users may have pinned it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import helm_python as helm

CHART = Path(__file__).parent / "goldwatch"


class AlreadyThere(Exception):
    """The registry has this version of the chart."""


def package(folder: Path) -> Path:
    """Write the archive into a folder, and return its path. Raises helm.HelmError."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(helm.package(CHART, destination=folder))


def push(archive: Path, registry: str, *, plain_http: bool = False) -> str:
    """Push an archive below `registry`, and return its address with its digest.

    Raises helm.HelmError, and AlreadyThere.
    """
    with helm.Chart.load_archive(archive.read_bytes()) as chart:
        name, version = chart.name, chart.version
    address = f"{registry.rstrip('/')}/{name}"
    with helm.RegistryClient(plain_http=plain_http) as client:
        if version in _versions(client, address):
            raise AlreadyThere(f"{address} has {version} already; raise `version` in helm/goldwatch/Chart.yaml")
        client.push(archive, registry, plain_http=plain_http)
        return f"{address}@{client.resolve(f'{address}:{version}')['digest']}"


def _versions(client: helm.RegistryClient, address: str) -> list[str]:
    """Return the versions of the chart that the registry has. Raises helm.HelmError if it does not say."""
    try:
        return client.tags(address)
    except helm.HelmError as error:
        if "status code 404" in str(error):  # so a registry answers before the first version
            return []
        raise helm.HelmError(f"the versions of {address} cannot be read, so nothing is pushed: {error}") from error


def main() -> int:
    """Package, push if a registry is named, and return the exit code."""
    asked = argparse.ArgumentParser(description="Package the chart, and push it to an OCI registry.")
    asked.add_argument("--folder", type=Path, default=Path("dist"), help="where the archive goes")
    asked.add_argument("--push", metavar="REGISTRY", help="such as oci://registry.example/charts")
    asked.add_argument("--plain-http", action="store_true", help="for a registry without TLS")
    options = asked.parse_args()
    if options.push is not None and not options.push.startswith("oci://"):
        asked.error(f'"{options.push}" is no OCI registry; write one such as oci://registry.example/charts')
    try:
        archive = package(options.folder)
        sys.stdout.write(f"{archive}\n")
        if options.push is not None:
            sys.stdout.write(f"{push(archive, options.push, plain_http=options.plain_http)}\n")
    except (helm.HelmError, AlreadyThere) as error:
        sys.stderr.write(f"publish: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
