"""The table of docs/load.md: how many requests a percentile takes. `python -m goldwatch.core.early_stopping`."""

from __future__ import annotations

from goldwatch.core.latency import needed

_QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)
_OVER = (0, 1, 2, 5, 10)


def table() -> str:
    """Return the table in Markdown."""
    lines = [
        "| over the limit | " + " | ".join(f"p{100 * q:g}" for q in _QUANTILES) + " |",
        "|---" * (len(_QUANTILES) + 1) + "|",
    ]
    lines += [f"| {over} | " + " | ".join(f"{needed(over, q):,}" for q in _QUANTILES) + " |" for over in _OVER]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")  # noqa: T201
