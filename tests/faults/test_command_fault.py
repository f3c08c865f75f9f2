"""Faults by commands: what each is told, what its ending means, and that the undo alone is enough to take one out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from real_servers import FakeBackend

from harness.faults.command import KIND, CommandFault, CommandParameters, is_gone, take_out
from harness.model.errors import FaultError, HarnessError
from harness.model.faultstep import FaultStep
from harness.model.stack import ServiceSpec, StackDescription
from harness.seams import Seams

FLAG = {
    "prepare": ["sh", "-c", "echo looking; cat flag"],
    "inject": ["sh", "-c", "echo $HARNESS_FAULT:$HARNESS_TARGET > flag"],
    "confirm": ["sh", "-c", 'grep -q it: flag && echo \'{"seen": "on"}\''],
    "revert": ["sh", "-c", "echo $HARNESS_PREPARED > flag"],
}


def fault(folder: Path, **commands: Any) -> CommandFault:
    raw = {"id": "it", "at": "0s", "fault": "command", "target": {"service": "web"}, "for": "1s", "with": commands}
    services = {"web": ServiceSpec(name="web", index=0, node="a", port=80)}
    stack = StackDescription(schema=1, name="s", file=str(folder / "compose.yaml"), services=services)
    seams = Seams(FakeBackend(addresses={"web": "127.0.0.9:8000"}), stack)
    made = KIND.make(FaultStep.model_validate(raw), seams, 1)
    assert isinstance(made, CommandFault)
    return made


async def test_a_fault_goes_in_and_out_by_its_commands(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.write_text("as it was\n")
    made = fault(tmp_path, **FLAG)
    undo = json.loads(json.dumps(await made.prepare()))
    assert (await made.confirm()).landed is False
    await made.inject()
    assert flag.read_text() == "it:service web\n"
    landing = await made.confirm()
    assert (landing.landed, landing.evidence) == (True, {"seen": "on", "exit_code": 0})
    assert (await made.absent()).landed is True
    for _ in range(2):
        await made.revert(undo)
        assert flag.read_text() == "as it was\n"
    assert (await made.absent()).landed is False


async def test_the_undo_alone_takes_it_out(tmp_path: Path) -> None:
    (tmp_path / "flag").write_text("before\n")
    absent = ["sh", "-c", "! grep -q it: flag"]
    undo = json.loads(json.dumps(await fault(tmp_path, **FLAG, absent=absent).prepare()))
    await fault(tmp_path, **FLAG).inject()
    assert (await is_gone(undo)).landed is True
    await take_out(undo)
    assert (tmp_path / "flag").read_text() == "before\n"
    assert (await is_gone(undo)).landed is False


@pytest.mark.parametrize(
    ("name", "then", "now", "said"),
    [
        ("TARGET_DIR", "here", None, "the variable TARGET_DIR was set there — set it as it was, and heal again"),
        ("TARGET_DIR", "here", "other", "the variable TARGET_DIR had another value there — set it as it was"),
        ("TARGET_DIR", None, "other", "the variable TARGET_DIR was not set there — unset it as it was"),
        ("KUBECONFIG", None, "other", "the variable KUBECONFIG was not set there"),
    ],
)
async def test_another_shell_that_would_act_elsewhere_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, then: str | None, now: str | None, said: str
) -> None:
    """With other variables `revert` would change something else, and `absent` measure it."""
    (tmp_path / "flag").write_text("in")
    _set(monkeypatch, name, then)
    words = {
        "inject": ["true"], "confirm": ["sh", "-c", "test -e ${TARGET_DIR:-.}/flag"],
        "revert": ["sh", "-c", 'x=1; rm -f "$TARGET_DIR/flag"'],
    }  # fmt: skip
    undo = json.loads(json.dumps(await fault(tmp_path, **words).prepare()))
    assert (then or "here") not in json.dumps(undo["variables"])
    _set(monkeypatch, name, now)
    for acting in (take_out, is_gone):
        with pytest.raises(FaultError) as refused:
            await acting(undo)
        assert said in str(refused.value)
    assert (tmp_path / "flag").exists()
    _set(monkeypatch, name, then)
    await take_out(undo)


def _set(monkeypatch: pytest.MonkeyPatch, name: str, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("code", "landed", "gone"), [(0, True, True), (1, False, False), (2, None, None), (127, None, None)]
)
async def test_how_commands_end_is_what_was_measured(
    tmp_path: Path, code: int, landed: bool | None, gone: bool | None
) -> None:
    ends = ["sh", "-c", f"echo done; exit {code}"]
    assert (await fault(tmp_path, **{**FLAG, "confirm": ends}).confirm()).landed is landed
    assert (await fault(tmp_path, **{**FLAG, "confirm": ends}).absent()).landed is gone
    by_absent = await fault(tmp_path, **FLAG, absent=ends).absent()
    assert by_absent.landed is (None if gone is None else not gone)
    assert by_absent.evidence == {"output": "done", "exit_code": code}


async def test_services_have_addresses_and_secrets_stay_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_KEY", "k3y-of-the-cloud")
    words = [
        "sh",
        "-c",
        "echo '{\"argv\": \"'$0'\"}'; test $0 = k3y-of-the-cloud@127.0.0.9:8000",
        "${secret:CLOUD_KEY}@web:80",
    ]
    made = fault(tmp_path, inject=words, confirm=words, revert=words)
    await made.inject()
    undo = await made.prepare()
    assert undo["revert"][-1] == "${secret:CLOUD_KEY}@127.0.0.9:8000"
    assert (await made.confirm()).evidence == {"argv": "***@127.0.0.9:8000", "exit_code": 0}
    failing = fault(
        tmp_path, inject=["sh", "-c", "echo $0 >&2; exit 1", "${secret:CLOUD_KEY}"], confirm=words, revert=words
    )
    with pytest.raises(FaultError, match=r"`inject` ended with 1: \*\*\*"):
        await failing.inject()
    monkeypatch.delenv("CLOUD_KEY")
    with pytest.raises(HarnessError, match="the secret 'CLOUD_KEY' is not in the environment"):
        await made.inject()


async def test_commands_that_cannot_be_run_say_so(tmp_path: Path) -> None:
    slow = [sys.executable, "-c", "import time; time.sleep(60)"]
    made = fault(tmp_path, inject=slow, confirm=["no-such-program"], revert=["./gone"], timeout="200ms")
    with pytest.raises(FaultError, match=r"took longer than 0\.2 s"):
        await made.inject()
    with pytest.raises(FaultError, match="'no-such-program' cannot be started: No such file"):
        await made.confirm()
    with pytest.raises(FaultError, match="cannot be started"):
        await made.revert(await made.prepare())


@pytest.mark.parametrize(
    "said", ["", "text", "3", "[1]", '{"a": NaN}', "[" * 3000, '{"exit_code": 7}'], ids=lambda said: said[:10]
)
async def test_whatever_confirm_prints_can_be_kept_as_evidence(tmp_path: Path, said: str) -> None:
    (tmp_path / "said").write_text(said)
    evidence = (await fault(tmp_path, **{**FLAG, "confirm": ["cat", "said"]}).confirm()).evidence
    assert json.loads(json.dumps(evidence, allow_nan=False))["exit_code"] == 0


@pytest.mark.parametrize(
    ("commands", "hint"),
    [
        ({"inject": ["a"], "confirm": ["a"]}, "revert"), ({**FLAG, "inject": "rm -rf x"}, "a list of words"),
        ({**FLAG, "inject": []}, "at least 1 item"), ({**FLAG, "timeout": "1h"}, "120 s at most"),
        ({**FLAG, "undo": ["a"]}, "undo"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_meant(commands: dict[str, Any], hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CommandParameters.model_validate(commands)
    assert hint in str(caught.value)
