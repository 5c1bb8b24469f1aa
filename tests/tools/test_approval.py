"""Consent: when the user is asked, saved approvals, and new questions after a tool changes."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.chat.tool_call import ToolCall
from hermes_cli.errors import OutputError
from hermes_cli.tools.approval import CANNOT_ASK, DENIED_BY_POLICY, Approvals, Decision, Policy, always_approved
from hermes_cli.tools.tool import Tool

ACTS = Tool("send", "Send it.", {}, False, "/tools.py", "1" * 64)
LOOKS = Tool("look", "Look.", {}, True, "/tools.py", "1" * 64)
TOOLS = {tool.name: tool for tool in (ACTS, LOOKS)}
SEND, LOOK = ToolCall("send", {"x": 1}), ToolCall("look", {})


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config folder of this test's own, not made yet."""
    monkeypatch.setattr(paths, "config_folder", lambda: tmp_path / "config")
    return tmp_path / "config"


def approvals(policy: Policy = "ask", *, interactive: bool = True, tool: Tool = ACTS) -> Approvals:
    return Approvals({**TOOLS, tool.name: tool}, policy=policy, interactive=interactive)


def test_policies() -> None:
    assert approvals().decide(SEND) is None
    assert approvals(interactive=False).decide(SEND) == Decision(False, reason=CANNOT_ASK)
    assert approvals("yes", interactive=False).decide(SEND) == Decision(True)
    assert approvals("deny").decide(SEND) == approvals("deny").decide(LOOK) == Decision(False, reason=DENIED_BY_POLICY)
    assert approvals().decide(LOOK) == approvals(interactive=False).decide(LOOK) == Decision(True)
    assert approvals().decide(ToolCall("nothing", {})) == Decision(True)


@pytest.mark.parametrize("decision", [Decision(True), Decision(False, reason="no"), Decision(False, "always")])
def test_once_and_no_are_not_remembered(decision: Decision, own_config: Path) -> None:
    one = approvals()
    one.remember(SEND, decision)
    assert one.decide(SEND) is None
    assert not own_config.exists()


def test_session_approval_applies_to_that_session_only(own_config: Path) -> None:
    one = approvals()
    one.remember(SEND, Decision(True, "session"))
    assert one.decide(SEND) == Decision(True)
    assert approvals().decide(SEND) is None
    assert not own_config.exists()


def test_always_holds_for_the_tool_as_it_is(own_config: Path) -> None:
    approvals().remember(SEND, Decision(True, "always"))
    assert approvals().decide(SEND) == approvals(interactive=False).decide(SEND) == Decision(True)
    assert always_approved(ACTS)
    changed = replace(ACTS, sha256="2" * 64)
    assert approvals(tool=changed).decide(SEND) is None
    assert not always_approved(changed)
    file = own_config / "tool-approvals.json"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, own_config)] == [0o600, 0o700]
    approvals(tool=changed).remember(SEND, Decision(True, "always"))
    assert approvals().decide(SEND) == approvals(tool=changed).decide(SEND) == Decision(True)
    assert approvals("deny").decide(SEND) == Decision(False, reason=DENIED_BY_POLICY)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"always": 3}', '{"always": [3, {}, {"tool": 1, "sha256": []}]}', "[" * 9999]
)
def test_unreadable_approvals_file_approves_nothing(own_config: Path, content: str) -> None:
    own_config.mkdir()
    paths.tool_approvals_file().write_text(content)
    assert approvals().decide(SEND) is None
    approvals().remember(SEND, Decision(True, "always"))
    assert json.loads(paths.tool_approvals_file().read_text()) == {"always": [{"tool": "send", "sha256": "1" * 64}]}


def test_a_file_that_cannot_be_written_is_an_error_and_the_session_still_remembers(own_config: Path) -> None:
    own_config.write_text("a file in the place of the folder")
    one = approvals()
    with pytest.raises(OutputError, match="cannot save the approval"):
        one.remember(SEND, Decision(True, "always"))
    assert one.decide(SEND) == Decision(True)
