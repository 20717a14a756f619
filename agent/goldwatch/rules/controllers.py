"""The alerts about the operator and the webhook. They are scraped in any case: nothing of them comes over OTLP."""

from __future__ import annotations

from collections.abc import Mapping

from goldwatch.export.catalogue import controllers as c
from goldwatch.export.metric import Metric
from goldwatch.rules.alerts import RUNBOOKS_ANYWHERE
from goldwatch.rules.rule import AGENT, JOB, AlertRule, select

_WHERE = JOB[1:-1]
_KEPT = f"({_WHERE}, model_namespace)"
"""A namespace as one operator keeps it."""
_OF_OWNERS = {"namespace": "{{ $labels.model_namespace }}"}
"""What the owners of a model can mend is routed to them, and not to the owners of the operator."""
_SOON_S = 21 * 86_400
_LAST_PART = 0.2
"""A certificate is late if it is in the last fifth of its time: cert-manager renews in the last third."""
_STUCK_S = 600
_SEEN = "1d"
_LISTED = "1w"
"""How long a replica is remembered that does not answer, but is still discovered."""


def alerts() -> list[AlertRule]:
    """Return the alerts."""
    return [_gone(), _pods(), _refused_pods(), _watches(), _forbidden(), _failing(), _certificate()]


def _alert(
    *, name: str, expr: str, hold_s: int, runbook: str, summary: str, description: str, labels: Mapping[str, str] = {}
) -> AlertRule:
    return AlertRule(
        name, expr, hold_s, "ticket", runbook, summary, description, served_at=RUNBOOKS_ANYWHERE, labels=labels
    )


def _errors(**labels: str | tuple[str, ...]) -> str:
    return f"sum by {_KEPT} (increase({select(c.RECONCILE_ERRORS, window='10m', **labels)})) > 0"


_IS_FORBIDDEN = _errors(reason="forbidden")


def _worst(metric: Metric, by: str = _KEPT, **labels: str) -> str:
    return f"max by {by} ({select(metric, **labels)})"


def _gone() -> AlertRule:
    """Return the alert for an operator or a webhook without a replica that answers.

    It goes on for a day, or for a week if a pod that answered is still there.
    """
    by, info = f"({_WHERE}, component)", c.CONTROLLER_INFO
    seen = f"last_over_time({select(info, window=_SEEN)})"
    listed = f"last_over_time({select(info, window=_LISTED)}) and on {AGENT} up == 0"
    return _alert(
        name="GoldwatchControllerGone",
        expr=f"max by {by} ({seen}\nor {listed})\nunless on {by} {info.name}",
        hold_s=600,
        runbook="controller-gone",
        summary="no {{ $labels.component }} of goldwatch answers ({{ $labels.job }})",
        description=(
            "No replica could be scraped for ten minutes. Agents go on with the configs that they have. Without "
            "the operator new Watches are not taken; without the webhook new pods start without a sidecar."
        ),
    )


def _pods() -> AlertRule:
    return _alert(
        name="GoldwatchPodsWithoutSidecar",
        expr=f"{_worst(c.PODS_WITHOUT_SIDECAR)} > 0",
        hold_s=600,
        runbook="pods-without-sidecar",
        labels=_OF_OWNERS,
        summary="pods in {{ $labels.model_namespace }} ask for a sidecar and have none",
        description=(
            "{{ $value | humanize }} pods that have not ended have the annotation goldwatch.dev/config and no "
            "sidecar: their models are not watched."
        ),
    )


def _refused_pods() -> AlertRule:
    """Return the alert for annotations that the webhook could not follow, in whatever namespace."""
    refused = select(c.REVIEWS, window="1h", result="refused")
    return _alert(
        name="GoldwatchInjectionRefused",
        expr=f"sum by {JOB} (increase({refused})) > 0",
        hold_s=0,
        runbook="pods-without-sidecar",
        summary="the webhook of goldwatch could not add the sidecar to pods that ask for it",
        description="{{ $value | humanize }} within the last hour. An Event NotInjected about each gives the reason.",
    )


def _watches() -> AlertRule:
    by = f"({_WHERE}, model_namespace, reason)"
    return _alert(
        name="GoldwatchWatchesRefused",
        expr=f"{_worst(c.WATCHES, by, reason_not='Accepted')} > 0\nunless on {_KEPT} {_IS_FORBIDDEN}",
        hold_s=900,
        runbook="watches-refused",
        labels=_OF_OWNERS,
        summary="Watches in {{ $labels.model_namespace }} are refused: {{ $labels.reason }}",
        description=(
            "{{ $value | humanize }} Watches are not in the config of an agent as they are written. The last "
            "accepted version of each stays active, if there is one."
        ),
    )


def _forbidden() -> AlertRule:
    return _alert(
        name="GoldwatchOperatorForbidden",
        expr=_IS_FORBIDDEN,
        hold_s=900,
        runbook="operator-forbidden",
        summary="the operator of goldwatch lacks a permission ({{ $labels.job }})",
        description=(
            "The API server forbids it to read or write in {{ $labels.model_namespace }}: Watches, their status, "
            "ConfigMaps or pods. Changes of Watches do not reach the agents."
        ),
    )


def _failing() -> AlertRule:
    """Return the alert for failures that no Watch and no permission explains, and for an operator that is stuck.

    A conflict is that of a ConfigMap which is not the operator's: its Watches are refused, and have an alert. An
    operator that restarts before each success has no timestamp of its own; counters of errors say that it is there.
    """
    here = f"last_over_time({select(c.RECONCILE_ERRORS, window='10m')})"
    done = f"last_over_time({select(c.RECONCILE_TIMESTAMP, window=_SEEN)})"
    stuck = f"time() - max by {_KEPT} ({done}) > {_STUCK_S} and on {_KEPT} {here}"
    never = f"sum by {_KEPT} ({here}) unless on {_KEPT} {done}"
    fails = _errors(reason_not=("forbidden", "conflict"))
    return _alert(
        name="GoldwatchReconcilesFail",
        expr=f"({fails}\nor {stuck}\nor {never})\nunless on {_KEPT} {_IS_FORBIDDEN}",
        hold_s=900,
        runbook="reconciles-fail",
        summary="the operator of goldwatch cannot do its work ({{ $labels.job }})",
        description=(
            "Requests about {{ $labels.model_namespace }} fail, or it was not reconciled for ten minutes. Changes"
            " of Watches do not reach the agents, and verdicts in `kubectl get watches` are old."
        ),
    )


def _certificate() -> AlertRule:
    left = f"{c.CERTIFICATE_ENDS.name} - time()"
    part = f"({left}) / ({c.CERTIFICATE_ENDS.name} - {c.CERTIFICATE_BEGINS.name})"
    return _alert(
        name="GoldwatchCertificateExpires",
        expr=f"min by {JOB} ({left}) < {_SOON_S}\nand min by {JOB} ({part}) < {_LAST_PART}",
        hold_s=600,
        runbook="certificate-expires",
        summary="the certificate of goldwatch's webhook expires ({{ $labels.job }})",
        description=(
            "It has under three weeks and under a fifth of its time left, and was not renewed. After its end the "
            "API server does not ask the webhook, and new pods start without a sidecar."
        ),
    )
