import math
import subprocess
import sys

import pytest

from goldwatch.core.budget import Budget, replays_per_year, threshold_log10


def test_one_false_alarm_a_year_over_four_monitors_at_five_minutes():
    budget = Budget(1, {"worse": 1, "failing": 1, "slow": 1, "drift": 1})
    assert replays_per_year(300) == 105_120
    assert math.log(1 / budget.alpha("worse", 300)) == pytest.approx(12.95, abs=0.005)
    assert threshold_log10(budget.alpha("worse", 300)) == pytest.approx(5.62, abs=0.005)


def test_the_shares_sum_to_the_budget():
    budget = Budget(2.5, {"worse": 3, "failing": 1, "slow": 0.5})
    assert math.fsum(budget.share(monitor) for monitor in budget.weights) == pytest.approx(2.5)
    assert budget.share("worse") == pytest.approx(6 * budget.share("slow"))


@pytest.mark.parametrize("interval", [0, -1, math.nan, math.inf])
def test_refuses_an_interval_that_is_none(interval):
    with pytest.raises(ValueError, match="positive number of seconds"):
        replays_per_year(interval)


def test_refuses_budgets_that_are_none():
    with pytest.raises(ValueError, match="a budget is a positive number"):
        Budget(0, {"worse": 1})
    with pytest.raises(ValueError, match="the weight of monitor 'worse' must be positive"):
        Budget(1, {"worse": 0})
    with pytest.raises(ValueError, match="ask for fewer, or replay more often"):
        Budget(365, {"worse": 1}).alpha("worse", 86_400)


def test_needs_no_numpy():
    code = "import sys, goldwatch.core.budget, goldwatch.core.judgement; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "agent"})
