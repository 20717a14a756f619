"""From the section `exporters.otlp` of the config to what pushes. Imports the SDK: only who pushes pays for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from goldwatch.config.sections import Otlp
from goldwatch.export.collector import Collector, NotInstalled
from goldwatch.export.otlp import OtlpExporter, Pushing, kubernetes

__all__ = ["NotInstalled", "otlp"]


def otlp(section: Otlp, failed: Callable[[str], None], lost: Callable[[str, int], None]) -> OtlpExporter:
    """Make the exporter of a section. Raises NotInstalled."""
    headers = {name: value.get_secret_value() for name, value in section.headers.items()}
    ca_file = Path(section.ca_file) if section.ca_file else None
    collector = Collector(section.endpoint, section.protocol, headers, ca_file)
    resource = kubernetes(os.environ)
    return OtlpExporter(collector, Pushing(section.every_s, resource, section.traces is not None, failed, lost))
