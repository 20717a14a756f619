"""One model: evidence, scores, slices, latency, throughput, energy, live traffic, tokens."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import FieldColorModeId

from goldwatch.export import catalogue as c
from goldwatch.export.metric import Metric

from dashboards import state
from dashboards.frame import choice, frame
from dashboards.panels import (
    About,
    AnyPanel,
    Column,
    Limits,
    bands,
    dashed,
    heat,
    matrix,
    number,
    rows,
    series,
    spread,
    states,
)
from dashboards.query import PAIR, Query, fresh, lost, moved, of, quantile, rate, worst

_NO_ENERGY = "the target is not metered: its section energy is empty"
_NO_PRICES = "the config states no prices"
_NO_LIVE = "no live traffic is tapped: the watch has no section live"
_NO_TOKENS = "no tokens: this is no language model, or its server does not count them"
_NO_JUDGE = "no score of the watch has a judge"
_BY_SCORE = "cluster, namespace, watch, target, score"
_PLAIN: Limits = ((None, "text"),)
_NO_SLICES = "the golden set names no slices"


def build() -> dashboard.Dashboard:
    """Return the dashboard. Rows that many models have no data for are closed."""
    found = frame("goldwatch-model", "One model under watch: is it what was validated?", all_of_them=False)
    found.with_variable(choice("score", f"label_values({of(c.SCORE)}, score)", every=True))
    found.with_panel(_verdicts()).with_panel(_evidence())
    found.with_row(dashboard.Row("Answers"))
    found.with_panel(_score()).with_panel(_flips()).with_panel(_moved()).with_panel(_distance())
    found.with_row(dashboard.Row("Slices and mistakes"))
    found.with_panel(_heat()).with_panel(_slices()).with_panel(_mistakes()).with_panel(_gap())
    found.with_row(dashboard.Row("Speed"))
    found.with_panel(_latency()).with_panel(_quantiles()).with_panel(_throughput()).with_panel(_outcomes())
    closed = {
        "Energy and cost": (_joules(), _shares(), _carbon(), _cost(), _metered()),
        "Live traffic": (_live(), _windows(), _window_age()),
        "Judges": (_judge_calls(), _judge_tokens(), _unscored(), _judge_people()),
        "Tokens": (_tokens(), _finished(), _first_token(), _next_tokens(), _token_gaps()),
    }
    for title, panels in closed.items():
        row = dashboard.Row(title)
        for panel in panels:
            row.with_panel(panel)
        found.with_row(row)
    return found


def _verdicts() -> AnyPanel:
    text = "The state of each monitor over time. Unknown is no good news."
    return states(About("Verdicts", text, "none"), Query(state.ranked("monitor"), "{{monitor}}"))


def _evidence() -> AnyPanel:
    text = (
        "The evidence of each monitor as a share of what the budget of false alarms makes it need. It alerts at 100 %."
    )
    share = f"max by (monitor) ({of(c.EVIDENCE)} / {of(c.EVIDENCE_THRESHOLD)})"
    about = About("Evidence", text, "percentunit", limits=((None, "green"), (1, "red")))
    return series(about, Query(f"clamp_max({share}, 2)", "{{monitor}}"), up_to=1.2)


def _score() -> AnyPanel:
    text = (
        "A score with its 95 % interval over examples, and its mean over the replays of the reference. For accuracy "
        "the limit is what the objective allows. Each score is on its own scale. The axis is not from zero; lines end "
        "where replays are not valid."
    )
    named = {"score": c.SCORE, "score low": c.SCORE_LOW, "score high": c.SCORE_HIGH, "reference": c.SCORE_REFERENCE}
    queries = [Query(fresh(_chosen_score(metric)), name) for name, metric in named.items()]
    headline = _chosen_score(c.SCORE_REFERENCE, "accuracy|agreement")
    limit = Query(f"{headline} - on {PAIR} {worst(c.OBJECTIVE, objective='accuracy_loss')}", "limit")
    about = About("$score", text, "none", 8, missing="no valid replay in this time range")
    panel = dashed(bands(series(about, *queries, limit, from_zero=False), "score"), reference="text", limit="red")
    return panel.repeat("score").repeat_direction("h").max_per_row(3)


def _chosen_score(metric: Metric, among: str = ".*") -> str:
    """Return a metric of the score that the panel is repeated for, if it is `among` some; of the worst replica."""
    each = of(metric)
    return f'min by {PAIR} ({each[:-1]}, score=~"$score", score=~"{among}"}})'


def _flips() -> AnyPanel:
    text = "Golden examples whose class differs from the reference. Harmful ones were right and are wrong now."
    queries = [
        Query(fresh(worst(c.EXAMPLES_FLIPPED, "cluster, namespace, watch, target, effect")), "{{effect}}"),
        Query(fresh(worst(c.EXAMPLES_MOVED)), "output moved"),
    ]
    missing = "no example changed, or none could be compared"
    return series(About("Examples that changed", text, "short", 8, missing=missing), *queries, up_to=5)


def _heat() -> AnyPanel:
    text = "The share of wrong answers in each slice over time: the hotter, the more. Empty where nothing is known."
    about = About("Wrong answers by slice", text, "percentunit", 24, missing=_NO_SLICES)
    right = fresh(worst(c.SLICE_RIGHT, "cluster, namespace, watch, target, slice, value"))
    return heat(about, Query(f"1 - ({right})", "{{slice}} = {{value}}"))


def _slices() -> AnyPanel:
    text = (
        "The slices that have lost most right answers since the reference, of those that the golden set names. A whole "
        "that holds can hide a slice that has fallen."
    )
    most = f"topk(15, max by (slice, value) ({lost()}))"
    named = {"right": c.SLICE_RIGHT, "reference": c.SLICE_REFERENCE, "examples": c.SLICE_EXAMPLES}
    queries = [Query(most, "lost")]
    queries += [
        Query(f"{worst(metric, 'slice, value')} and on (slice, value) {most}", name) for name, metric in named.items()
    ]
    columns = {"slice": Column("string"), "value": Column("string"), "lost": Column("short")}
    columns |= {"right": Column("percentunit"), "reference": Column("percentunit"), "examples": Column("short")}
    return rows(About("Slices that lost answers", text, "percentunit", missing=_NO_SLICES), queries, columns, "lost")


def _mistakes() -> AnyPanel:
    text = (
        "Mistakes of the last replay, ten at most, with examples that the reference answers rightly: rows are labels, "
        "columns the answers given instead, cells all examples with that mistake."
    )
    new = f"max by (label, answer) ({of(c.EXAMPLES_CONFUSED, label_not='')})"
    about = About("New mistakes", text, "short", missing="no new mistake, or the model is no classifier")
    panel = matrix(about, Query(new, "examples"), "label", "answer", missing="")
    return panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.CONTINUOUS_BLUES)).min(0)


def _gap() -> AnyPanel:
    text = (
        "The difference of a score between the values of a slice with the highest and the lowest mean, now and in the "
        "reference. In the units of the score, and only where the watch has an objective for it."
    )
    by = "cluster, namespace, watch, target, score, slice"
    queries = [
        Query(fresh(worst(c.SLICE_GAP, by)), "{{score}} by {{slice}}"),
        Query(fresh(worst(c.SLICE_GAP_REFERENCE, by)), "{{score}} by {{slice}}, reference"),
    ]
    about = About("Gap between values of a slice", text, "none", 24, missing="the watch has no objective `gap`")
    return series(about, *queries, up_to=0.1)


def _moved() -> AnyPanel:
    text = "Share of the compared examples with an output beyond the golden set's tolerance, right or wrong."
    about = About("Drift: outputs that moved", text, "percentunit", 8)
    return series(about, Query(fresh(moved()), "moved"), up_to=0.05)


def _distance() -> AnyPanel:
    text = (
        "Mean distance of the answers from the reference, and what the objective allows beyond what the reference "
        "varies by itself. Only where the watch has an objective for outputs."
    )
    queries = [
        Query(fresh(worst(c.OUTPUT_DISTANCE)), "distance"),
        Query(worst(c.OBJECTIVE, objective="outputs"), "objective"),
    ]
    missing = "the watch has no objective for outputs"
    about = About("Drift: distance from the reference", text, "percentunit", 8, missing=missing)
    return dashed(series(about, *queries), objective="red")


def _latency() -> AnyPanel:
    text = "Latency of answered golden requests of this watch and target, warm-up left out."
    query = Query(rate(c.REQUEST_LATENCY, "le"), "{{le}}", heatmap=True)
    return spread(About("Latency", text, "s", missing="no answered request"), query)


def _quantiles() -> AnyPanel:
    text = "Quantiles from the histogram, and the objective where there is one."
    objective = Query(f"{worst(c.OBJECTIVE_LATENCY)} < +Inf", "objective")
    queries = [Query(quantile(q, c.REQUEST_LATENCY), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)]
    about = About("Latency quantiles", text, "s", missing="no answered request")
    return dashed(series(about, *queries, objective), objective="red")


def _throughput() -> AnyPanel:
    text = "Answered examples per second within a replay. It follows from the load that the watch asks for."
    return series(About("Throughput", text, "reqps"), Query(fresh(worst(c.REPLAY_THROUGHPUT)), "examples"))


def _outcomes() -> AnyPanel:
    text = "The share of golden requests by how they ended, over three intervals."
    share = f"{rate(c.REQUESTS, 'outcome')} / scalar({rate(c.REQUESTS, '')})"
    return series(About("Requests by outcome", text, "percentunit"), Query(f"{share} > 0", "{{outcome}}"), up_to=1)


def _live() -> AnyPanel:
    text = (
        "Live requests by their fate, as shares of all. Refused and sampled-out ones are only counted. Unreadable is "
        "the share of rows that could not be read."
    )
    fates = f"{rate(c.LIVE_REQUESTS, 'fate')} / scalar({rate(c.LIVE_REQUESTS, '')})"
    unread = f"{rate(c.LIVE_ROWS, '', read='no')} / {rate(c.LIVE_ROWS, '')}"
    queries = [Query(fates, "{{fate}}"), Query(unread, "unreadable")]
    return series(About("Drift: live requests", text, "percentunit", missing=_NO_LIVE), *queries, up_to=1)


def _windows() -> AnyPanel:
    text = "The evidence that live rows have moved from the reference, as a share of what an alert needs."
    share = f"max({of(c.EVIDENCE, monitor='drift')} / {of(c.EVIDENCE_THRESHOLD, monitor='drift')})"
    about = About(
        "Drift: windows of live rows", text, "percentunit", 8, ((None, "green"), (1, "red")), missing=_NO_LIVE
    )
    return series(about, Query(f"clamp_max({share}, 2)", "evidence"), up_to=1.2)


def _window_age() -> AnyPanel:
    text = "How long ago the last window of live rows began."
    query = Query(f"time() - {worst(c.LIVE_WINDOW_TIMESTAMP)}", "age")
    return number(About("Age of the live window", text, "s", 4, _PLAIN), query)


def _joules() -> AnyPanel:
    text = "Joules of one inference with their 95 % interval: gross, and net of the idle power before the load."
    named = {"": c.ENERGY_INFERENCE, " low": c.ENERGY_INFERENCE_LOW, " high": c.ENERGY_INFERENCE_HIGH}
    queries = [Query(worst(metric, "part"), f"{{{{part}}}}{name}") for name, metric in named.items()]
    most = Query(f"max({of(c.OBJECTIVE_ENERGY, per='inference')})", "objective")
    about = About("Energy of an inference", text, "joule", missing=_NO_ENERGY)
    return dashed(bands(series(about, *queries, most), "gross", "net"), objective="red")


def _shares() -> AnyPanel:
    text = "Gross joules of a right answer, which an inference over the accuracy is, and of an output token."
    queries = [
        Query(f"max({of(metric, part='gross')})", name)
        for metric, name in ((c.ENERGY_RIGHT_ANSWER, "right answer"), (c.ENERGY_OUTPUT_TOKEN, "output token"))
    ]
    stated = of(c.OBJECTIVE_ENERGY, per_not="inference")
    queries.append(Query(f"max by (per) ({stated})", "objective of the {{per}}"))
    return series(About("Energy of a right answer", text, "joule", missing=_NO_ENERGY), *queries)


def _carbon() -> AnyPanel:
    text = "Grams of CO2e of the gross energy, by the intensity of the grid at that hour."
    return series(
        About("Carbon", text, "massg", 8, missing=_NO_ENERGY),
        *_of_each(c.CARBON_INFERENCE, c.CARBON_RIGHT_ANSWER, c.CARBON_OUTPUT_TOKEN),
    )


def _cost() -> AnyPanel:
    text = "Cost of 10,000 inferences, right answers and output tokens by the prices of the config, in its currency."
    metrics = (c.COST_INFERENCE, c.COST_RIGHT_ANSWER, c.COST_OUTPUT_TOKEN)
    most = Query(f"10000 * max by (per, currency) ({of(c.OBJECTIVE_COST)})", "objective of the {{per}} ({{currency}})")
    return series(
        About("Cost of 10,000", text, "short", 8, missing=_NO_PRICES),
        *_of_each(*metrics, times=10_000, by="currency"),
        most,
    )


def _of_each(*metrics: Metric, times: int = 1, by: str = "") -> list[Query]:
    factor, legend = f"{times} * " if times > 1 else "", f" ({{{{{by}}}}})" if by else ""
    names = ("inference", "right answer", "output token")
    return [Query(f"{factor}max by ({by}) ({of(m)})", f"{n}{legend}") for m, n in zip(metrics, names, strict=True)]


def _metered() -> AnyPanel:
    text = "How long ago energy was last measured. It takes more load than a replay, so seldom."
    return number(
        About("Age of the measurement", text, "s", 8, _PLAIN), Query(f"time() - max({of(c.ENERGY_TIMESTAMP)})", "age")
    )


def _judge_calls() -> AnyPanel:
    text = "Answers an hour that the judge of each score was to grade: graded by a call, graded before, or failed."
    calls = f"3600 * {rate(c.JUDGE_CALLS, 'score, call')}"
    return series(
        About("Judge: answers an hour", text, "short", 8, missing=_NO_JUDGE), Query(calls, "{{score}} {{call}}")
    )


def _judge_tokens() -> AnyPanel:
    text = "Tokens an hour of the calls to the judge of each score, as its server counts them: what judging costs."
    tokens = f"3600 * {rate(c.JUDGE_TOKENS, 'score, type')}"
    return series(
        About("Judge: tokens an hour", text, "short", 8, missing=_NO_JUDGE), Query(tokens, "{{score}} {{type}}")
    )


def _judge_people() -> AnyPanel:
    text = (
        "How the judge of each score compared with people on the same answers when the reference was taken: agreement, "
        "kappa, and the shares of bad ones called good and of good ones called bad."
    )
    queries = [
        Query(fresh(worst(c.JUDGE_AGREEMENT, _BY_SCORE)), "{{score}} agreement"),
        Query(fresh(worst(c.JUDGE_KAPPA, _BY_SCORE)), "{{score}} kappa"),
        Query(fresh(worst(c.JUDGE_FALSE, f"{_BY_SCORE}, called")), "{{score}} wrongly {{called}}"),
    ]
    about = About("Judge and people", text, "percentunit", 24, missing="people have graded no answer of the set")
    return series(about, *queries)


def _unscored() -> AnyPanel:
    text = "Answers an hour without a value of a score, by reason. Above a tenth of a replay the score is unknown."
    found = f"3600 * {rate(c.SCORE_UNSCORED, 'score, reason')}"
    about = About("Unscored answers an hour", text, "short", 8, missing="the watch names no scores")
    return series(about, Query(found, "{{score}} {{reason}}"))


def _tokens() -> AnyPanel:
    text = "Tokens per answer, as the server counts them. A step means that answers, or prompts, grew or shrank."
    each = f"{rate(c.TOKENS, 'type')} / scalar({rate(c.ANSWERS_FINISHED, '')})"
    return series(About("Tokens of an answer", text, "short", missing=_NO_TOKENS), Query(each, "{{type}}"))


def _first_token() -> AnyPanel:
    text = "From sending a request to the first text of its answer, reasoning included; only where it is known."
    queries = [Query(quantile(q, c.FIRST_TOKEN), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)]
    return series(About("Time to the first token", text, "s", missing=_NO_TOKENS), *queries)


def _next_tokens() -> AnyPanel:
    text = "Mean time between the tokens of an answer; only where it is known."
    queries = [Query(quantile(q, c.OUTPUT_TOKEN), f"p{q * 100:g}") for q in (0.5, 0.9, 0.99)]
    return series(About("Time of each next token", text, "s", missing=_NO_TOKENS), *queries)


def _token_gaps() -> AnyPanel:
    text = (
        "Time between pieces of text of an answer, where it is known, and the longest in a replay: a stall shows here."
    )
    queries = [Query(quantile(q, c.TOKEN_GAP), f"p{q * 100:g}") for q in (0.5, 0.99)]
    longest = Query(f"max({of(c.LONGEST_TOKEN_GAP)})", "longest")
    return series(About("Gaps between tokens", text, "s", missing=_NO_TOKENS), *queries, longest)


def _finished() -> AnyPanel:
    text = "The share of answers by why the model stopped. More that end by length are cut off."
    share = f"{rate(c.ANSWERS_FINISHED, 'finish')} / scalar({rate(c.ANSWERS_FINISHED, '')})"
    about = About("Why answers end", text, "percentunit", missing=_NO_TOKENS)
    return series(about, Query(share, "{{finish}}"), up_to=1)
