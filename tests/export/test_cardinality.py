from pathlib import Path

import pytest

from goldwatch.config import load
from goldwatch.errors import GoldwatchError
from goldwatch.export import cardinality
from goldwatch.export.catalogue import CATALOGUE
from goldwatch.export.metric import FACTS, WATCH

from tests.config.fakes import START, probes


def config(folder: Path, most_series: int) -> Path:
    path = folder / "goldwatch.yaml"
    path.write_text(START + f"exporters:\n  prometheus:\n    most_series: {most_series}\n")
    return path


def test_each_label_has_a_bound() -> None:
    labels = {label for metric in CATALOGUE for label in metric.labels}
    assert labels <= {*WATCH, *FACTS, *cardinality.MOST_VALUES, *cardinality.OF_THE_SET}
    assert set(cardinality.MOST_VALUES) <= labels


def test_the_series_are_counted_from_the_catalogue(tmp_path: Path) -> None:
    path = tmp_path / "goldwatch.yaml"
    path.write_text(START)
    found = load(path, probes=probes)  # with the default
    one = cardinality.series(found)
    (watch,) = found.watches.values()
    names = tuple(f"t{n}" for n in range(1000))
    many = found.model_copy(update={"watches": {"fraud": watch.model_copy(update={"targets": names})}})
    per_target = (cardinality.series(many) - one) / 999
    assert 100 < per_target < 390, "a thousand targets fit into the default of 400,000"
    cardinality.check(many, {watch.golden: 20})


def test_a_config_with_too_many_is_refused_with_the_number(tmp_path: Path) -> None:
    path = config(tmp_path, 100)
    found = load(path, probes=probes)
    with pytest.raises(GoldwatchError) as refused:
        cardinality.check(found)
    assert str(refused.value) == (
        f"{path}: exporters.prometheus.most_series: 1 watched target makes up to {cardinality.series(found):,} series, "
        "100 are allowed; watch fewer targets with one agent, or allow more if Prometheus can take them"
    )


def test_slices_with_too_many_values_are_named_with_their_number() -> None:
    assert not list(cardinality.warnings({"none": {}, "most": {"country": 200, "user": 800}}))
    (warning,) = cardinality.warnings({"few": {"country": 5}, "orders": {"country": 200, "user": 20_000}})
    assert warning == (
        "golden.orders: its slices have 20,200 values, 20,000 of them in user, which makes 60,600 series "
        "for each target; build the set without the slice user, or group its values into 1,000 at most"
    )


def test_slices_are_counted_once_the_golden_sets_are_known(tmp_path: Path) -> None:
    (tmp_path / "wide").mkdir()
    found = load(config(tmp_path / "wide", 300_000), probes=probes)
    (watch,) = found.watches.values()
    none = cardinality.series(found)
    assert cardinality.series(found, {watch.golden: 10}) == none + 30
    path = config(tmp_path, none + 20)
    found = load(path, probes=probes)
    cardinality.check(found)
    cardinality.check(found, {watch.golden: 6})
    with pytest.raises(GoldwatchError) as refused:
        cardinality.check(found, {watch.golden: 10})
    assert f"up to {none + 30:,} series, 30 of them of slices of golden sets, {none + 20:,} are allowed" in str(
        refused.value
    )
