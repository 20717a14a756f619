"""Scores that a config names, from the golden set to the report: a language model that forgets its manners."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from goldwatch.cli.app import app
from goldwatch.golden.opened import GoldenSet

from tests.language_server import LanguageServer, language_server

pytestmark = pytest.mark.slow

CHECKS = """
def polite(response, query):
    return "please" in response
"""
CONFIG = """\
targets: {{capitals: {{probe: openai, url: '{url}', stream: false}}}}
golden: {{capitals: ./golden}}
scores: {{polite: {{uses: "manners:polite", path: checks}}}}
watches:
  capitals:
    every: 1d
    load: {{warmup: 0, repeats: 0}}
    scores: [polite, exact]
    objectives: {{accuracy: no worse than 30 points, errors: 30%, scores: {{polite: no worse than 5 points}}}}
"""
WHO = ("--name", "capitals", "--licence", "CC0-1.0", "--source", "made up", "--replays", "4", "--match", "contains")
PROMPTS = [f"Where is museum {number}?" for number in range(40)]
POLITE, RUDE = "Paris, if you please.", "Paris."

Run = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[LanguageServer]:
    with language_server() as found:
        found.answers = dict.fromkeys(PROMPTS, POLITE)
        yield found


@pytest.fixture
def run(tmp_path: Path, server: LanguageServer) -> Run:
    """Run a command on the config of a golden set that is built from the polite model."""
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/manners.py").write_text(CHECKS)
    lines = [
        {"inputs": {"prompt": prompt}, "answers": ["Paris"], "slices": {"wing": "east" if i < 10 else "west"}}
        for i, prompt in enumerate(PROMPTS)
    ]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = tmp_path / "goldwatch.yaml"
    config.write_text(CONFIG.format(url=server.url))

    def run(*command: str, options: tuple[str, ...] = ()) -> Result:
        return CliRunner().invoke(app, [*command, str(config), *options])

    built = run("golden", "build", options=(str(tmp_path / "prompts.jsonl"), *WHO))
    assert built.exit_code == 0, built.output
    return run


def test_a_score_of_ones_own_is_frozen_and_checked(run: Run, server: LanguageServer, tmp_path: Path) -> None:
    golden = GoldenSet.open(tmp_path / "golden")
    assert set(golden.manifest.reference.scores or ()) == {"polite", "exact"}
    assert golden.tensor("reference.scores.polite").tolist() == [[1.0] * 40] * 4
    shown = CliRunner().invoke(app, ["golden", "show", str(golden.path)]).stdout
    assert "score       polite: manners:polite sha256:" in shown

    server.answers = dict.fromkeys(PROMPTS, RUDE)
    rude = json.loads(run("check", options=("--format", "json")).stdout)
    [finding] = [f for f in rude["watches"][0]["findings"] if f["objective"] == "polite"]
    assert finding == {
        "objective": "polite",
        "result": "regression",
        "reason": "1.0000 -> 0.0000, no worse than 5 points",
    }
    accuracy = next(f for f in rude["watches"][0]["findings"] if f["objective"] == "accuracy")
    assert accuracy["result"] == "pass"  # the answers are still right
    [polite] = [score for score in rude["watches"][0]["scores"] if score["name"] == "polite"]
    assert [(cut["value"], cut["right"], cut["reference"]) for cut in polite["slices"]] == [
        ("east", 0, 1),
        ("west", 0, 1),
    ]

    manners = tmp_path / "checks/manners.py"
    manners.write_text(CHECKS.replace("please", "thank"))
    refused = run("check")
    assert refused.exit_code == 3
    assert "scores.polite: the reference of capitals@" in refused.stderr
    assert "take a new reference with `goldwatch golden calibrate`" in refused.stderr
    server.answers = dict.fromkeys(PROMPTS, "Paris, thank you.")
    again = run("golden", "calibrate", options=("--to", str(tmp_path / "next"), "--replays", "2", "--outputs"))
    assert again.exit_code == 0, again.output
    assert GoldenSet.open(tmp_path / "next").tensor("reference.scores.polite").tolist() == [[1.0] * 40] * 2
