"""Causes of alerts as Prometheus sees them: the series of each before it, meanwhile, and after its end.

Each phase has a length in minutes. Before a cause begins, all is well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BEFORE = 10
"""Minutes in which all is well."""

LONG = 600
"""Longer than any cause is watched after its end."""

Phase = tuple[str | None, int]
"""A sample in promtool's notation, such as 1 or 0+5 (None: no sample), and for how many minutes."""


@dataclass(frozen=True)
class Cause:
    """A cause, its series, and the alerts that it must open, each with what ends it.

    It begins after `begins` minutes, lasts for `lasts`, and is watched for `after` minutes more. `held` are alerts that
    are open before. `step` is the number of minutes between samples, and between evaluations.
    """

    text: str
    alerts: Mapping[str, str]
    series: Mapping[str, tuple[Phase, ...]]
    begins: int = BEFORE
    lasts: int = 60
    after: int = 30
    held: tuple[str, ...] = ()
    step: int = 1


W = 'watch="fraud", target="eu"'


def agent(name: str) -> str:
    """Return the labels that a scrape adds."""
    return f'namespace="ml", job="goldwatch", instance="{name}:9870"'


A, B = agent("a"), agent("b")
INTERVAL = f"goldwatch_watch_interval_seconds{{{W}, {A}}}"
INTERVAL_B = INTERVAL.replace("a:9870", "b:9870")
OTHER_B = INTERVAL_B.replace("fraud", "other")
UP, UP_B = f"up{{{A}}}", f"up{{{B}}}"
DUE = f"goldwatch_replay_next_timestamp_seconds{{{W}, {A}}}"


def phases(before: str | None, during: str | None, after: str | None, lasts: int = 60) -> tuple[Phase, ...]:
    """Return a series that changes as a cause begins and ends."""
    return ((before, BEFORE), (during, lasts), (after, LONG))


def active(severity: str, monitor: str, instance: str = A) -> str:
    """Return the series of an open alert; an empty monitor is that of no alert."""
    return f'goldwatch_alert_active{{{W}, {instance}, severity="{severity}", monitor="{monitor}"}}'


def opened(severity: str, monitor: str) -> dict[str, tuple[Phase, ...]]:
    """Return an alert that the agent opens as the cause begins, and closes as it ends."""
    return {
        INTERVAL: phases("300", "300", "300"),
        active(severity, monitor): phases(None, "1", None),
        active(severity, ""): phases("0", None, "0"),
    }


def leader(instance: str) -> str:
    return f'goldwatch_leader{{{instance}, lease="fraud"}}'


def replays(validity: str) -> str:
    return f'goldwatch_replays_total{{{W}, {A}, validity="{validity}"}}'


def late(share: float, lasts: int, history: int, step: int) -> dict[str, tuple[Phase, ...]]:
    """Return 100 requests a sample; after a history of none, a share of them is slower than an objective of 1 %."""
    done = f"{100 * share * lasts / step:g}"
    whole = BEFORE + history + lasts + LONG
    return {
        INTERVAL: (("300", whole),),
        f'goldwatch_objective_ratio{{{W}, {A}, objective="latency"}}': (("0.01", whole),),
        f'goldwatch_requests_total{{{W}, {A}, outcome="ok"}}': (("0+100", whole),),
        f"goldwatch_requests_late_total{{{W}, {A}}}": (
            ("0", BEFORE + history),
            (f"0+{100 * share:g}", lasts),
            (done, LONG),
        ),
    }


def controller(component: str, instance: str = "o") -> str:
    """Return the labels that a scrape adds to the metrics of an operator or a webhook."""
    return f'namespace="ml", job="ml/goldwatch-{component}", instance="{instance}:8080"'


OPERATOR, HOOK = controller("operator"), controller("webhook", "w")
RUNS = f'goldwatch_controller_info{{component="operator", version="1", {OPERATOR}}}'
HOOK_RUNS = f'goldwatch_controller_info{{component="webhook", version="1", {HOOK}}}'
DONE = f'goldwatch_reconcile_success_timestamp_seconds{{model_namespace="ml", {OPERATOR}}}'


def errors(reason: str) -> str:
    return f'goldwatch_reconcile_errors_total{{model_namespace="ml", reason="{reason}", {OPERATOR}}}'


WELL = {
    RUNS: phases("1", "1", "1"),
    DONE: (("0+60", LONG),),
    errors("internal"): (("0", LONG),),
    INTERVAL: (("300", LONG),),
}
"""An operator that does its work, next to an agent."""


def watches(reason: str) -> str:
    return f'goldwatch_watches{{model_namespace="ml", reason="{reason}", {OPERATOR}}}'


CAUSES = [
    Cause(
        "A monitor that pages alerts: the model is worse, fails, or is slow",
        {"GoldwatchPage": "the agent reports the recovery"},
        opened("page", "worse"),
    ),
    Cause(
        "A monitor that opens tickets alerts, such as *drift*; or no replay is valid for three intervals (*silent*)",
        {"GoldwatchTicket": "the agent reports the recovery"},
        opened("ticket", "drift"),
    ),
    Cause(
        "The agent dies while a page is open",
        {"GoldwatchPage": "an agent has replayed, and the model is well", "GoldwatchAgentGone": "the agent answers"},
        {
            UP: phases("1", "0", "1"),
            INTERVAL: phases("300", None, "300"),
            active("page", "worse"): phases("1", None, None),
            active("page", ""): phases(None, None, "0"),
        },
        held=("GoldwatchPage",),
    ),
    Cause(
        "A pod with an open page is replaced; the new agent finds the same",
        {"GoldwatchPage": "the agent reports the recovery"},
        {
            UP: phases("1", None, None),
            UP_B: phases(None, "1", "1"),
            INTERVAL: phases("300", None, None),
            INTERVAL_B: phases(None, "300", "300"),
            active("page", "worse"): phases("1", None, None),
            active("page", "worse", B): ((None, BEFORE + 5), ("1", 55), (None, LONG)),
            active("page", "", B): phases(None, None, "0"),
        },
        held=("GoldwatchPage",),
    ),
    Cause(
        "A replica with an open page loses the lease; the next one finds the model well",
        {"GoldwatchPage": "the next leader has replayed"},
        {
            leader(A): phases("1", "0", "0"),
            leader(B): phases("0", "1", "1"),
            INTERVAL: phases("300", None, None),
            INTERVAL_B: phases(None, "300", "300"),
            active("page", "worse"): phases("1", None, None),
            active("page", "", B): phases(None, None, "0"),
        },
        held=("GoldwatchPage",),
    ),
    Cause(
        "An agent crashes, and service discovery still lists it",
        {"GoldwatchAgentGone": "the agent answers"},
        {UP: phases("1", "0", "1"), INTERVAL: phases("300", None, "300")},
    ),
    Cause(
        "An agent never answered, and every other target of its job is an agent",
        {"GoldwatchAgentGone": "the agent answers"},
        {UP: phases(None, "0", "1"), UP_B: phases("1", "1", "1"), INTERVAL_B: phases("300", "300", "300")},
    ),
    Cause(
        "An agent leaves service discovery (its pod is deleted or scaled to 0), and no other has its watches",
        {"GoldwatchWatchMissing": "an agent has the watch"},
        {
            UP: phases("1", None, "1"),
            UP_B: phases("1", "1", "1"),
            INTERVAL: phases("300", None, "300"),
            OTHER_B: phases("300", "300", "300"),
        },
    ),
    Cause(
        "One of several sidecars with the same watch, every 5 minutes, is stuck and does not notice",
        {"GoldwatchNotReplaying": "the watch replays"},
        {
            INTERVAL: phases("300", "300", "300"),
            INTERVAL_B: phases("300", "300", "300"),
            DUE: (("300+60", BEFORE), ("900", 60), ("4500+60", LONG)),
            DUE.replace("a:9870", "b:9870"): (("300+60", LONG),),
        },
    ),
    Cause(
        "Several replicas run, and none can take the lease",
        {"GoldwatchNobodyLeads": "a replica leads"},
        {
            leader(A): phases("1", "0", "1"),
            leader(B): phases("0", "0", "0"),
            UP: phases("1", "1", "1"),
            UP_B: phases("1", "1", "1"),
            INTERVAL: phases("300", None, "300"),
        },
    ),
    Cause(
        "A new agent (`run --patient`) refuses its config, and watches nothing",
        {"GoldwatchConfigRejected": "a config is in force"},
        {
            f"goldwatch_config_last_reload_successful{{{A}}}": phases(None, "0", "1"),
            UP: phases(None, "1", "1"),
            UP_B: phases("1", "1", "1"),
            INTERVAL: phases(None, None, "300"),
            OTHER_B: phases("300", "300", "300"),
        },
    ),
    Cause(
        "A reload of the config is refused",
        {"GoldwatchConfigRejected": "a config is in force"},
        {
            INTERVAL: phases("300", "300", "300"),
            f"goldwatch_config_last_reload_successful{{{A}}}": phases("1", "0", "1"),
        },
    ),
    Cause(
        "All replays are invalid, one every 5 minutes; two hours were well",
        {"GoldwatchInvalidReplays": "half of the last six hours are valid"},
        {
            INTERVAL: (("300", 1200),),
            replays("valid"): (("0+1", 120), ("24", 480), ("24+1", LONG)),
            replays("invalid"): (("0", 120), ("0+1", 480), ("96", LONG)),
        },
        begins=120,
        lasts=480,
        after=500,
        step=5,
    ),
    Cause(
        "An agent with 50 watches every 2 seconds can carry half of them",
        {"GoldwatchAgentSaturated": "no more than a tenth of an hour's replays are skipped"},
        {
            INTERVAL: phases("300", "300", "300"),
            replays("valid"): (("0+750", BEFORE), (f"{750 * BEFORE}+750", 120), (f"{750 * (BEFORE + 120)}+1500", LONG)),
            f'goldwatch_replays_skipped_total{{{W}, {A}, reason="waiting"}}': (
                ("0", BEFORE),
                ("750+750", 120),
                ("90000", LONG),
            ),
        },
        lasts=120,
        after=120,
    ),
    Cause(
        "Replays fail in goldwatch itself, or its disk is full",
        {"GoldwatchInternalErrors": "an hour without an error"},
        {
            INTERVAL: phases("300", "300", "300"),
            f'goldwatch_replays_skipped_total{{{W}, {A}, reason="internal_error"}}': (
                ("0", BEFORE),
                ("1+0.2", 60),
                ("13", LONG),
            ),
        },
        after=90,
    ),
    Cause(
        "An OpenTelemetry collector takes nothing",
        {"GoldwatchPushesFail": "15 minutes of pushes arrive"},
        {
            INTERVAL: phases("300", "300", "300"),
            f'goldwatch_pushes_failed_total{{{A}, signal="metrics"}}': (("0", BEFORE), ("1+1", 60), ("60", LONG)),
        },
    ),
    Cause(
        "Every golden request is slower than the latency objective, and *slow* does not alert",
        {"GoldwatchLatencyBurnFast": "requests are fast again", "GoldwatchLatencyBurnSlow": "requests are fast again"},
        late(1.0, 120, 4320, 5),
        begins=BEFORE + 4320,
        lasts=120,
        after=500,
        step=5,
    ),
    Cause(
        "4 % of the golden requests are slower than an objective that allows 1 %",
        {"GoldwatchLatencyBurnSlow": "requests are fast again"},
        late(0.04, 1440, 4320, 5),
        begins=BEFORE + 4320,
        lasts=1440,
        after=500,
        step=5,
    ),
    Cause(
        "Scrapes of an agent with an open page fail for four minutes",
        {"GoldwatchPage": "the agent reports the recovery"},
        {
            UP: phases("1", "0", "1", 4),
            INTERVAL: phases("300", None, "300", 4),
            active("page", "worse"): (("1", BEFORE), (None, 4), ("1", 56), (None, LONG)),
            active("page", ""): phases(None, None, "0"),
        },
        held=("GoldwatchPage",),
    ),
    Cause(
        "The operator, or the webhook, has no replica that answers",
        {"GoldwatchControllerGone": "a replica answers"},
        WELL | {HOOK_RUNS: phases("1", None, "1")},
    ),
    Cause(
        "Pods start while the webhook is away, and are restarted after it",
        {"GoldwatchPodsWithoutSidecar": "the pods have their sidecars"},
        WELL | {f'goldwatch_pods_without_sidecar{{model_namespace="ml", {OPERATOR}}}': phases("0", "3", "0")},
    ),
    Cause(
        "The annotation of a pod cannot be followed",
        {"GoldwatchInjectionRefused": "an hour without such a pod"},
        WELL
        | {
            HOOK_RUNS: phases("1", "1", "1"),
            f'goldwatch_webhook_reviews_total{{result="refused", {HOOK}}}': (("0", BEFORE), ("1", LONG)),
        },
        lasts=1,
        after=90,
    ),
    Cause(
        "A Watch does not fit the config, or uses what the policy does not allow",
        {"GoldwatchWatchesRefused": "the Watch is corrected"},
        WELL | {watches("Accepted"): phases("2", "1", "2"), watches("NotAllowed"): phases(None, "1", None)},
    ),
    Cause(
        "The operator's role is lost: it may not write ConfigMaps",
        {"GoldwatchOperatorForbidden": "10 minutes without a refusal"},
        WELL
        | {
            errors("forbidden"): (("0", BEFORE), ("2+2", 60), ("122", LONG)),
            watches("NotWritten"): phases(None, "2", None),
        },
    ),
    Cause(
        "The API server does not answer the operator",
        {"GoldwatchReconcilesFail": "10 minutes without an error, or the namespace is reconciled"},
        WELL
        | {
            errors("unreachable"): (("0", BEFORE), ("2+2", 60), ("122", LONG)),
            DONE: (("0+60", BEFORE), (f"{60 * BEFORE}", 60), (f"{60 * (BEFORE + 60)}+60", LONG)),
        },
    ),
    Cause(
        "An operator is stuck: it holds the lease, and reconciles nothing",
        {"GoldwatchReconcilesFail": "10 minutes without an error, or the namespace is reconciled"},
        WELL | {DONE: (("0+60", BEFORE), (f"{60 * BEFORE}", 60), (f"{60 * (BEFORE + 60)}+60", LONG))},
    ),
    Cause(
        "A certificate of 90 days is not renewed, 18 days before its end",
        {"GoldwatchCertificateExpires": "the webhook has a new one"},
        WELL
        | {
            HOOK_RUNS: phases("1", "1", "1"),
            f"goldwatch_webhook_certificate_not_before_timestamp_seconds{{{HOOK}}}": (("-6220200", 70), ("4200", LONG)),
            f"goldwatch_webhook_certificate_not_after_timestamp_seconds{{{HOOK}}}": (
                ("1555800", 70),
                ("7780200", LONG),
            ),
        },
    ),
]
