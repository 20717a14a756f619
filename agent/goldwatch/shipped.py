"""Dashboards, rules and runbooks: files that ship with the code, in a wheel as package data."""

from __future__ import annotations

from pathlib import Path


def shipped(folder: str) -> Path:
    """Return one of the shipped folders: `json`, `rules`, `runbooks`, ..."""
    inside = Path(__file__).parent / "shipped" / folder
    return inside if inside.exists() else Path(__file__).parents[2] / "dashboards" / folder
