"""The commands for a cluster: health, webhook, operator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from goldwatch.cli.base import CLUSTER, app, fail, put
from goldwatch.errors import GoldwatchError
from goldwatch.installation import install_command


@app.command(rich_help_panel=CLUSTER)
def health(
    url: Annotated[str, typer.Argument(help="What to ask.")] = "http://127.0.0.1:9870/readyz",
    limit: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds to wait for the answer.")] = 5,
) -> None:
    """Ask a running agent whether its config is loaded: exit code 0 yes, 2 no."""
    import ssl  # noqa: PLC0415
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    if not url.startswith(("http://", "https://")):
        fail(f'"{url}" is no address of HTTP; write one such as http://127.0.0.1:9870/readyz')
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # as a kubelet: nothing secret is sent
    try:
        with urllib.request.urlopen(url, timeout=limit, context=tls) as answer:  # noqa: S310 - the scheme was looked at
            put(answer.read(1024).decode(errors="replace"))
    except urllib.error.HTTPError as error:
        with error:
            fail(f"{url}: {error.read(1024).decode(errors='replace').strip() or error.reason}")
    except OSError as error:
        fail(f"{url}: {getattr(error, 'reason', error)}")


@app.command(hidden=True)  # the chart runs it
def webhook(
    sidecar: Annotated[Path, typer.Option(help="The sidecar, as the chart writes it.")],
    certificate: Annotated[Path, typer.Option(help="The certificate for TLS, in PEM.")],
    key: Annotated[Path, typer.Option(help="Its private key, in PEM.")],
    host: Annotated[str, typer.Option(help="Where to listen; on all addresses by default.")] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 9443,
    metrics_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of /metrics, without TLS.")] = 9444,
) -> None:
    """Serve the admission webhook, which adds the sidecar to pods with the annotation goldwatch.dev/config."""
    from goldwatch.cluster import webhook as server  # noqa: PLC0415
    from goldwatch.log import set_up  # noqa: PLC0415

    set_up("human", "info")
    try:
        asyncio.run(server.serve(sidecar, certificate, key, host, port, metrics_port))
    except (GoldwatchError, OSError) as error:
        fail(f"the webhook cannot be served: {error}")


@app.command(rich_help_panel=CLUSTER)
def operator(
    namespace: Annotated[
        list[str], typer.Option(help="A namespace to keep; may be repeated. By default the own.")
    ] = [],  # noqa: B006 - typer copies it
    defaults: Annotated[
        Path | None, typer.Option(help="Sections that all configs share, such as alerts, as a YAML file.")
    ] = None,
    discover: Annotated[
        bool,
        typer.Option(
            "--discover", help="Make Watches of pods, Services and InferenceServices with goldwatch.dev/golden."
        ),
    ] = False,
    selector: Annotated[
        str, typer.Option(help="With --discover: only of those with these labels, such as team=search.")
    ] = "",
    lease: Annotated[
        str, typer.Option(help="The Lease whose holder acts among several replicas; without it each does.")
    ] = "",
    every: Annotated[float, typer.Option(min=1, max=300, help="Seconds between two looks at the agents.")] = 15,
    health_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of /healthz and /metrics.")] = 8080,
) -> None:
    """Turn Watches into the configs of agents, and write the agents' reports into their status."""
    from pydantic import ValidationError  # noqa: PLC0415

    from goldwatch.cluster.api import Api  # noqa: PLC0415
    from goldwatch.cluster.watches import read_defaults  # noqa: PLC0415
    from goldwatch.config import Lease  # noqa: PLC0415
    from goldwatch.log import set_up  # noqa: PLC0415

    try:
        from goldwatch.cluster.operator import Operator  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "kopf":
            raise
        fail(f"the operator needs kopf, which is not installed; {install_command('kopf')}")
    set_up("human", "info")
    try:
        shared = read_defaults(defaults) if defaults is not None else {}
        api = Api.in_cluster()
        held = Lease.model_validate({"name": lease}) if lease else None
        asked = selector if discover else None
        operating = Operator(api, namespace or [api.namespace], shared, every, discover=asked, lease=held)
        asyncio.run(operating.serve(health_port))
    except OSError as error:
        fail(f"--health-port: {error}")
    except ValidationError:
        fail(f'--lease: "{lease}" is not the name of a Lease; write small letters, digits and dashes, at most 63')
