"""The exporters of a service: the page `/metrics` always, and a collector while the config names one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from goldwatch import __version__
from goldwatch.config import Config, Rejection
from goldwatch.daemon.in_force import CannotStart
from goldwatch.errors import GoldwatchError
from goldwatch.export import catalogue, measurement
from goldwatch.export.exporter import Exporter, Follows, Replayed
from goldwatch.export.prometheus import PrometheusExporter


class Exports:
    """All exporters of a service as one. Thread-safe, but for `put_in_force`, which is for one thread at a time.

    With a lease it is on standby at first, and takes in no measurement of a watch.
    """

    def __init__(self) -> None:
        """Begin with the page alone."""
        self.page = PrometheusExporter()
        self._pusher: Exporter | None = None
        self._config: Config | None = None
        self._leads = True
        self._rejected_since = 0.0
        self._lease = threading.Lock()

    def publish(self, measurements: Iterable[measurement.Measurement]) -> None:
        """Take the measurements of one replay or event in. Nobody is waited for."""
        found = [m for m in measurements if self._leads or "watch" not in m.labels]
        for exporter in self._all():
            exporter.publish(found)
        if not self._leads:  # the lease may have been lost since the first line, and the series retired
            for watch, target in {(m.labels["watch"], m.labels["target"]) for m in found if "watch" in m.labels}:
                self.retire(watch, target)

    def follow(self, replayed: Replayed) -> None:
        """Take in a replay that has ended, request by request, where an exporter can."""
        for exporter in self._all() if self._leads else ():
            if isinstance(exporter, Follows):
                exporter.follow(replayed)

    def retire(self, watch: str, target: str) -> None:
        """Forget all series of a watch and target that this agent replays no longer."""
        for exporter in self._all():
            exporter.retire(watch, target)

    def lead(self) -> None:
        """Take measurements of watches in from now on: this replica holds the lease."""
        self._leads = True
        self._publish_lease()

    def stand_by(self, keys: Iterable[tuple[str, str]]) -> None:
        """End all series of these watches and targets, and take in none: another replica may hold the lease."""
        self._leads = False
        self._publish_lease()
        for key in keys:
            self.retire(*key)

    def count_lease_error(self) -> None:
        """Count an attempt at the lease that failed."""
        self._publish_lease(errors=1)

    def accept_config(self) -> None:
        """Export that the config was loaded."""
        self._rejected_since = 0.0
        self.publish(measurement.of_accepted_config(time.time()))

    def reject_config(self, reason: Rejection) -> None:
        """Export that a config was refused, why, and since when."""
        self._rejected_since = self._rejected_since or time.time()
        self.publish(measurement.of_rejected_config(reason, self._rejected_since))

    def put_in_force(self, config: Config) -> bool:
        """Push as a config asks, and return whether the pusher is new. Raises CannotStart, and changes nothing then.

        The pusher stays while its sections are unchanged: a new one loses its counters.
        """
        before = self._config
        if before is not None and _pushing(before) == _pushing(config):
            self.page.level = config.exporters.metrics
            self.publish(measurement.of_external_url(config.exporters.prometheus.external_url))
            return False
        old, self._pusher, self._config = self._pusher, self._made(config), config
        self.page.level = config.exporters.metrics
        if before is None:
            self._leads = config.cluster.lease is None
        if old is not None:
            old.close()
        self.publish(measurement.of_build(__version__))
        self.publish(measurement.of_external_url(config.exporters.prometheus.external_url))
        self._publish_lease()
        if (otlp := config.exporters.otlp) is not None:
            self.publish(measurement.of_pusher(["logs", "metrics", *(["traces"] if otlp.traces else [])]))
        if config.energy is not None:
            self._dropped_readings(0)
        return self._pusher is not None

    def close(self) -> None:
        """Push what is left and close, within about two seconds."""
        for exporter in self._all():
            exporter.close()

    def _all(self) -> tuple[Exporter, ...]:
        pusher = self._pusher
        return (self.page,) if pusher is None else (self.page, pusher)

    def _made(self, config: Config) -> Exporter | None:
        if config.exporters.otlp is None:
            return None
        from goldwatch.daemon import pushers  # noqa: PLC0415 - only who pushes pays for the SDK

        try:
            section, heard = config.exporters.otlp, (self._failed_push, self._lost_records, self._dropped_readings)
            return pushers.otlp(section, config.ledger, config.energy, *heard, config.exporters.metrics)
        except GoldwatchError as error:
            raise CannotStart(f"{config.source}: exporters.otlp: {error}") from None

    def _publish_lease(self, errors: int = 0) -> None:
        if self._config is not None and (lease := self._config.cluster.lease) is not None:
            with self._lease:  # a reload, in another thread, must not export what no longer holds
                self.publish(measurement.of_lease(lease.name, leads=self._leads, errors=errors))

    def _failed_push(self, signal: str) -> None:
        self.publish(measurement.of_failed_push(signal))

    def _lost_records(self, signal: str, count: int) -> None:
        self.publish(measurement.of_lost_records(signal, count))

    def _dropped_readings(self, count: int) -> None:
        self.publish([measurement.Measurement(catalogue.ENERGY_READINGS_DROPPED, {}, count)])


def _pushing(config: Config) -> tuple[object, ...]:
    """Return what of a config determines the pusher, which also reads the counters of meters."""
    return config.exporters.otlp, config.energy, config.exporters.metrics
