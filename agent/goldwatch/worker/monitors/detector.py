"""The one primitive of monitoring: a mixture Shiryaev-Roberts e-detector, in logarithms.

Every replay gives each bet j an e-value e_j, whose conditional mean is at most 1 while nothing has changed. Then
M_j <- e_j (M_j + 1), and the detector pages when sum_j w_j M_j >= 1/alpha and starts again from 0. Since
sum_j w_j M_j - t is a supermartingale, the expected number of false pages in any T replays is at most alpha T, restarts
included, whatever the dependence between replays (Shin, Ramdas and Rinaldo 2022, E-detectors).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goldwatch.core.budget import threshold_log10

FloatArray = NDArray[np.float64]

_VERSION = 1
_LN10 = math.log(10)


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """The memory of a detector: three read-only arrays of shape [bets].

    `log_m` is the natural log of the Shiryaev-Roberts sum. `log_run` is that of the largest product of e-values from
    any restart until now, and `started` the Unix time in seconds of that restart's first replay.
    """

    log_m: FloatArray
    log_run: FloatArray
    started: FloatArray

    def __post_init__(self) -> None:
        for array in (self.log_m, self.log_run, self.started):
            array.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """The result of one replay: `sums` to go on with, and `evidence` (log10, -inf for none) as it was before a restart.

    `best` is the bet that explains the data best, and `since` the time of the first replay of its best run.
    """

    sums: Sums
    evidence: float
    paged: bool
    best: int
    since: float


def grown(log_m: FloatArray, log_e: FloatArray, log_stake: float | FloatArray = 0.0) -> FloatArray:
    """Return the logs of the sums after one more replay; arrays [..., bets]."""
    return np.asarray(np.logaddexp(log_m, log_stake) + log_e, dtype=np.float64)


def total(log_m: FloatArray, log_weights: FloatArray) -> FloatArray:
    """Return the log of the weighted sum over bets [...], of arrays [..., bets]."""
    return np.asarray(np.logaddexp.reduce(log_m + log_weights, axis=-1), dtype=np.float64)


class Detector:
    """An e-detector over a fixed vector of bets. It holds no state: `update` takes the sums and returns new ones.

    `weights` [bets] are positive and are scaled to sum to 1; `parameters` are all the numbers that define the bets, by
    which saved sums of other bets are known and refused. Sums outlive a change of `alpha`: what was learned stays.
    Raises ValueError for an alpha outside (0, 1), or for weights that are not positive.
    """

    def __init__(self, weights: Sequence[float], alpha: float, parameters: Sequence[float]) -> None:
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
        if not weights or not all(0 < weight < math.inf for weight in weights):
            raise ValueError("a detector needs at least one bet, and positive weights")
        self.log_weights: FloatArray = np.log(np.asarray(weights, dtype=np.float64) / math.fsum(weights))
        self.threshold = threshold_log10(alpha)
        self._log_threshold = -math.log(alpha)
        # Twelve digits: an update of scipy that moves the last one of a bound must not cost the evidence.
        numbers = " ".join(f"{number:.12g}" for number in (*weights, *parameters))
        self._fingerprint = hashlib.sha256(numbers.encode()).hexdigest()[:16]

    def fresh(self) -> Sums:
        """Return the sums before the first replay."""
        bets = len(self.log_weights)
        return Sums(np.full(bets, -np.inf), np.full(bets, -np.inf), np.zeros(bets))

    def evidence(self, sums: Sums) -> float:
        """Return log10 of the weighted sum, -inf for none."""
        return self._log_total(sums.log_m) / _LN10

    def update(self, sums: Sums, log_e: FloatArray, at: float, *, log_stake: float | FloatArray = 0.0) -> Step:
        """Add one replay at Unix time `at` with the natural logs of its e-values [bets].

        `log_stake` is the log of what a run that starts now is staked with, for all bets or for each. Stakes of 1 give
        the e-detector; stakes that sum to at most 1 give an e-process, which passes 1/alpha *ever* with probability at
        most alpha (Ville). A bet without a stake, -inf, starts no run.
        """
        log_m = grown(sums.log_m, log_e, log_stake)
        restart = sums.log_run <= 0
        log_run = np.where(restart, 0.0, sums.log_run) + log_e
        started = np.where(restart, at, sums.started)
        log_total = self._log_total(log_m)
        best = int(np.argmax(log_run + self.log_weights))
        paged = log_total >= self._log_threshold
        after = self.fresh() if paged else Sums(log_m, log_run, started)
        return Step(after, log_total / _LN10, paged, best, float(started[best]))

    def save(self, sums: Sums) -> dict[str, object]:
        """Return the sums as a value that JSON can hold without loss; -inf, which it cannot, becomes null."""
        return {
            "version": _VERSION,
            "bets": self._fingerprint,
            "log_m": _encode(sums.log_m),
            "log_run": _encode(sums.log_run),
            "started": sums.started.tolist(),
        }

    def restore(self, saved: object) -> tuple[Sums, str | None]:
        """Return saved sums, or fresh ones and the reason why the saved ones were refused."""
        if not isinstance(saved, Mapping) or saved.get("version") != _VERSION:
            return self.fresh(), f"the saved evidence is not of version {_VERSION}"
        if saved.get("bets") != self._fingerprint:
            return self.fresh(), "the saved evidence belongs to another reference, tolerance or objective"
        bets = len(self.log_weights)
        arrays = [_decode(saved.get(field), bets) for field in ("log_m", "log_run", "started")]
        log_m, log_run, started = arrays
        if log_m is None or log_run is None or started is None:
            return self.fresh(), "the saved evidence is damaged"
        return Sums(log_m, log_run, started), None

    def _log_total(self, log_m: FloatArray) -> float:
        return float(total(log_m, self.log_weights))


def _encode(logs: FloatArray) -> list[float | None]:
    return [None if log == -math.inf else log for log in logs.tolist()]


def _decode(values: object, length: int) -> FloatArray | None:
    if not isinstance(values, list) or len(values) != length:
        return None
    if not all(value is None or (isinstance(value, int | float) and math.isfinite(value)) for value in values):
        return None
    return np.array([-math.inf if value is None else value for value in values], dtype=np.float64)
