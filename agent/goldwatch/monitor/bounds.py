"""Exact one-sided bounds on a rate, after Clopper and Pearson (1934).

A monitor's null is a bound from the reference replays, never the reference itself taken for the truth.
"""

from __future__ import annotations


def lower(successes: int, trials: int, error: float) -> float:
    """Bound the success rate from below; it is above the true rate with probability at most `error`.

    Solves P(Binomial(trials, bound) >= successes) = error. Raises ValueError for no trials or impossible counts.
    """
    _check(successes, trials, error)
    if successes == 0:
        return 0.0
    return _beta_quantile(successes, trials - successes + 1, error)


def upper(successes: int, trials: int, error: float) -> float:
    """Bound the success rate from above; it is below the true rate with probability at most `error`.

    Solves P(Binomial(trials, bound) <= successes) = error. Raises ValueError for no trials or impossible counts.
    """
    _check(successes, trials, error)
    if successes == trials:
        return 1.0
    # The upper quantile through the lower tail of the mirrored beta keeps the digits of a bound near 0.
    from scipy.special import betainccinv  # noqa: PLC0415 - a replay without a reference never needs scipy

    return float(betainccinv(successes + 1, trials - successes, error))


def _beta_quantile(a: float, b: float, probability: float) -> float:
    from scipy.special import betaincinv  # noqa: PLC0415 - as above

    return float(betaincinv(a, b, probability))


def _check(successes: int, trials: int, error: float) -> None:
    if trials < 1:
        raise ValueError("a bound on a rate needs at least one trial")
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials is impossible")
    if not 0 < error < 1:
        raise ValueError(f"the error of a bound lies between 0 and 1, not {error}")
