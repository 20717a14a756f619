"""Broken configs, each with its whole error."""

# ruff: noqa: E501 - a case is a line: what is changed and all that is said about it

from __future__ import annotations

from pathlib import Path

import pytest

from goldwatch.config import ConfigError, load

from tests.config.conftest import Load
from tests.config.fakes import START, probes

ENVIRON = {"WORD": "abc", "LONG": "x" * 100}
NO_ADDRESS = "is not an address; write http://HOST:PORT or https://HOST:PORT, and secrets as headers"

# (what of the start is replaced, by what, the problems without the name of the file)
ONE_KEY = [
    ("probe: open", "prode: open", '3:5  targets.fraud.prode: unknown key "prode" (did you mean "probe"?)'),
    ("    probe: open-inference\n", "", '2:3  targets.fraud: missing key "probe"'),
    ("url:", "uri:", '4:5  targets.fraud.uri: unknown key "uri" (did you mean "url"?)'),
    ("http://localhost:8000", "8", '4:10  targets.fraud.url: must be text, and "8" without quotes is not; write it in quotes'),
    ("http://localhost:8000", "ftp://x", '2:3  targets.fraud: the url "ftp://x" must begin with http'),
    ("model: fraud", 'retries: "8"', '5:14  targets.fraud.retries: must be a whole number; found "8"'),
    ("model: fraud", "retries: 1.5", '5:14  targets.fraud.retries: must be a whole number; found "1.5"'),
    ("model: fraud", "share: .nan", "5:12  targets.fraud.share: not a finite number"),
    (
        "model: fraud",
        "model: fraud\n    python: ./missing/python",
        '6:13  targets.fraud.python: "./missing/python" is no program that can be run; write the path of a Python interpreter',
    ),
    (
        "model: fraud",
        "mirror: localhost:8000",
        f'5:13  targets.fraud.mirror: "localhost:8000" {NO_ADDRESS}',
    ),
    ("model: fraud", "names: {inputs: {a: x, b: x}}", "5:5  targets.fraud.names: two names stand for one tensor of the model; write each once"),
    ("model: fraud", "memory: 2 gigs", '5:13  targets.fraud.memory: "2 gigs" is not a size; write 512MiB or 2GiB'),
    ("model: fraud", "memory: 1kB", '5:13  targets.fraud.memory: "1kB" is out of range; write 16MiB to 1024TiB'),
    ("model: fraud", "warm: maybe", '5:11  targets.fraud.warm: must be true or false; found "maybe"'),
    ("model: fraud", "headers: [a]", "5:14  targets.fraud.headers: must be a mapping; found a list"),
    ("model: fraud", "model: ${NO}", "5:12  targets.fraud.model: environment variable NO is not set; set it, or write ${NO:-default}"),
    ("model: fraud", "model: ${a", '5:12  targets.fraud.model: "${" has no "}"; references do not nest, and a literal "$" is written "$$"'),
    ("model: fraud", "model: ${a b}", '5:12  targets.fraud.model: "${a b}" is not a reference; write ${NAME}, ${NAME:-default} or ${file:PATH}'),
    ("model: fraud", "model: ${file:no}", "5:12  targets.fraud.model: file no cannot be read: No such file or directory"),
    ("model: fraud", "model: !!binary aa", "5:12  targets.fraud.model: the YAML tag !!binary is not supported; write plain text or numbers"),
    ("model: fraud", "url: x", '5:5  targets.fraud.url: duplicate key "url"; it is already at 4:5'),
    ("open-inference", "open-inferense", '3:12  targets.fraud.probe: no probe "open-inferense" is installed (did you mean "open-inference"?)'),
    ("model: fraud", "busy: {}", '5:5  targets.fraud.busy: missing key "above"'),
    ("model: fraud", "busy: {above: 8}", "5:5  targets.fraud.busy: name one source of how busy the target is: `query`, `metric` or `pressure`"),
    ("model: fraud", "busy: {above: 8, query: up}", "5:5  targets.fraud.busy: `query` and `prometheus` belong together; write both"),
    ("model: fraud", "busy: {above: -1, pressure: /proc/pressure/cpu}", '5:19  targets.fraud.busy.above: "-1" is not a limit; write a number of 0 or more, such as 8, or 20%'),
    ("model: fraud", "busy: {above: 20%, pressure: cpu}", '5:34  targets.fraud.busy.pressure: "cpu" is not the absolute path of a pressure file; write /proc/pressure/cpu'),
    ("model: fraud", "busy: {above: 1, metrics: http://x, metric: 'a b'}", '5:49  targets.fraud.busy.metric: "a b" is not the name of a metric; write one such as vllm:num_requests_waiting, or NAME{label="value"}'),
    ("model: fraud", "busy: {above: 1, prometheus: http://x, query: up, headers: {X: literal}}", "5:68  targets.fraud.busy.headers.X: a secret must not be written in the file; use ${NAME} or ${file:PATH}"),
    ("model: fraud", "at_most: lots", '5:14  targets.fraud.at_most: "lots" is not a rate of requests; write 100 per second or 30 per minute'),
    ("model: fraud", "tokens_at_most: lots", '5:21  targets.fraud.tokens_at_most: "lots" is not a rate of tokens; write 100 per second or 30 per minute'),
    ("model: fraud", "tokens_at_most: 9/s", '5:21  targets.fraud.tokens_at_most: the probe "open-inference" counts no tokens'),
    ("model: fraud", "energy_at_most: 9 kJ per day", "5:5  targets.fraud.energy_at_most: `energy_at_most` was removed; bound the load by requests, tokens or CPU instead: `at_most`, `tokens_at_most`, `cpu_at_most`"),
    ("5m", "5m\n    load: {energy_at_most: 9 J/h}", "11:12  watches.fraud.load.energy_at_most: `energy_at_most` was removed; bound the load by requests, tokens or CPU instead: `at_most`, `tokens_at_most`, `cpu_at_most`"),
    ("5m", "5m\n    load: {tokens_at_most: 9/s, scenario: offline}", "11:5  watches.fraud.load: `tokens_at_most` needs requests of one example each, whose tokens are counted"),
    ("5m", "5m\n    load: {scenario: server, rate: 9/s, cpu_at_most: 5%}", "11:5  watches.fraud.load: the scenario server sends by a schedule, which a budget of tokens or CPU cannot slow down; leave out `cpu_at_most`, or write another scenario"),
    ("5m", "5m\n    load: {scenario: server, rate: 9/s, at_most: 5/s}", "11:5  watches.fraud.load: `rate` is more than `at_most` allows; lower the one or raise the other"),
    ("open-inference", "xyz", '3:12  targets.fraud.probe: no probe "xyz" is installed; installed are broken, odd, onnx-runtime, open-inference'),
    ("open-inference", "broken", "3:12  targets.fraud.probe: the probe \"broken\" cannot be used: ModuleNotFoundError: No module named 'acme'"),
    ("open-inference", "odd", '3:12  targets.fraud.probe: the probe "odd" cannot be used: fakes:NoProbe has no dataclass `Options`'),
    ("  fraud-2026q3:", "  -x:", '7:3  golden.-x: "-x" is not a name; write up to 63 letters, digits, dots, dashes and underscores, a letter or digit first'),
    ("./golden/fraud-2026q3", "s3://b/x", '7:17  golden.fraud-2026q3: "s3://b/x" is not the path of a folder; of one that lies elsewhere write `url` and `digest`'),
    ("./golden/fraud-2026q3", "{digest: 'sha256:5ce757ab9d4f'}", '7:3  golden.fraud-2026q3: names no golden set; write `path`, its folder, or `url` and `digest`'),
    ("./golden/fraud-2026q3", "{url: 's3://b/x'}", '7:23  golden.fraud-2026q3.url: "s3://b/x" is not an address; write http://HOST:PORT or https://HOST:PORT, and secrets as headers'),
    ("./golden/fraud-2026q3", "{url: 'https://h/x', digest: 'sha256:5ce757ab9d4f'}", '7:3  golden.fraud-2026q3: `url` needs the whole `digest`, sha256: and 64 hexadecimal digits, so that nobody on the way can put another set in its place; `goldwatch golden verify FOLDER` prints it'),
    ("./golden/fraud-2026q3", "{path: g, headers: {a: '${WORD}'}}", '7:3  golden.fraud-2026q3: `headers` are for `url`; a folder has none'),
    ("5m", "5 minuts", '10:12  watches.fraud.every: "5 minuts" is not a duration; write 30s, 5m, 2h or a cron line'),
    ("5m", "300", '10:12  watches.fraud.every: "300" is not a duration; write 30s, 5m, 2h or a cron line'),
    ("5m", "10ms", '10:12  watches.fraud.every: "10ms" is out of range; write 1s to 366d'),
    ("5m", "5m 1h", '10:12  watches.fraud.every: "5m 1h" is not a duration; write its units from the largest to the smallest, as in 1h 30m'),
    ("5m", "${WORD}", '10:12  watches.fraud.every: "${WORD}" is not a duration; write 30s, 5m, 2h or a cron line'),
    ("5m", "0 0 * * 1", '10:12  watches.fraud.every: "0 0 * * 1" gives weekdays as numbers; write their names, such as mon-fri'),
    ("5m", "0 0 30 2 *", '10:12  watches.fraud.every: "0 0 30 2 *" is a cron line that never comes'),
    ("5m", "99 0 * * *", "10:12  watches.fraud.every: \"99 0 * * *\" is not a cron line that can be read: Error validating expression '99': the last value (99) is higher than the maximum value (59)"),
    ("5m", "0 0 30 feb feb", '10:12  watches.fraud.every: "0 0 30 feb feb" is not a cron line that can be read: Invalid weekday name "feb"'),
    ("5m", "0 9 * * *\n    timezone: Europe/Berln", '11:15  watches.fraud.timezone: "Europe/Berln" is not a time zone that this machine knows; write UTC or a name such as Europe/Berlin'),
    ("5m", "0 9 * * *\n    timezone: Europe", '11:15  watches.fraud.timezone: "Europe" is not a time zone that this machine knows; write UTC or a name such as Europe/Berlin'),
    ("5m", "0 9 * * *\n    timezone: ../etc/passwd", '11:15  watches.fraud.timezone: "../etc/passwd" is not a time zone that this machine knows; write UTC or a name such as Europe/Berlin'),
    ("5m", "5m\n    timezone: UTC", "11:5  watches.fraud.timezone: is for a cron line, and `every` is a duration; leave it out, or write a cron line"),
    ("5m", "5m\n    jitter: 6m", '11:13  watches.fraud.jitter: "6m" is longer than the interval, 5m'),
    ("5m", "5m\n    golden: fraud-2026", '11:13  watches.fraud.golden: no golden set is named "fraud-2026" (did you mean "fraud-2026q3"?)'),
    ("5m", "5m\n    targets: [fraud, fraud]", '11:22  watches.fraud.targets[1]: "fraud" is listed twice'),
    ("5m", "5m\n    targets: []", "11:14  watches.fraud.targets: is empty; at least one is needed"),
    ("5m", "5m\n    targets: [fraud]\n    target: fraud", "12:5  watches.fraud.target: `target` is short for `targets` with one name; keep one of the two"),
    ("5m", "5m\n    load: {warmup: 10001}", '11:20  watches.fraud.load.warmup: "10001" is out of range; it must be at most 10000'),
    ("5m", "5m\n    load: {scenario: offlin}", '11:22  watches.fraud.load.scenario: "offlin" is not one of single-stream, multi-stream, server, offline, constant (did you mean "offline"?)'),
    ("5m", "5m\n    load: {time_limit: 20m}", '11:24  watches.fraud.load.time_limit: "20m" is out of range; write 1ms to 10m'),
    ("50ms at p99", "3s at p99", "11:5  watches.fraud.objectives: no request can take as long as `latency` says, because `load.time_limit` ends it before; write a time_limit of at least 3s"),
    ("50ms at p99", "50ms", '11:27  watches.fraud.objectives.latency: "50ms" is not a latency objective; write 50ms at p99'),
    ("50ms at p99", "50ms at p10", '11:27  watches.fraud.objectives.latency: "50ms at p10" is out of range; write a quantile from p50 to p99.99'),
    ("0.1%", "0.001", '11:48  watches.fraud.objectives.errors: "0.001" is not a percentage; write 0.1% or 5%'),
    ("0.1%", "100%", '11:48  watches.fraud.objectives.errors: "100%" is out of range; write more than 0% and less than 100%'),
    ("no worse than 1 point", "1%", '11:64  watches.fraud.objectives.accuracy: "1%" is not a loss of accuracy; write "no worse than 1 point", which is 0.01 of accuracy'),
    ("1 per year", "never", '13:17  alerts.false_alarms: "never" is not a rate; write 1 per year, 2 per quarter or 1 per month'),
    ("1 per year", "", "13:16  alerts.false_alarms: an empty value is not a rate; write 1 per year, 2 per quarter or 1 per month"),
    ("alerts:\n  false_alarms: 1 per year", "log: {level: warn}", '12:14  log.level: "warn" is not one of debug, info, warning, error (did you mean "warning"?)'),
    ("alerts:\n  false_alarms: 1 per year", "exporters: {otlp: }", '12:13  exporters.otlp: missing key "endpoint"'),
    ("alerts:\n  false_alarms: 1 per year", "exporters: {otlp: {endpoint: c}}", '12:30  exporters.otlp.endpoint: "c" is not an address; write http://HOST:PORT or https://HOST:PORT, and secrets as headers'),
    ("alerts:\n  false_alarms: 1 per year", "exporters: {otlp: {endpoint: 'http://c', ca_file: ca.pem}}", "12:51  exporters.otlp.ca_file: is given, but `endpoint` does not begin with https"),
    ("alerts:\n  false_alarms: 1 per year", "exporters: {otlp: {endpoint: 'https://c', ca_file: ca.pem}}", '12:52  exporters.otlp.ca_file: "ca.pem" cannot be read as PEM: No such file or directory'),
    ("alerts:\n  false_alarms: 1 per year", "exporters: {otlp: {endpoint: 'http://c', traces: {requests: all}}}", '12:61  exporters.otlp.traces.requests: "all" is not a percentage; write 0.1% or 5%'),
    ("alerts:\n  false_alarms: 1 per year", "exporters: {prometheus: {listen: 9}}", '12:34  exporters.prometheus.listen: "9" is not an address to listen on; write 0.0.0.0:9870 or :9870'),
    ("alerts:\n  false_alarms: 1 per year", "alert: {}", '12:1  alert: unknown key "alert" (did you mean "alerts"?)'),
    ("alerts:", "? [a]\n: 1\nalerts:", "12:3  ?: a key must be text, not a list or mapping"),
    ("alerts:", "<<: 5\nalerts:", '12:1  <<: what "<<" merges must be a mapping, or a list of mappings'),
    ("  fraud-2026q3:", "  a: a\n  fraud-2026q3:", '10:3  watches.fraud: which golden set? None is named "fraud", so write `golden:` with one of a, fraud-2026q3'),
]  # fmt: skip

WHOLE = [
    (b"", "goldwatch.yaml  empty; a config needs targets, golden and watches"),
    (b"# nothing\n", "goldwatch.yaml  empty; a config needs targets, golden and watches"),
    (b"[a]", "goldwatch.yaml:1:1  not a mapping; a config begins with `targets:`"),
    (b"targets: {\n", "goldwatch.yaml:2:1  not valid YAML: expected the node content, but found '<stream end>'"),
    (b"a: *b", "goldwatch.yaml:1:4  not valid YAML: found undefined alias 'b'"),
    (
        b"a: 1\n---\nb: 2\n",
        "goldwatch.yaml:2:1  not valid YAML: expected a single document in the stream, but found another document",
    ),
    (b"a: b\nc: \xff", "goldwatch.yaml:2:4  not text in UTF-8"),
    (
        b"a: {b: ${C}}",
        "goldwatch.yaml:1:9  not valid YAML: expected ',' or '}', but got '{'; within { } or [ ] a reference stands in quotes",
    ),
    (b"a: \x07", "goldwatch.yaml  not valid YAML: special characters are not allowed"),
    (b'a: "\\UFFFFFFFF"', "goldwatch.yaml  not valid YAML: an escape or directive holds a number that is too large"),
    (b"a: " + b"[" * 40, "goldwatch.yaml:1:35  nested deeper than 32 levels"),
    (b"a: &a [*a]", "goldwatch.yaml:1:4  nested deeper than 32 levels"),
    (b"a: &a {<<: *a}", "goldwatch.yaml:1:4  nested deeper than 32 levels"),
    (b"#" * (2**20 + 1), "goldwatch.yaml  larger than 1 MiB; is it the right file?"),
]


@pytest.mark.parametrize(("old", "new", "said"), ONE_KEY)
def test_one_wrong_key_gives_one_problem(load_text: Load, old: str, new: str, said: str) -> None:
    assert old in START
    with pytest.raises(ConfigError) as caught:
        load_text(START.replace(old, new, 1), ENVIRON)
    assert str(caught.value) == f"goldwatch.yaml:{said}\n1 problem; nothing was started."


@pytest.mark.parametrize(("content", "said"), WHOLE)
def test_a_file_that_is_no_config_gives_one_problem(load_text: Load, content: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(content)
    assert [str(problem) for problem in caught.value.problems] == [said]


def test_aliases_that_explode_are_refused(load_text: Load) -> None:
    levels = "".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]\n" for i in range(1, 9))
    with pytest.raises(ConfigError, match=r"holds more than 100,000 keys and values once its aliases are followed"):
        load_text(f"l0: &l0 [x]\n{levels}")


@pytest.mark.parametrize(
    ("path", "said"), [("no.yaml", "no.yaml  no such file"), (".", ".  cannot be read: Is a directory")]
)
def test_a_path_that_is_no_file(path: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load(Path(path), {}, probes)
    assert [str(problem) for problem in caught.value.problems] == [said]


def test_all_problems_are_reported_together_in_the_order_of_the_file(load_text: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("""\
targets:
  fraud:
    prode: open-inference
    url: ${URL}
  digits: {probe: open-inference, url: http://a, token: hunter2, modle: x}
golden: {a: a}
watches:
  fraud: {every: 5 minuts, target: frauds, objectives: {error: 1%}}
  other: {load: {warmup: -1}}
ledgr: x
""")
    assert str(caught.value).splitlines() == [
        'goldwatch.yaml:3:5  targets.fraud.prode: unknown key "prode" (did you mean "probe"?)',
        "goldwatch.yaml:4:10  targets.fraud.url: environment variable URL is not set; set it, or write ${URL:-default}",
        "goldwatch.yaml:5:57  targets.digits.token: a secret must not be written in the file; use ${NAME} or ${file:PATH}",
        'goldwatch.yaml:5:66  targets.digits.modle: unknown key "modle" (did you mean "model"?)',
        'goldwatch.yaml:8:18  watches.fraud.every: "5 minuts" is not a duration; write 30s, 5m, 2h or a cron line',
        'goldwatch.yaml:8:36  watches.fraud.target: no target is named "frauds" (did you mean "fraud"?)',
        'goldwatch.yaml:8:57  watches.fraud.objectives.error: unknown key "error" (did you mean "errors"?)',
        'goldwatch.yaml:9:3  watches.other: which target? None is named "other", so write `target:` with one of digits, fraud',
        'goldwatch.yaml:9:26  watches.other.load.warmup: "-1" is out of range; it must be at least 0',
        'goldwatch.yaml:10:1  ledgr: unknown key "ledgr" (did you mean "ledger"?)',
        "10 problems; nothing was started.",
    ]


def test_sections_that_are_missing_are_named(load_text: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text("golden: {}\nlog: {}")
    assert [str(problem) for problem in caught.value.problems] == [
        'goldwatch.yaml:1:1  missing key "targets"',
        'goldwatch.yaml:1:1  missing key "watches"',
        "goldwatch.yaml:1:9  golden: is empty; at least one is needed",
    ]


NO_TIME = "is not a time; write 2026-12-01 22:00, which is UTC, or 2026-12-01 22:00+01:00"


@pytest.mark.parametrize(
    ("silence", "said"),
    [
        ("{until: 2026-12-01, why: x}", ':2:20  alerts.silences[0]: missing key "from"'),
        (
            "{from: 2026-12-01, until: tomorrow, why: x}",
            f':2:46  alerts.silences[0].until: "tomorrow" {NO_TIME}',
        ),
        (
            "{from: 2026-12-02, until: 2026-12-01, why: x}",
            ':2:46  alerts.silences[0].until: "2026-12-01" is no later than `from`',
        ),
        (
            "{from: 2026-12-01, until: 2026-12-02, why: x, watch: frauds}",
            ':2:73  alerts.silences[0].watch: no watch is named "frauds" (did you mean "fraud"?)',
        ),
        (
            "{from: 2026-12-01, until: 2026-12-02, whi: x}",
            ':2:58  alerts.silences[0].whi: unknown key "whi" (did you mean "why"?)',
        ),
    ],
)
def test_a_silence_that_would_silence_nothing_is_a_problem(load_text: Load, silence: str, said: str) -> None:
    start = START.replace("alerts:\n", "")
    rest = "\n".join(line for line in start.splitlines() if "false_alarms" not in line)
    with pytest.raises(ConfigError) as caught:
        load_text(f"alerts:\n  silences: [      {silence}]\n{rest}")
    assert [str(problem) for problem in caught.value.problems] == [f"goldwatch.yaml{said}"]


def test_a_rate_above_the_budget_of_a_target_is_a_problem_of_the_rate(load_text: Load) -> None:
    text = START.replace("model: fraud", "at_most: 5 per second").replace(
        "5m", "5m\n    load: {scenario: server, rate: 9 per second}"
    )
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    said = '"9 per second" is more than the budget of the target: targets.fraud.at_most, 5 per second'
    assert str(caught.value.problems[0]).endswith(f"watches.fraud.load.rate: {said}")


def test_an_open_load_and_a_budget_of_cpu_do_not_go_together(load_text: Load) -> None:
    text = START.replace("model: fraud", "cpu_at_most: 5%").replace(
        "5m", "5m\n    load: {scenario: server, rate: 9 per second}"
    )
    with pytest.raises(ConfigError) as caught:
        load_text(text)
    said = "the scenario server sends by a schedule, which a budget of tokens or CPU cannot slow down"
    assert str(caught.value.problems[0]).endswith(
        f"watches.fraud.load.scenario: {said}, and there is targets.fraud.cpu_at_most"
    )


OWED = next(line.strip() for line in START.splitlines() if "objectives:" in line)
JOULES = "objectives: {energy: 2 J per inference}"
COST = "objectives: {cost: 3 USD per million output tokens}"
METER = "{kind: estimate, power: 12 W, accuracy: 30%}"


@pytest.mark.parametrize(
    ("objectives", "energy", "said"),
    [
        (JOULES, "", '"2 J per inference" needs the section `energy`, which says how it is measured'),
        (
            COST,
            "energy: {}",
            '"3 USD per million output tokens" needs a price; write `energy: {price: {machine: 2.10 USD per hour}}`',
        ),
        (
            COST,
            "energy: {price: {machine: 2 EUR per hour}}",
            '"3 USD per million output tokens" is in another currency than the prices of `energy`, which are in EUR',
        ),
        (
            JOULES,
            f"energy: {{meters: {{cpu: {METER}}}}}",
            '"2 J per inference" would rest on `energy.meters.cpu`, an estimate: alerts need a measurement',
        ),
        (
            COST,
            f"energy: {{meters: {{cpu: {METER}}}, price: {{energy: 0.3 USD per kWh}}}}",
            '"3 USD per million output tokens" would rest on `energy.meters.cpu`, an estimate: alerts need a measurement',
        ),
        (
            "objectives: {energy: 2 W per inference}",
            "energy: {}",
            '"2 W per inference" is not an objective of energy; write 2 J per inference, or 20% above usual',
        ),
        (
            "objectives: {energy: 0 J per inference}",
            "energy: {}",
            '"0 J per inference" is out of range; write more than 0',
        ),
        (
            "objectives: {cost: 3 USD per token}",
            "energy: {}",
            '"3 USD per token" is not an objective of cost; write 2 USD per thousand inferences, or 20% above usual',
        ),
    ],
)
def test_an_objective_that_nothing_could_feed_is_a_problem(
    load_text: Load, objectives: str, energy: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_text(f"{energy}\n{START.replace(OWED, objectives)}")
    assert [str(problem).split(": ", 1)[1] for problem in caught.value.problems] == [said]


def test_objectives_of_energy_and_cost_that_something_feeds(load_text: Load) -> None:
    owed = "objectives: {energy: 20% above usual, cost: 3 USD per million output tokens}"
    energy = f"energy: {{meters: {{cpu: {METER}, gpu: {{kind: nvml}}}}, price: {{tokens: 1 USD per million tokens}}}}"
    text = START.replace(OWED, owed).replace("model: fraud", "meters: [gpu]")
    found = load_text(f"{energy}\n{text}").watches["fraud"].objectives
    assert found.energy is not None
    assert (found.energy.per, found.energy.limit, found.energy.above_usual) == ("inference", None, 0.2)
    assert found.cost is not None
    assert (found.cost.per, found.cost.limit, found.cost.unit) == ("output token", 3e-6, "USD")
