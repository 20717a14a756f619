"""One model: evidence, scores, latency, throughput, and what it said that it is."""

from __future__ import annotations

from collections.abc import Mapping

from grafana_foundation_sdk.builders import dashboard

from goldwatch.export import catalogue as c
from goldwatch.export.metric import Metric

from dashboards.frame import frame
from dashboards.panels import About, AnyPanel, rows, series, spread, states
from dashboards.query import Query, lost, moved, of, quantile, rate, worst


def build() -> dashboard.Dashboard:
    """Return the dashboard."""
    found = frame("goldwatch-model", "One model under watch: is it what was validated?", all_of_them=False)
    found.with_panel(_verdicts()).with_panel(_evidence())
    found.with_row(dashboard.Row("Answers"))
    found.with_panel(_scores()).with_panel(_flips())
    found.with_panel(_slices()).with_panel(_slices_over_time())
    found.with_panel(_moved()).with_panel(_distance())
    found.with_row(dashboard.Row("Speed"))
    found.with_panel(_latency()).with_panel(_quantiles()).with_panel(_throughput()).with_panel(_outcomes())
    found.with_row(dashboard.Row("Energy and cost, where the config asks for them"))
    found.with_panel(_joules()).with_panel(_shares()).with_panel(_carbon()).with_panel(_cost()).with_panel(_metered())
    found.with_row(dashboard.Row("Live traffic, where the config taps it"))
    found.with_panel(_live()).with_panel(_windows())
    found.with_row(dashboard.Row("Tokens, of language models"))
    found.with_panel(_tokens()).with_panel(_first_token()).with_panel(_next_tokens()).with_panel(
        _token_gaps()
    ).with_panel(_finished())
    return found


def _verdicts() -> AnyPanel:
    text = "What each monitor says. Alerting is red; unknown is no good news."
    queries = [
        Query(f"max by (monitor) ({of(c.VERDICT, state='alerting')})", "{{monitor}} alerting"),
        Query(f"max by (monitor) ({of(c.VERDICT, state='unknown')})", "{{monitor}} unknown"),
    ]
    return states(About("Verdicts", text, "bool_yes_no", 12, ((None, "green"), (1, "red"))), *queries)


def _evidence() -> AnyPanel:
    text = "log10 of each monitor's e-value, and the threshold that the budget of false alarms gives it."
    queries = [
        Query(f"max by (monitor) ({of(c.EVIDENCE)})", "{{monitor}}"),
        Query(f"max by (monitor) ({of(c.EVIDENCE_THRESHOLD)})", "{{monitor}}: alert"),
    ]
    return series(About("Evidence against threshold", text, "short"), *queries)


def _scores() -> AnyPanel:
    text = "Each score with its 95 % interval over examples, and its mean over the replays of the reference."
    named = {"": c.SCORE, " low": c.SCORE_LOW, " high": c.SCORE_HIGH, " reference": c.SCORE_REFERENCE}
    return series(About("Scores", text, "percentunit"), *_each("score", named))


def _each(label: str, named: Mapping[str, Metric]) -> list[Query]:
    """Query metrics by a label, each under its value and what it is `named` behind that."""
    return [Query(f"max by ({label}) ({of(metric)})", f"{{{{{label}}}}}{name}") for name, metric in named.items()]


def _flips() -> AnyPanel:
    text = "Golden examples whose class differs from the reference. Harmful ones were right and are wrong now."
    queries = [
        Query(f"max by (effect) ({of(c.EXAMPLES_FLIPPED)})", "{{effect}}"),
        Query(f"max({of(c.EXAMPLES_MOVED)})", "output moved"),
    ]
    limits = ((None, "green"), (1, "orange"))
    return series(About("Examples that changed", text, "short", 12, limits), *queries)


def _slices() -> AnyPanel:
    text = (
        "The slices that have lost most right answers since the reference, of those that the golden set names. A whole "
        "that holds can hide a slice that has fallen."
    )
    most = f"topk(15, max by (slice, value) ({lost()}))"
    named = {"right": c.SLICE_RIGHT, "reference": c.SLICE_REFERENCE, "examples": c.SLICE_EXAMPLES}
    queries = [
        Query(most, "lost"),
        *(
            Query(f"max by (slice, value) ({of(metric)}) and on (slice, value) {most}", name)
            for name, metric in named.items()
        ),
    ]
    units = {"lost": "short", "right": "percentunit", "reference": "percentunit", "examples": "short"}
    return rows(About("Slices", text, "percentunit"), queries, units, "lost")


def _slices_over_time() -> AnyPanel:
    text = "The share of right answers in the slices that have the fewest. One that falls alone names the cause."
    query = Query(f"bottomk(5, max by (slice, value) ({of(c.SLICE_RIGHT)}))", "{{slice}} = {{value}}")
    return series(About("Weakest slices", text, "percentunit"), query)


def _moved() -> AnyPanel:
    text = "Share of the compared examples with an output beyond the golden set's tolerance, right or wrong."
    limits = ((None, "green"), (0.01, "orange"))
    return series(About("Drift: outputs that moved", text, "percentunit", 12, limits), Query(moved(), "moved"))


def _distance() -> AnyPanel:
    text = (
        "Mean distance of the answers from the reference, and what the objective allows beyond what the reference "
        "varies by itself. Only where the watch has an objective for outputs."
    )
    queries = [
        Query(worst(c.OUTPUT_DISTANCE), "distance"),
        Query(worst(c.OBJECTIVE, objective="outputs"), "objective"),
    ]
    return series(About("Drift: distance from the reference", text, "percentunit"), *queries)


def _latency() -> AnyPanel:
    text = "Latency of answered golden requests of this watch and target, warm-up left out."
    query = Query(rate(c.REQUEST_LATENCY, "le"), "{{le}}", heatmap=True)
    return spread(About("Latency", text, "s"), query)


def _quantiles() -> AnyPanel:
    text = "Quantiles from the histogram, and the objective where there is one."
    objective = f"{worst(c.OBJECTIVE_LATENCY)} < +Inf"
    queries = [Query(quantile(q, c.REQUEST_LATENCY), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)]
    return series(About("Latency quantiles", text, "s"), *queries, Query(objective, "objective"))


def _throughput() -> AnyPanel:
    text = "Answered examples per second within a replay. It follows from the load that the watch asks for."
    return series(About("Throughput", text, "reqps"), Query(worst(c.REPLAY_THROUGHPUT), "examples"))


def _outcomes() -> AnyPanel:
    text = "Golden requests per second by how they ended."
    return series(About("Requests by outcome", text, "reqps"), Query(rate(c.REQUESTS, "outcome"), "{{outcome}}"))


def _live() -> AnyPanel:
    text = (
        "Live requests per second by what became of them. Those that are refused or sampled out are only "
        "counted; unreadable ones could not be made rows of."
    )
    queries = [
        Query(rate(c.LIVE_REQUESTS, "fate"), "{{fate}}"),
        Query(rate(c.LIVE_ROWS, "read", read="no"), "unreadable"),
    ]
    return series(About("Drift: live requests", text, "reqps"), *queries)


def _windows() -> AnyPanel:
    text = (
        "How old the last window of live rows is, and the evidence that they have moved from the reference, as a share "
        "of what an alert needs."
    )
    evidence, threshold = of(c.EVIDENCE, monitor="drift"), of(c.EVIDENCE_THRESHOLD, monitor="drift")
    queries = [
        Query(f"(time() - {worst(c.LIVE_WINDOW_TIMESTAMP)}) / 3600", "hours since the last window began"),
        Query(f"max({evidence}) / max({threshold})", "evidence, 1 alerts"),
    ]
    return series(About("Drift: windows of live rows", text, "short"), *queries)


def _joules() -> AnyPanel:
    text = "Joules of one inference with their 95 % interval: gross, and net of the idle power before the load."
    named = {"": c.ENERGY_INFERENCE, " low": c.ENERGY_INFERENCE_LOW, " high": c.ENERGY_INFERENCE_HIGH}
    most = Query(f"max({of(c.OBJECTIVE_ENERGY, per='inference')})", "objective")
    return series(About("Energy of an inference", text, "joule"), *_each("part", named), most)


def _shares() -> AnyPanel:
    text = "Gross joules of a right answer, which an inference over the accuracy is, and of an output token."
    queries = [
        Query(f"max({of(metric, part='gross')})", name)
        for metric, name in ((c.ENERGY_RIGHT_ANSWER, "right answer"), (c.ENERGY_OUTPUT_TOKEN, "output token"))
    ]
    stated = of(c.OBJECTIVE_ENERGY, per_not="inference")
    queries.append(Query(f"max by (per) ({stated})", "objective of the {{per}}"))
    return series(About("Energy of a right answer", text, "joule"), *queries)


def _carbon() -> AnyPanel:
    text = "Grams of CO2e of the gross energy, by the intensity of the grid at that hour."
    return series(
        About("Carbon", text, "massg", 8), *_of_each(c.CARBON_INFERENCE, c.CARBON_RIGHT_ANSWER, c.CARBON_OUTPUT_TOKEN)
    )


def _cost() -> AnyPanel:
    text = "Cost of 10,000 inferences, right answers and output tokens by the prices of the config, in its currency."
    metrics = (c.COST_INFERENCE, c.COST_RIGHT_ANSWER, c.COST_OUTPUT_TOKEN)
    most = Query(f"10000 * max by (per, currency) ({of(c.OBJECTIVE_COST)})", "objective of the {{per}} ({{currency}})")
    return series(About("Cost of 10,000", text, "short", 8), *_of_each(*metrics, times=10_000, by="currency"), most)


def _of_each(*metrics: Metric, times: int = 1, by: str = "") -> list[Query]:
    factor, legend = f"{times} * " if times > 1 else "", f" ({{{{{by}}}}})" if by else ""
    names = ("inference", "right answer", "output token")
    return [Query(f"{factor}max by ({by}) ({of(m)})", f"{n}{legend}") for m, n in zip(metrics, names, strict=True)]


def _metered() -> AnyPanel:
    text = "How long ago energy was last measured. It takes more load than a replay, so seldom."
    query = Query(f"time() - max({of(c.ENERGY_TIMESTAMP)})", "measured")
    return series(About("Age of the measurement", text, "s", 8), query)


def _tokens() -> AnyPanel:
    text = "Tokens per second of golden requests, as the server counts them. A step means that answers grew or shrank."
    return series(About("Tokens", text, "short"), Query(rate(c.TOKENS, "type"), "{{type}}"))


def _first_token() -> AnyPanel:
    text = "From sending a request to the first text of its answer, reasoning included; only where it is known."
    queries = [Query(quantile(q, c.FIRST_TOKEN), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)]
    return series(About("Time to the first token", text, "s"), *queries)


def _next_tokens() -> AnyPanel:
    text = "Mean time between the tokens of an answer; only where it is known."
    queries = [Query(quantile(q, c.OUTPUT_TOKEN), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)]
    return series(About("Time of each next token", text, "s"), *queries)


def _token_gaps() -> AnyPanel:
    text = (
        "Time between pieces of text of an answer, where it is known, and the longest in a replay: a stall shows here."
    )
    queries = [Query(quantile(q, c.TOKEN_GAP), f"p{q * 100:g}") for q in (0.5, 0.99)]
    longest = Query(f"max({of(c.LONGEST_TOKEN_GAP)})", "longest")
    return series(About("Gaps between tokens", text, "s"), *queries, longest)


def _finished() -> AnyPanel:
    text = "Answers per second by why the model stopped. More that end by length are cut off."
    return series(About("Why answers end", text, "reqps"), Query(rate(c.ANSWERS_FINISHED, "finish"), "{{finish}}"))
