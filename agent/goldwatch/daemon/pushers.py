"""Makes the OTLP exporter of the section `exporters.otlp`. Imports the SDK, so import it only to push."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from goldwatch.config.energy import Energy
from goldwatch.config.sections import MetricsLevel, Otlp
from goldwatch.energy.meter import Counting
from goldwatch.export.collector import Collector
from goldwatch.export.otlp import OtlpExporter, Pushing, identity, kubernetes


def otlp(
    section: Otlp,
    ledger: Path,
    energy: Energy | None,
    failed: Callable[[str], None],
    lost: Callable[[str, int], None],
    dropped: Callable[[int], None],
    level: MetricsLevel,
) -> OtlpExporter:
    """Make the exporter of a section, which also reads the counters of the meters in the section `energy`.

    The file of the ledger identifies the agent on its host. Raises GoldwatchError.
    """
    headers = {name: value.get_secret_value() for name, value in section.headers.items()}
    ca_file = Path(section.ca_file) if section.ca_file else None
    collector = Collector(section.endpoint, section.protocol, headers, ca_file)
    traces = section.traces is not None
    resource = kubernetes(os.environ) | identity(os.environ, platform.node(), ledger)
    pushing = Pushing(section.every_s, resource, traces, failed, lost, counting(energy), dropped, level)
    return OtlpExporter(collector, pushing)


def counting(energy: Energy | None) -> Sequence[Counting]:
    """Return the meters of a section that read counters of components; they are not open."""
    if energy is None or not energy.meters:
        return ()
    from goldwatch.daemon.metering import make  # noqa: PLC0415 - only who has meters pays for them

    return [meter for entry in energy.meters.values() if isinstance(meter := make(entry), Counting)]
