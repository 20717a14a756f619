"""How the monitors alert, on simulated streams and real damage: `make bench-alerts`, or `python -m benchmarks.alerts`.

The simulation runs the monitors' own code: their bets, their bounds and the steps of their detectors, for many
streams at once. The tables go to docs/alerts-measured.md and the raw figures to benchmarks/results/alerts/. Seeds are
fixed.
"""

from __future__ import annotations

import os

# Set before numpy is imported: many small arrays are faster on one thread, and there is a process for each core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
