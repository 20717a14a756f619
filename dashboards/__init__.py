"""Grafana dashboards as code, with Grafana's own foundation SDK. `python -m dashboards` writes dashboards/json/."""
