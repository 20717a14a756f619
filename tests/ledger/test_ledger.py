import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from goldwatch.core.event import Event
from goldwatch.core.judgement import Judgement, Severity, Validity
from goldwatch.daemon.alert import Alert
from goldwatch.daemon.history import History
from goldwatch.daemon.ledger import Ledger, LedgerError, add_silence, end_silences
from goldwatch.daemon.silence import Silence
from goldwatch.testing.clock import FakeClock

from tests.builders import difference, fill, judgement

KEY = ("digits", "served")
DIGEST = judgement().subject.golden_digest
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
    event = Event(told.run.started_at, "served", "version", "1", "2")
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
    assert described.run.started_at == 100.0


def test_a_record_is_written_whole_or_not_at_all(ledger: Ledger) -> None:
    ledger.record(judgement(started_at=1.0), {"worse": {"n": 1}})
    with pytest.raises(TypeError):
        ledger.record(judgement(started_at=2.0), {"worse": object()})
    assert ledger.states(*KEY, DIGEST) == {"worse": {"n": 1}}
    last = ledger.last_judgement(*KEY)
    assert last is not None
    assert last.run.started_at == 1.0


def test_history_is_bounded_but_evidence_and_alerts_are_not_forgotten(path: Path) -> None:
    clock = FakeClock()
    with Ledger(path, clock.monotonic) as ledger:
        ledger.record(judgement(started_at=0.0), {"worse": {"n": 1}}, ALERT)
        clock.sleep(91 * 86_400.0)
        ledger.record(judgement(watch="other", started_at=91 * 86_400.0), {})
        assert ledger.last_judgement(*KEY) is None
        assert ledger.states(*KEY, DIGEST) == {"worse": {"n": 1}}
        assert ledger.alerts() == [ALERT]


@pytest.mark.parametrize("jump_s", [100 * 86_400.0, -3650 * 86_400.0])
def test_a_clock_that_jumps_deletes_nothing(path: Path, jump_s: float) -> None:
    clock, at = FakeClock(), 1_800_000_000.0
    for started_at in (at, at + jump_s, at + 600):  # each in a run of the agent of its own
        with Ledger(path, clock.monotonic) as ledger:
            ledger.record(judgement(started_at=started_at), {})
            clock.sleep(300.0)
    with Ledger(path, clock.monotonic) as ledger:
        assert [found.run.started_at for found, _ in ledger.replays(*KEY)] == [at, at + jump_s, at + 600]


def test_after_a_jump_history_still_has_a_bound(path: Path) -> None:
    clock, at = FakeClock(), 1_800_000_000.0
    with Ledger(path, clock.monotonic) as ledger:
        ledger.record(judgement(started_at=at + 100 * 86_400.0), {})
        clock.sleep(91 * 86_400.0)
        ledger.record(judgement(started_at=at + 91 * 86_400.0), {})
        assert len(list(ledger.replays(*KEY))) == 1


def test_the_last_replay_is_the_one_that_was_written_last(ledger: Ledger) -> None:
    """A clock that was a day ahead for a while must not hide what was found since."""
    ledger.record(judgement(started_at=1_800_086_400.0, golden_digest="sha256:other"), {})
    ledger.record(judgement(started_at=1_800_000_000.0), {})
    last = ledger.last_judgement(*KEY)
    assert last is not None
    assert last.run.started_at == 1_800_000_000.0
    assert ledger.last_started_at(*KEY, DIGEST) == 1_800_000_000.0


@pytest.mark.parametrize("broken", ["{", "[]", '{"watch": 3}', "null", "[" * 100_000])
def test_a_damaged_row_is_left_out_and_said(
    path: Path, ledger: Ledger, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    ledger.record(judgement(started_at=1.0), {"worse": {"n": 1}, "slower": {"n": 1}}, ALERT)
    ledger.record(judgement(started_at=2.0), {})
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE replays SET judgement = ? WHERE started_at = 1", (broken,))
        db.execute("UPDATE monitors SET state = '{' WHERE monitor = 'worse'")
        db.execute("UPDATE alerts SET monitors = '{'")
    db.close()
    for _ in range(2):
        assert [found.run.started_at for found, _ in ledger.replays(*KEY)] == [2.0]
        assert ledger.states(*KEY, DIGEST) == {"slower": {"n": 1}}
        assert ledger.open_alert(*KEY) is None
        assert ledger.alerts() == []
    said = [(record.table, record.row) for record in caplog.records]  # type: ignore[attr-defined]
    assert said == [("replays", 1), ("monitors", "worse"), ("alerts", 1)], "each is said once"
    ledger.record(judgement(started_at=3.0), {"worse": {"n": 2}})
    assert ledger.states(*KEY, DIGEST) == {"slower": {"n": 1}, "worse": {"n": 2}}


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


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as error:
        Ledger(tmp_path)
    assert str(error.value) == f"{tmp_path}: a folder; set `ledger:` to a file"
    assert not tmp_path.with_name(f"{tmp_path.name}.lock").exists()


def test_a_full_disk_is_told_and_what_was_there_stays(path: Path, ledger: Ledger) -> None:
    ledger.record(judgement(started_at=1.0), {"worse": {"n": 1}})
    fill(ledger)
    for write in (
        lambda: ledger.record(judgement(started_at=2.0), {"worse": {"n": "2" * 100_000}}),
        lambda: ledger.keep_alert(replace(ALERT, text="it is worse" * 10_000)),
    ):
        with pytest.raises(LedgerError) as error:
            write()
        told = (
            f"{path}: cannot be written: database or disk is full; make room there, or set `ledger:` to a file that can"
        )
        assert str(error.value) == told
    assert ledger.states(*KEY, DIGEST) == {"worse": {"n": 1}}
    assert ledger.open_alert(*KEY) is None


@pytest.mark.parametrize("replaced", [True, False])
def test_a_ledger_that_is_deleted_in_use_is_told(path: Path, ledger: Ledger, replaced: bool) -> None:
    ledger.record(judgement(), {})
    path.unlink()
    if replaced:
        path.write_bytes(b"")
    with pytest.raises(LedgerError) as error:
        ledger.record(judgement(started_at=1_800_000_500.0), {})
    expected = f"{path}: was deleted or replaced in use; restart goldwatch to use the file that is there now"
    assert str(error.value) == expected


def test_a_ledger_of_another_format_is_refused(path: Path) -> None:
    with Ledger(path):
        pass
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(LedgerError) as error:
        Ledger(path)
    expected = f"{path}: ledger format 7, this goldwatch writes format 5; move it away to start a new one"
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


@pytest.fixture
def old(path: Path) -> Path:
    """Return a ledger as the code of format 1 has written it."""
    db = sqlite3.connect(path)
    db.executescript((Path(__file__).parent / "format-1.sql").read_text())
    db.close()
    return path


def test_a_ledger_of_format_1_keeps_its_history_evidence_and_open_alert(old: Path) -> None:
    with Ledger(old) as ledger:
        assert ledger.states(*KEY, DIGEST) == {
            "worse": {"n": 2},
        }
        assert ledger.states("other", "served", DIGEST) == {"failing": {"n": 1}}
        opened = ledger.open_alert(*KEY)
        assert opened is not None
        assert (opened.number, opened.monitors, opened.calls, opened.explanation) == (1, ("worse",), True, None)
        assert opened.text.startswith("[page] served is worse: 50 of 600")
        assert [alert.number for alert in ledger.alerts()] == [1, 2]
        assert ledger.next_alert_number() == 3
        last = ledger.last_judgement(*KEY)
        assert last is not None
        assert last.run.started_at == 1_800_000_300.0
        assert [e.after for e in ledger.events("served", since=0)] == ["2"]
        assert [observed for _, observed in ledger.replays(*KEY)] == [None, None]
        ledger.record(judgement(started_at=1_800_000_600.0), {"worse": {"n": 3}}, observed={"sent": 1})
    with Ledger(old) as again:
        assert again.states(*KEY, DIGEST) == {"worse": {"n": 3}}
        assert [observed for _, observed in again.replays(*KEY)] == [None, None, {"sent": 1}]


def test_a_converted_ledger_is_like_a_new_one(old: Path, tmp_path: Path) -> None:
    with Ledger(old), Ledger(tmp_path / "new.db"):
        pass
    assert columns(old) == columns(tmp_path / "new.db")
    assert indexes(old) == indexes(tmp_path / "new.db")


def test_a_ledger_of_the_format_before_is_converted(tmp_path: Path) -> None:
    with Ledger(tmp_path / "old.db"), Ledger(tmp_path / "new.db"):
        pass
    db = sqlite3.connect(tmp_path / "old.db")
    newer = "DROP INDEX replays_in_order; DROP INDEX replays_by_age; ALTER TABLE replays DROP COLUMN age_s;"
    older = "CREATE INDEX replays_by_time ON replays (started_at);"
    db.executescript(f"{newer} {older} CREATE TABLE charges (id INTEGER PRIMARY KEY); PRAGMA user_version = 3")
    db.close()
    with Ledger(tmp_path / "old.db"):
        pass
    assert columns(tmp_path / "old.db") == columns(tmp_path / "new.db")
    assert indexes(tmp_path / "old.db") == indexes(tmp_path / "new.db")


def indexes(path: Path) -> list[tuple[str, str]]:
    """Return the name and the table of each index."""
    db = sqlite3.connect(path)
    found = db.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'index' ORDER BY name").fetchall()
    db.close()
    return found


def columns(path: Path) -> dict[str, list[tuple[str, str, int]]]:
    """Return name, type and whether it may be null of each column of each table."""
    db = sqlite3.connect(path)
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    found = {t: [(row[1], row[2], row[3]) for row in db.execute(f"PRAGMA table_info({t})")] for t in tables}
    db.close()
    return found


def test_a_conversion_that_fails_changes_nothing(old: Path) -> None:
    db = sqlite3.connect(old)
    db.execute("CREATE TABLE circumstances (x)")  # what the conversion is about to make
    db.close()
    with pytest.raises(LedgerError, match="not a usable ledger: table circumstances already exists"):
        Ledger(old)
    db = sqlite3.connect(old)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert "observed" not in [row[1] for row in db.execute("PRAGMA table_info(replays)")]
    db.close()


def test_a_ledger_in_a_read_only_folder_is_read(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a backup that is mounted read-only. Root may write anywhere, so the test only pretends that it may not."""
    odd = tmp_path / "a ?#%20b"
    odd.mkdir()
    with Ledger(odd / path.name) as ledger:
        ledger.record(judgement(), {}, ALERT)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with History.open(odd / path.name) as history:
        assert history.alerts() == [ALERT]
        assert not (odd / f"{path.name}-shm").exists()
        with Ledger(odd / path.name) as ledger, History.open(odd / path.name) as following:
            ledger.record(judgement(started_at=1_800_000_500.0), {})
            last = following.last_judgement(*KEY)
            assert last is not None
            assert last.run.started_at == 1_800_000_500.0, "with an agent, its log is read"


def test_a_ledger_is_read_while_an_agent_writes_it(ledger: Ledger, path: Path) -> None:
    ledger.record(judgement(), {}, ALERT)
    with History.open(path) as history:
        assert history.alerts() == [ALERT]
        ledger.record(judgement(started_at=1_800_000_500.0), {})
        last = history.last_judgement(*KEY)
        assert last is not None
        assert last.run.started_at == 1_800_000_500.0
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            history._db.execute("DELETE FROM alerts")


def test_an_old_ledger_and_one_that_is_not_there_are_not_read(old: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="ledger format 1, this goldwatch reads format 5; `goldwatch run` of this"):
        History.open(old)
    with pytest.raises(LedgerError, match=r"none\.db: no such ledger; it is made by `goldwatch run`"):
        History.open(tmp_path / "none.db")


def test_a_silence_is_asked_for_and_ended_from_outside_while_an_agent_runs(ledger: Ledger, path: Path) -> None:
    wanted = Silence(100.0, 200.0, "moving the database", "digits")
    add_silence(path, wanted)
    assert ledger.silences(after=150.0) == [wanted]
    assert ledger.silences(after=200.0) == []
    assert end_silences(path, 160.0) == 1
    assert ledger.silences(after=160.0) == []


def test_what_was_known_is_overwritten_field_by_field(ledger: Ledger) -> None:
    ledger.record(judgement(), {}, circumstances={"version": "1", "node": "a"})
    ledger.record(judgement(), {}, circumstances={"version": "2"})
    assert ledger.circumstances(*KEY) == {"version": "2", "node": "a"}
    assert ledger.circumstances("other", "served") == {}


def test_the_parts_of_a_judgement_are_one_flat_object_in_the_ledger() -> None:
    """So rows of versions before its parts are read, and what reads JSON finds each field where it was."""
    found = judgement()
    parts = (found.subject, found.run, found.findings, found.extras)
    assert found.to_json().keys() == {field.name for part in parts for field in fields(part)} | {"verdicts"}
    assert len(found.to_json()) == sum(len(fields(part)) for part in parts) + 1
    assert Judgement.from_json(json.loads(json.dumps(found.to_json()))) == found
