import pytest

from goldwatch.core.event import Event, changes, circumstances

from tests.builders import description, judgement

AT = 1_800_000_000.0


@pytest.mark.parametrize("field", ["model", "version", "framework", "framework_version", "device", "digest"])
def test_a_change_of_what_the_target_is_is_an_event(field: str) -> None:
    before = circumstances(judgement(), {})
    after = circumstances(judgement(description=description(**{field: "new"})), {})
    name = field.replace("_", " ")
    assert changes(before, after, "served", AT) == [Event(AT, "served", name, before[name], "new")]


def test_another_golden_set_node_or_config_is_an_event() -> None:
    before = circumstances(judgement(), {"node": "a", "config": "1"})
    after = circumstances(judgement(golden_digest="sha256:c"), {"node": "b", "config": "1"})
    assert [e.field for e in changes(before, after, "served", AT)] == ["golden set", "node"]


def test_what_was_not_known_before_or_is_not_now_is_no_event() -> None:
    known = circumstances(judgement(), {})
    unknown = circumstances(judgement(description=None), {})
    assert changes(known, unknown, "served", AT) == []
    assert changes(unknown, known, "served", AT) == []
    assert changes({}, known, "served", AT) == []
