from collections.abc import Iterator
from pathlib import Path

import pytest

from goldwatch.alert import Alert, Event
from goldwatch.judgement import Severity, Validity
from goldwatch.ledger import Ledger, LedgerError

from tests.builders import difference, judgement

KEY = ("digits", "served")
DIGEST = judgement().golden_digest
ALERT = Alert(1, *KEY, Severity.PAGE, ("worse",), 1_800_000_001.5, "it is worse")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "goldwatch.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(path) as opened:
        yield opened


def test_what_was_recorded_is_there_after_a_restart(path: Path) -> None:
    told = judgement(difference=difference())
    event = Event(told.started_at, "served", "version", "1", "2")
    with Ledger(path) as ledger:
        ledger.record(told, {"worse": {"log_m": [0.1, None]}}, ALERT, [event])
    with Ledger(path) as ledger:
        assert ledger.last_judgement(*KEY) == told
        assert ledger.states(*KEY, DIGEST) == {"worse": {"log_m": [0.1, None]}}
        assert ledger.open_alert(*KEY) == ALERT
        assert ledger.events("served", since=0) == [event]
        assert ledger.next_alert_number() == 2


def test_a_closed_alert_is_kept_but_not_open(ledger: Ledger) -> None:
    ledger.record(judgement(), {}, ALERT)
    closed = Alert(1, *KEY, Severity.PAGE, ("worse",), 1_800_000_001.5, "it is worse", closed_at=1_800_000_100.0)
    ledger.record(judgement(started_at=1_800_000_090.0), {}, closed)
    assert ledger.open_alert(*KEY) is None
    assert ledger.alerts() == [closed]


def test_the_last_valid_replay_is_found_behind_invalid_ones(ledger: Ledger) -> None:
    ledger.record(judgement(started_at=100.0), {})
    ledger.record(judgement(started_at=200.0, validity=Validity.INVALID, description=None), {})
    assert ledger.last_valid_at(*KEY, before=300.0) == 100.0
    assert ledger.last_valid_at(*KEY, before=100.0) is None
    assert ledger.last_judgement(*KEY) is not None
    described = ledger.last_judgement(*KEY, described=True)
    assert described is not None
    assert described.started_at == 100.0


def test_a_record_is_written_whole_or_not_at_all(ledger: Ledger) -> None:
    ledger.record(judgement(started_at=1.0), {"worse": {"n": 1}})
    with pytest.raises(TypeError):
        ledger.record(judgement(started_at=2.0), {"worse": object()})
    assert ledger.states(*KEY, DIGEST) == {"worse": {"n": 1}}
    last = ledger.last_judgement(*KEY)
    assert last is not None
    assert last.started_at == 1.0


def test_history_is_bounded_but_evidence_and_alerts_are_not_forgotten(ledger: Ledger) -> None:
    ledger.record(judgement(started_at=0.0), {"worse": {"n": 1}}, ALERT)
    ledger.record(judgement(watch="other", started_at=91 * 86_400.0), {})
    assert ledger.last_judgement(*KEY) is None
    assert ledger.states(*KEY, DIGEST) == {"worse": {"n": 1}}
    assert ledger.alerts() == [ALERT]


def test_two_agents_do_not_share_a_ledger(path: Path, ledger: Ledger) -> None:
    with pytest.raises(LedgerError) as error:
        Ledger(path)
    assert str(error.value) == f"{path}: another goldwatch is using this ledger; give each its own `ledger:`"


def test_a_file_that_is_no_ledger_is_refused_and_left_as_it_is(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(LedgerError) as error:
        Ledger(path)
    assert str(error.value) == f"{path}: not a usable ledger: file is not a database; move it away to start a new one"
    assert path.read_bytes() == b"not a database" * 100


def test_a_ledger_of_another_format_is_refused(path: Path) -> None:
    import sqlite3

    with Ledger(path):
        pass
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(LedgerError) as error:
        Ledger(path)
    expected = f"{path}: ledger format 7, this goldwatch writes format 1; move it away to start a new one"
    assert str(error.value) == expected


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "goldwatch.db"
    with pytest.raises(LedgerError) as error:
        Ledger(path)
    expected = f"{path}: cannot be written: No such file or directory; set `ledger:` to a file that can"
    assert str(error.value) == expected


def test_evidence_about_one_golden_set_says_nothing_of_another(ledger: Ledger) -> None:
    ledger.record(judgement(), {"worse": {"n": 1}})
    assert ledger.states(*KEY, "sha256:other") == {}
    ledger.record(judgement(golden_digest="sha256:other"), {"worse": {"n": 2}})
    assert ledger.states(*KEY, "sha256:other") == {"worse": {"n": 2}}
    assert ledger.states(*KEY, DIGEST) == {}
