"""The limits of a config that comes from Watch resources, and of references."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goldwatch.config import ConfigError
from goldwatch.config.policy import allowed_references

from tests.config.conftest import Load
from tests.config.fakes import START


@pytest.mark.parametrize("policy", ["policy:", "policy: {}", "policy: {references: [OTHER]}", "policy: [TOKEN]"])
@pytest.mark.parametrize("above", [True, False])
def test_under_a_policy_no_reference_is_followed(load_text: Load, policy: str, above: bool) -> None:
    """Neither its value nor whether it exists may be learned from the message."""
    text = START.replace("    model: fraud", "    model: ${TOKEN}")
    text = f"{policy}\n{text}" if above else f"{text}\n{policy}\n"
    found = []
    for environ in ({"TOKEN": "canary"}, {}):
        with pytest.raises(ConfigError) as caught:
            load_text(text, environ)
        found.append(str(caught.value))
    assert found[0] == found[1]
    assert 'the reference "${TOKEN}" is not allowed; `policy.references` lists those that are' in found[0]


def test_a_policy_is_not_merged_into_the_file(load_text: Load) -> None:
    """It would be known only after the references had been followed."""
    text = START.replace("    model: fraud", "    model: ${TOKEN}") + "\n<<: {policy: {}}\n"
    with pytest.raises(ConfigError, match='policy: must be a key of the file itself, not one that "<<" merges'):
        load_text(text, {"TOKEN": "canary"})


def test_a_policy_allows_references_by_name(load_text: Load) -> None:
    text = START.replace("    model: fraud", "    model: ${MODEL}") + "\npolicy: {references: [MODEL]}\n"
    assert load_text(text, {"MODEL": "fraud"}).targets["fraud"].options["model"] == "fraud"


def test_other_sections_are_not_limited(load_text: Load) -> None:
    text = START + "\npolicy:\nlog: {level: '${LEVEL}'}\n"
    assert load_text(text, {"LEVEL": "debug"}).log.level == "debug"


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_reference_reads_regular_files_only(load_text: Load, tmp_path: Path, kind: str) -> None:
    path = {"pipe": tmp_path / "pipe", "device": Path("/dev/zero")}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(ConfigError, match="is not a regular file"):
        load_text(START.replace("    model: fraud", f"    model: ${{file:{path}}}"))


def test_all_references_together_have_a_bound(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / "large").write_text("x" * 60_000)
    labels = ", ".join([f"'${{file:{tmp_path}/large}}'"] * 100)
    with pytest.raises(ConfigError, match="references of this file stand for more than 4 MiB"):
        load_text(START.replace("    model: fraud", f"    model: [{labels}]"))


@pytest.mark.parametrize(
    ("host", "allowed", "by"),
    [
        ("fraud", True, []),
        ("127.0.0.1", True, []),
        ("169.254.169.254", False, []),
        ("2852039166", False, []),
        ("0xa9fea9fe", False, []),
        ("169.254.43518", False, []),
        ("[::ffff:169.254.169.254]", False, []),
        ("[fe80::1%25eth0]", False, []),
        ("user@169.254.169.254", False, []),
        ("Metadata.Google.Internal.", False, []),
        ("10.1.2.3", True, ["10.0.0.0/8"]),
        ("11.1.2.3", False, ["10.0.0.0/8"]),
        ("fraud.models.svc", True, [".models.svc"]),
        ("models.svc", False, [".models.svc"]),
        ("notmodels.svc", False, [".models.svc"]),
        ("FRAUD", True, ["fraud"]),
        ("fraud.example", False, ["fraud"]),
    ],
)
def test_a_policy_lists_addresses(load_text: Load, host: str, allowed: bool, by: list[str]) -> None:
    text = START.replace("http://localhost:8000", f"http://{host}:8000") + f"\npolicy: {{addresses: {by}}}\n"
    assert f"http://{host}:8000" in text
    if allowed:
        load_text(text)
        return
    with pytest.raises(ConfigError, match=r"targets\.\w+\.url: the address .* is not allowed by the section `policy`"):
        load_text(text)


def test_an_address_of_a_policy_is_one(load_text: Load) -> None:
    with pytest.raises(ConfigError, match="is no address; write a host, "):
        load_text(START + "\npolicy: {addresses: ['http://fraud']}\n")


@pytest.mark.parametrize(
    ("reference", "allowed"),
    [
        ("file:/secrets/fraud/token", True),
        ("file:/secrets/fraud.v2/token", False),
        ("file:/secrets/fraud/../risk/token", False),
        ("file:/secrets/fraud/..data", False),
        ("file:/secrets/fraud", False),
        ("file:/secrets/fraud/token ", False),
        ("file: /secrets/fraud/token", False),
        ("TOKEN", False),
    ],
)
def test_a_policy_allows_secrets_by_name(reference: str, allowed: bool) -> None:
    assert (reference in allowed_references({"policy": {"secrets": ["fraud"]}})) == allowed


def test_a_watch_resource_asks_no_socket_of_the_machine(load_text: Load) -> None:
    text = START.replace("    model: fraud", "    model: unix:/run/containerd.sock")  # in whichever option
    assert load_text(text).targets["fraud"].options["model"] == "unix:/run/containerd.sock"
    with pytest.raises(ConfigError, match="a socket of this machine is not allowed by the section `policy`"):
        load_text(f"policy: {{}}\n{text}")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("token_command: [sh]", "a program is not allowed by the section `policy`"),
        ("aws_service: s3", "a signature with the credentials of the agent is not allowed"),
    ],
)
def test_a_watch_resource_uses_nothing_of_the_agent(load_text: Load, written: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_text("policy: {}\n" + START.replace("    model: fraud", f"    model: fraud\n    {written}"))
