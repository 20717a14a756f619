"""The commands for a cluster: health, webhook."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from goldwatch.cli.base import app, fail


@app.command()
def health(
    url: Annotated[str, typer.Argument(help="What to ask.")] = "http://127.0.0.1:9870/readyz",
    limit: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for the answer.")] = 5,
) -> None:
    """Ask a running agent whether its config is in force: exit code 0 yes, 2 no."""
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    if not url.startswith(("http://", "https://")):
        fail(f'"{url}" is no address of HTTP; write one such as http://127.0.0.1:9870/readyz')
    try:
        with urllib.request.urlopen(url, timeout=limit) as answer:  # noqa: S310 - the scheme was looked at
            sys.stdout.write(answer.read(1024).decode(errors="replace"))
    except urllib.error.HTTPError as error:
        with error:
            fail(f"{url}: {error.read(1024).decode(errors='replace').strip() or error.reason}")
    except OSError as error:
        fail(f"{url}: {getattr(error, 'reason', error)}")


@app.command()
def webhook(
    sidecar: Annotated[Path, typer.Option(help="The sidecar, as the chart writes it.")],
    certificate: Annotated[Path, typer.Option(help="The certificate for TLS, in PEM.")],
    key: Annotated[Path, typer.Option(help="Its private key, in PEM.")],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "0.0.0.0",  # noqa: S104 - the API server calls it
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 9443,
) -> None:
    """Serve the admission webhook, which adds the sidecar to pods with the annotation goldwatch.dev/config."""
    from goldwatch.cluster import injection  # noqa: PLC0415
    from goldwatch.cluster import webhook as server  # noqa: PLC0415
    from goldwatch.log import set_up  # noqa: PLC0415

    set_up("human", "info")
    try:
        asyncio.run(server.serve(sidecar, certificate, key, host, port))
    except (injection.BadSidecar, OSError) as error:
        fail(f"the webhook cannot be served: {error}")
