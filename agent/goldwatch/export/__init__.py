"""Exporters: the catalogue of metrics, and how a judgement reaches Prometheus and OpenTelemetry."""
