"""The commands of a chat: parsing, effects and completion."""

import re
import string
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.engine.background import BackgroundBackend
from hermes_cli.engine.local import LoadSettings, open_backend
from hermes_cli.errors import ContextOverflow, HermesError, ModelNotFound, OutputError, UsageError
from hermes_cli.models.choose import find_model
from hermes_cli.session.choices import Layers
from hermes_cli.session.session import Session
from hermes_cli.session.sources import from_session
from hermes_cli.session.tool_loading import ToolLoader
from hermes_cli.store.sessions.reader import read_session
from hermes_cli.store.sessions.writer import Transcript
from hermes_cli.terminal.chat import slash_commands
from hermes_cli.terminal.chat.chat import Chat
from hermes_cli.terminal.consent import Consent
from tests.saved import message

SUM, SUM_ANSWER = "What is 2 plus 3?", "2 plus 3 is 5."
NAME, NAME_ANSWER = "My name is Alice.", "Nice to meet you, Alice!"
LONG = f"{'one ' * 60}{NAME}"  # more than a summary
GREEDY = SessionSettings("demo", sampling=Sampling(temperature=0, repeat_penalty=1))


def open_model(name: str) -> BackgroundBackend:
    spec = find_model(name)
    options = LoadSettings(context_length=512)
    return BackgroundBackend(
        spec.name, lambda cancel, progress: open_backend(spec.path, options, cancel=cancel, on_progress=progress)
    )


@pytest.fixture
def chat() -> Iterator[Chat]:
    """A chat in a pipe on the demo model, saved."""
    backend = open_model("demo")
    session = Session(backend, settings=GREEDY, transcript=Transcript.new(GREEDY, None))
    tools = ToolLoader(Consent, {})
    layers = Layers(flags=from_session(GREEDY, None))
    opened = Chat(session, backend, layers, open_model=open_model, tools=tools, interactive=False)
    yield opened
    opened.session.close()


@pytest.fixture
def say(chat: Chat, capfd: pytest.CaptureFixture[str]) -> "Say":
    return Say(chat, capfd)


class Say:
    """Types a line into the chat and returns the output on stdout and on stderr."""

    def __init__(self, chat: Chat, capture: pytest.CaptureFixture[str]) -> None:
        self._chat, self._capture = chat, capture

    def __call__(self, line: str) -> tuple[str, str]:
        parsed = slash_commands.parse(line)
        if isinstance(parsed, str):
            self._chat.say(parsed)
        else:
            parsed[0].run(self._chat, parsed[1])
        return tuple(self._capture.readouterr())  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("hello", "hello"),
        ("//retry is a command", "/retry is a command"),
        ("/", "/"),
        ("/ x", "/ x"),
        (" /retry", " /retry"),
    ]
    + [(path, path) for path in ("/etc/hosts is what?", "/no/such/file", "/tmp")],
)
def test_lines_that_are_text(line: str, text: str) -> None:
    assert slash_commands.parse(line) == text


@pytest.mark.parametrize(
    ("line", "name", "argument"),
    [
        ("/retry", "retry", ""),
        ("/regen", "retry", ""),
        ("/RETRY  temperature=0 ", "retry", "temperature=0"),
        ("/ret", "retry", ""),
        ("/reg", "retry", ""),
        ("/bye", "exit", ""),
        ("/sys x", "system", "x"),
        ("/?", "help", ""),
        ("/system You are\nBrinda.", "system", "You are\nBrinda."),
    ],
)
def test_lines_that_are_commands(line: str, name: str, argument: str) -> None:
    parsed = slash_commands.parse(line)
    assert not isinstance(parsed, str) and (parsed[0].name, parsed[1]) == (name, argument)


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("/exitt", "there is no command /exitt", "did you mean /exit? // sends it as text"),
        ("/xyzzy", "there is no command /xyzzy", "/help lists them; // sends it as text"),
        (f"/{'x' * 300}", f"there is no command /{'x' * 300}", "/help lists them; // sends it as text"),
        ("/exit now", "/exit takes no argument", "start with // to send the line as text"),
        ("/s", "/s could be /system or /set or /show or /schema or /stats or /sessions", "type more letters"),
    ],
)
def test_unknown_command_gets_a_hint_and_is_never_sent(line: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        slash_commands.parse(line)
    assert (raised.value.message, raised.value.hint) == (message, hint)


def test_help_lists_every_command_with_its_line_and_explains_one(say: Say) -> None:
    _, text = say("/help")
    for command in slash_commands.TABLE:
        assert f"/{command.name}" in text and command.help and command.help in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert say("/help /ret")[1].startswith(
        "/retry [KEY=VALUE]  Generate the last answer again; the earlier one stays.\n/prev and /next switch "
    )


def test_retry_answers_again_and_undo_takes_back(chat: Chat, say: Say) -> None:
    assert say(SUM)[0] == f"{SUM_ANSWER}\n"
    assert say("/retry temperature=0")[0] == f"{SUM_ANSWER}\n"
    assert len(chat.session.conversation.turns) == 1
    assert re.fullmatch(r"Hermes demo model · ctx [1-9]\d/512 · [\d.]+ tok/s", chat.status())
    assert "removed: 1 turn" in say("/undo")[1]
    assert " · ctx 0/512 · " in chat.status()
    assert not chat.session.conversation.turns
    with pytest.raises(UsageError):
        say("/undo")


def test_continue_resumes_an_answer_that_was_cut(chat: Chat, say: Say) -> None:
    say("/set max_tokens 3")
    begun = say(SUM)[0].rstrip("\n")
    say("/set max_tokens default")
    assert begun + say("/continue")[0] == f"{SUM_ANSWER}\n"


def test_undo_and_redo_move_along_the_branch(chat: Chat, say: Say) -> None:
    say(SUM)
    say(NAME)
    assert "removed: 2 turns" in say("/undo 2")[1]
    assert "/redo restores more" in say("/redo")[1]
    assert "restored: 1 turn" in say("/redo")[1]
    assert [turn.question for turn in chat.session.conversation.turns] == [SUM, NAME]
    with pytest.raises(UsageError, match="nothing to redo"):
        say("/redo")


def test_every_answer_can_be_chosen_again(chat: Chat, say: Say) -> None:
    say(SUM)
    with pytest.raises(UsageError, match="no other answer"):
        say("/prev")
    say("/prefill The sum is")
    out, notes = say("/retry")
    assert out.startswith("The sum is") and "answer 2 of 2; /prev switches" in notes
    assert say("/prev")[0] == f"{SUM_ANSWER}\n"
    assert say("/next")[0] == out
    with pytest.raises(UsageError, match="the last of 2 versions"):
        say("/next")
    say("/prev")
    say(NAME)
    assert "answer 2 of 2" in say("/next 1")[1]
    assert "answer 1 of 2; /next switches; /redo restores the turns after it" in say("/prev")[1]
    say("/redo")
    assert chat.session.conversation.turns[-1].question == NAME


def test_the_tree_shows_all_branches_and_goes_to_any_turn(chat: Chat, say: Say) -> None:
    say(SUM)
    say(NAME)
    say("/undo 2")
    say(NAME)
    lines = say("/tree")[1].splitlines()
    assert [line.partition(" → ")[0] for line in lines] == [
        f"  1 ├─ {SUM}",
        f"  2 │  {NAME}",
        f"* 3 └─ {NAME}",
    ]
    assert say("/tree 2")[0] == f"{NAME_ANSWER}\n"
    assert [turn.question for turn in chat.session.conversation.turns] == [SUM, NAME]
    with pytest.raises(UsageError, match="no turn #9"):
        say("/tree 9")


def test_a_fork_begins_at_a_turn(chat: Chat, say: Say) -> None:
    say(SUM)
    say(NAME)
    first = chat.transcript().path
    say("/fork 1 Another try")
    assert [turn.question for turn in chat.session.conversation.turns] == [SUM]
    assert chat.transcript().title == "Another try"
    assert [turn.question for turn in read_session(first).conversation.turns] == [SUM, NAME]
    assert say("/title")[1] == "Another try\n"


def test_a_prefill_begins_the_next_answer_or_every_one(chat: Chat, say: Say) -> None:
    say("/prefill Well, ")
    assert say(SUM)[0].startswith("Well")
    assert say(SUM)[0] == f"{SUM_ANSWER}\n"
    say("/prefill --keep Sure, ")
    assert say(SUM)[0].startswith("Sure") and say(SUM)[0].startswith("Sure")
    say("/prefill -")
    assert say(NAME)[0] == f"{NAME_ANSWER}\n"
    assert [turn.answer.content[:4] for turn in chat.session.conversation.turns[:3]] == ["Well", "2 pl", "Sure"]


def test_earlier_turns_are_shown_again(chat: Chat, say: Say) -> None:
    say(SUM)
    say(NAME)
    assert say("/last")[0] == f"{NAME_ANSWER}\n"
    assert say("/last 1")[0] == f"{SUM_ANSWER}\n"
    assert say("/history")[0] == f"1> {SUM}\n\n{SUM_ANSWER}\n\n2> {NAME}\n\n{NAME_ANSWER}\n"
    assert say("/history 1")[0] == f"2> {NAME}\n\n{NAME_ANSWER}\n"


def test_retry_sends_again_what_got_no_answer(chat: Chat, say: Say) -> None:
    with pytest.raises(UsageError):
        say("/retry")
    with pytest.raises(HermesError):
        say("qx " * 1000)
    with pytest.raises(HermesError, match="tokens"):
        say("/retry")
    say(SUM)
    say("/retry")
    assert len(chat.session.versions(chat.session.conversation.turns[-1])) == 2


def test_retry_distinguishes_an_unanswered_message_from_an_answered_one_with_the_same_beginning(
    chat: Chat, say: Say, tmp_path: Path
) -> None:
    say(f"{SUM} Please.")
    (tmp_path / "long.txt").write_text("qx " * 1000)
    say(f"/attach {tmp_path / 'long.txt'}")
    for line in (SUM, "/retry"):
        with pytest.raises(ContextOverflow):
            say(line)


def test_attached_file_waits_for_a_turn_that_succeeds_also_after_turns_were_left_out(
    chat: Chat, say: Say, tmp_path: Path
) -> None:
    while chat.session.context_tokens() < 340:
        say(SUM)
    attached = tmp_path / "long.txt"
    attached.write_text("<qx> " * 44)
    say(f"/attach {attached}")
    chat.session.stop = tuple(string.printable)  # nothing is said: the turn is withdrawn
    assert "left out of the context" in say(SUM)[1]
    assert len(chat.attached) == 1


def test_clear_begins_a_session_of_its_own_with_the_same_settings(chat: Chat, say: Say) -> None:
    say("/system You are Brinda.")
    say(NAME)
    first = chat.transcript().path
    assert "system prompt and settings stay" in say("/new")[1]
    say(SUM)
    assert chat.transcript().path != first
    assert [turn.question for turn in read_session(first).conversation.turns] == [NAME]
    second = read_session(chat.transcript().path)
    assert [turn.question for turn in second.conversation.turns] == [SUM]
    assert second.conversation.system_prompt == "You are Brinda."


def test_system_prompt_is_shown_changed_and_removed(chat: Chat, say: Say) -> None:
    assert say("/system")[1] == "no system prompt\n"
    say('/system """You are\nBrinda."""')
    assert chat.session.conversation.system_prompt == "You are\nBrinda."
    assert say("/system")[1] == "You are\nBrinda.\n"
    say("/system -")
    assert chat.session.conversation.system_prompt is None


def test_preset_is_applied_with_its_variables(chat: Chat, say: Say) -> None:
    say("/preset translate language='simple Greek'")
    assert "Greek" in (chat.session.conversation.system_prompt or "")
    assert say("/preset")[1] == "translate\n"
    with pytest.raises(UsageError):
        say("/preset translat")
    say("/preset -")
    assert chat.session.settings.preset is None and chat.session.conversation.system_prompt is None


def test_values_are_set_and_shown_and_wrong_ones_refused(chat: Chat, say: Say) -> None:
    say("/set temperature 0.3")
    say("/set top-k=5")
    assert chat.session.settings.sampling == Sampling(temperature=0.3, repeat_penalty=1, top_k=5)
    assert say("/set logit_bias 5=-100,7=1.5")[1] == "logit_bias is 5=-100,7=1.5 from the next message on\n"
    assert chat.session.settings.sampling.logit_bias == "5=-100,7=1.5"
    say("/set logit_bias default")
    say("/set seed = 4294967295")
    say("/set max-tokens 2147483647")
    shown = say("/show")[1]
    assert "seed            4294967295\n" in shown and "max_tokens      2147483647\n" in shown
    assert (
        "temperature     0.3\n" in shown and "top_p           1 (default)\n" in shown and chat.transcript().id in shown
    )
    assert "mirostat" not in shown
    say("/set repeat-last-n all")
    say("/set mirostat 2")
    assert say("/set logit_bias 5=-100,7=1") == say("/set logit_bias = 5=-100,7=1")
    assert say("/set logit_bias") == ("", "logit_bias is 5=-100,7=1\n")
    say("/set logit_bias none")
    shown = say("/show")[1]
    assert "mirostat        2\n" in shown and "repeat_last_n   all\n" in shown and "mirostat_tau" not in shown
    assert say("/set parameter temperature 0.4")[1] == "temperature is 0.4 from the next message on\n"
    say("/set temperature 0.3")
    assert say("/set temp") == ("", "temperature is 0.3\n")
    assert say("/set min_p") == ("", "min_p is 0 (default)\n")
    assert "temperature         0.3\n" in say("/set")[1] and "mirostat_tau        5 (default)\n" in say("/set")[1]
    for wrong in (
        "/set temprature 1",
        "/set temperature hot",
        "/set top_p 2",
        "/set top_k 1.5",
        "/set max_tokens 0",
        "/set temperature 0.3 0.4",
        "/set temperature =",
        "/set =",
    ):
        with pytest.raises(UsageError):
            say(wrong)
    with pytest.raises(UsageError) as unknown:
        say("/set volume 11")
    assert (unknown.value.message, unknown.value.hint) == ("there is no setting volume", "/set lists all keys")


def test_the_model_changes_and_stays_where_the_new_one_is_not_there(
    chat: Chat, say: Say, demo_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(NAME)
    with pytest.raises(ModelNotFound):
        say("/model no-such-model")
    say(f"/model {demo_path}")
    assert chat.session.settings.model == str(demo_path)
    monkeypatch.chdir(demo_path.parent)
    say(f"/model {demo_path.name}")
    assert chat.session.settings.model == str(demo_path)
    assert "Alice" in say("What is my name?")[0]


def test_if_a_model_cannot_be_loaded_the_old_one_is_used_again(chat: Chat, say: Say, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(HermesError):
        say(f"/model {broken}")
    assert say(SUM)[0] == f"{SUM_ANSWER}\n"


def test_a_file_goes_with_the_next_message_only(chat: Chat, say: Say, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("The code of Mira is 7312.")
    say(f"/attach {tmp_path / 'notes.txt'}")
    assert "7312" in say("What is the code of Mira?")[0]
    say(SUM)
    assert "notes.txt" not in chat.session.conversation.turns[1].question
    for wrong in ("/run", "/attach no-such-file"):
        with pytest.raises(UsageError):
            say(wrong)


def test_a_prefill_for_every_answer_is_saved_with_the_session(chat: Chat, say: Say) -> None:
    assert say("/prefill --keep Sure, ")[1] == "every answer begins with: Sure,\n"
    say(SUM)
    assert chat.session.transcript
    path = chat.session.transcript.path
    assert read_session(path).settings.prefill == "Sure,"
    say("/new")
    assert say("/prefill")[1] == "every answer begins with: Sure,\n"
    say("/prefill -")
    say(f"/load {path}")
    assert say("/prefill")[1] == "every answer begins with: Sure,\n"
    assert say("/prefill -")[1] == "no prefill\n"
    assert read_session(path).settings.prefill is None


def test_a_full_context_drops_turns_or_is_an_error_as_set(chat: Chat, say: Say) -> None:
    say("/set overflow error")
    with pytest.raises(ContextOverflow) as raised:
        for _ in range(9):
            say(f"{'qx ' * 40}{SUM}")
    assert raised.value.hint.startswith("drop the oldest turns with /set overflow drop, start a new session")
    assert say("/set overflow drop")[1] == "overflow is drop from the next message on\n"
    said = say(f"{'qx ' * 40}{SUM}")[1]
    assert re.search(r"left out of the context: turn.*; the other [\d.k]+ tok are processed again", said)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("/set ctx 4096", "leave with /exit, then: hermes -c --ctx VALUE"),
        ("/set num_ctx 4096", "leave with /exit, then: hermes -c --ctx VALUE"),
        ("/set endpoint http://localhost", "leave with /exit, then: hermes -c --endpoint VALUE"),
        ("/set model x", "use /model NAME"),
        ("/set width 80", "change it with: hermes config set width VALUE"),
    ],
)
def test_settings_that_cannot_be_set_in_a_chat_hint_how_to_change_them(say: Say, line: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        say(line)
    assert raised.value.hint == hint


def test_several_files_are_attached_listed_and_removed(chat: Chat, say: Say, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "two words.txt"):
        (tmp_path / name).write_text("The code of Mira is 7312.")
    said = say(f"/attach {tmp_path}/[ab].txt '{tmp_path}/two words.txt'")[1]
    assert re.fullmatch(r"attached to the next message: 3 files, about \d+ tokens\n", said)
    chat.ready()
    assert re.fullmatch(r"(.*(a|b|two words)\.txt, \d+ tokens\n){3}", say("/attach")[1])
    say("/attach -")
    assert say("/attach")[1].startswith("nothing is attached")
    (tmp_path / "p.png").write_bytes(b"\x89PNG\0")
    with pytest.raises(UsageError, match="picture"):
        say(f"/attach {tmp_path}/p.png {tmp_path}/a.txt")
    assert not chat.attached


def test_the_output_of_a_command_goes_with_the_next_message(chat: Chat, say: Say) -> None:
    shown = say("/run echo The code of Mira is 7312.; exit 3")[1]
    assert shown.startswith("The code of Mira is 7312.\nexit status 3\nattached to the next message: echo")
    assert "7312" in say("What is the code of Mira?")[0]
    assert say("/run true")[1] == "no output; nothing is attached\n"


def test_a_prompt_and_the_beginning_of_an_answer_can_be_in_a_file(chat: Chat, say: Say, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("Be brief.\n")
    say(f"/system @{tmp_path / 'text'}")
    say(f"/prefill --keep @{tmp_path / 'text'}")
    assert (chat.session.conversation.system_prompt, chat.beginning) == ("Be brief.", "Be brief.")


def test_file_name_quoted_by_drag_and_drop_is_accepted(chat: Chat, say: Say, tmp_path: Path) -> None:
    notes, tools = tmp_path / "my notes.txt", tmp_path / "my tools.py"
    notes.write_text("The code of Mira is 7312.")
    tools.write_text('def add(a: int, b: int) -> int:\n    """Add."""\n    return a + b\n')
    escaped = str(notes).replace(" ", "\\ ")
    for name in (notes, f"'{notes}'", f'"{notes}"', escaped):
        say(f"/attach {name}")
    assert len(chat.attached) == 4 and len(set(chat.attached)) == 1
    assert "add" in say(f"/tools '{tools}' calculate")[1]
    say("/tools -")
    say(SUM)
    say(f"/export '{tmp_path / 'my chat.md'}'")
    assert (tmp_path / "my chat.md").exists()
    with_quote = tmp_path / "it's"
    with_quote.write_text("as it is")
    say(f"/attach {with_quote}")
    assert "as it is" in chat.attached[0].text


def test_too_long_attachment_can_be_removed(chat: Chat, say: Say, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("qx " * 1000)
    say(f"/attach {tmp_path / 'long.txt'}")
    with pytest.raises(ContextOverflow) as raised:
        say(SUM)
    assert raised.value.hint.startswith("remove the files with /attach -, or ")
    say("/attach -")
    assert say(SUM)[0] == f"{SUM_ANSWER}\n"


def test_without_a_clipboard_copy_is_an_error_as_is_what_is_not_there(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    say(SUM)
    with pytest.raises(HermesError, match="no clipboard"):
        say("/copy")
    with pytest.raises(UsageError, match="no code block"):
        say("/copy code")
    with pytest.raises(UsageError):
        say("/copy 2")


def test_context_command_shows_each_turn(chat: Chat, say: Say) -> None:
    say("/system Be brief.")
    say(NAME)
    say(SUM)
    say("/pin 1")
    say("/hide 2")
    rows = say("/context")[1].splitlines()
    assert rows[0].startswith("context 512 tok: ")
    assert rows[1].split()[0] == "system" and rows[1].endswith("Be brief.")
    assert rows[2].split()[0] == "1" and rows[2].endswith(f"{NAME} [pinned]") and "█" in rows[2]
    assert rows[3].split()[0] == "2" and rows[3].endswith(f"{SUM} [left out]") and "█" not in rows[3]
    used = int(rows[0].split()[3])
    tokens = [int(row.split()[1]) for row in rows[1:3]]
    assert used == sum(tokens)
    for wrong in ("/pin 3", "/pin x", "/pin 0", "/hide 1-9", "/pin 2-1"):
        with pytest.raises(UsageError):
            say(wrong)


def test_compact_continues_from_a_summary(chat: Chat, say: Say) -> None:
    say(LONG)
    say(SUM)
    before = chat.session.context_tokens()
    out, notes = say("/compact keep 1")
    assert f"summarised: {before} tok reduced to {chat.session.context_tokens()}; /undo restores the turns\n" in notes
    assert [turn.state for turn in chat.session.conversation.turns] == ["left_out", "kept", "pinned"]
    assert chat.session.conversation.turns[-1].answer.content + "\n" == out


def test_compact_says_why_it_keeps_the_turns(chat: Chat, say: Say) -> None:
    say(NAME)
    before = chat.session.conversation
    notes = say("/compact")[1]
    assert re.search(
        r"^summary not used: it would take up \d+ tok, the turns take up \d+; nothing has changed$", notes, re.M
    )
    assert chat.session.conversation == before
    assert say(SUM)[0] == f"{SUM_ANSWER}\n"


def test_compact_in_a_full_context_summarises_every_turn_and_undo_restores_them(chat: Chat, say: Say) -> None:
    number = 0
    chat.ready()
    while not chat.session.turns_to_leave_out(question := f"My name is Alice, and what is {number} plus 3, please?"):
        number += 1
        say(question)
    before = chat.session.conversation
    out, given = say("/compact")
    assert "left out" not in given
    *older, summary = chat.session.conversation.turns
    assert {turn.state for turn in older} == {"left_out"} and out.endswith(f"{summary.answer.content}\n")
    say("/undo")
    assert chat.session.conversation == before


def test_message_too_long_for_the_context_gets_useful_hints_only(chat: Chat, say: Say, tmp_path: Path) -> None:
    say(NAME)
    with pytest.raises(ContextOverflow) as alone:
        say("qx " * 1000)
    assert alone.value.hint.startswith("shorten it")
    (tmp_path / "note.txt").write_text("as it is")
    say(f"/attach {tmp_path / 'note.txt'}")
    with pytest.raises(ContextOverflow) as attached:
        say("qx " * 1000)
    assert attached.value.hint.startswith("shorten it")
    say("/attach -")
    say("/pin 1")
    nearly = "qx " * 1000
    while not chat.session.fits_alone(nearly):
        nearly = nearly[3:]
    with pytest.raises(ContextOverflow) as pinned:
        say(nearly)
    assert pinned.value.hint.startswith("start a new session with /new, or shorten it")


def test_turns_leave_a_full_context_with_a_notice_and_the_chat_continues(chat: Chat, say: Say) -> None:
    given, number = "", 0
    while "left out of the context: turn" not in given:
        number += 1
        given = say(f"What is {number} plus 3?")[1]
    assert chat.session.conversation.turns[0].state == "left_out"
    assert chat.session.conversation.turns[-1].state == "kept"


def test_stats_and_prompt_commands(chat: Chat, say: Say) -> None:
    with pytest.raises(UsageError):
        say("/stats")
    say(SUM)
    assert "finish reason stop" in say("/stats")[1]
    assert say("/prompt")[1] == (f"<|im_start|>user\n{SUM}<|im_end|>\n<|im_start|>assistant\n{SUM_ANSWER}\n")


def test_sessions_are_listed_named_forked_loaded(chat: Chat, say: Say) -> None:
    say(NAME)
    first = chat.transcript().id
    assert "title: About Alice" in say("/title About Alice")[1]
    assert f"{first}  About Alice" in say("/sessions")[1]
    assert first in say("/sessions Nice to meet")[1]
    say("/fork A branch")
    Path("~", f"{first}.jsonl").expanduser().symlink_to(paths.sessions_folder() / f"{first}.jsonl")
    second = chat.transcript().id
    say(SUM)
    assert first != second
    say(f"/load ~/{first}.jsonl")
    assert [turn.question for turn in chat.session.conversation.turns] == [NAME]
    assert "Alice" in say("What is my name?")[0]
    assert [turn.question for turn in read_session(paths.sessions_folder() / f"{second}.jsonl").conversation.turns] == [
        NAME,
        SUM,
    ]
    with pytest.raises(UsageError):
        say("/load no-such-session")


@pytest.mark.parametrize("name", ["chat.md", "chat.json", "chat.html"])
def test_a_session_is_saved_to_a_file_of_its_own(chat: Chat, say: Say, tmp_path: Path, name: str) -> None:
    say(SUM)
    with pytest.raises(OutputError):
        say(f"/export ~no-such-user/{name}")
    say(f"/export {tmp_path / name}")
    assert SUM_ANSWER in (tmp_path / name).read_text()


def test_a_session_is_saved_only_in_a_form_that_its_name_asks_for(chat: Chat, say: Say, tmp_path: Path) -> None:
    say(SUM)
    assert message(partial(say, "/export")).startswith("/export needs a file name")
    for name in ("chat", "chat.pdf", "chat.jsonl"):
        assert message(partial(say, f"/export {tmp_path / name}")).startswith("the file name must end in .md")
    assert not list(tmp_path.glob("chat*"))


def test_exit_leaves(chat: Chat, say: Say) -> None:
    say("/exit")
    assert chat.leaving == 0


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("/ret", ["/retry "]),
        ("/co", ["/continue", "/copy ", "/context", "/compact "]),
        ("/set temp", ["temperature"]),
        ("/preset transl", ["translate"]),
        ("/preset translate lang", ["language="]),
        ("/copy c", ["code"]),
        ("hello /re", []),
        ("/nothing x", []),
        ("/exit x", []),
        ("/help ret", ["retry"]),
    ],
)
def test_completions(chat: Chat, before: str, expected: list[str]) -> None:
    found = list(slash_commands.suggestions(chat, before))
    assert [one.text for one in found] == expected
    assert all(before[-one.length :].lower() == one.text[: one.length].lower() for one in found if one.length)


def test_files_and_models_complete(chat: Chat, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("")
    found = [one.text for one in slash_commands.suggestions(chat, f"/attach {tmp_path}/f")]
    assert found == [f"{tmp_path}/file.txt", f"{tmp_path}/folder/"]
    assert "demo" in [one.text for one in slash_commands.suggestions(chat, "/model d")]


def test_preset_removes_all_values_of_the_previous_one(chat: Chat, say: Say) -> None:
    say("/preset commit")
    assert chat.session.settings.max_tokens == 400
    say("/preset default")
    assert chat.session.settings == replace(GREEDY, preset="default")
    say("/set max_tokens 50")
    say("/set top_k 5")
    say("/preset commit")
    assert chat.session.settings.max_tokens == 400
    say("/preset default")
    assert (chat.session.settings.max_tokens, chat.session.settings.sampling.top_k) == (50, 5)
    say("/preset function-calling")
    assert chat.session.tools and list(chat.session.tools.toolbox.tools) == ["calculate", "current_time"]
    say("/preset default")
    assert chat.session.tools is None
    say("/tools current_time")
    own = chat.session.tools
    say("/preset coder")
    assert chat.session.tools is own
    say("/preset function-calling")
    say("/preset coder")
    assert chat.session.tools and list(chat.session.tools.toolbox.tools) == ["current_time"]


def test_a_file_of_tools_may_have_a_space_in_its_name(chat: Chat, say: Say, tmp_path: Path) -> None:
    (tmp_path / "my tools.py").write_text('def greet() -> str:\n    "Greet."\n    return "hi"')
    assert say(f"/tools calculate '{tmp_path}/my tools.py'")[1].splitlines()[1].startswith("greet ")
    with pytest.raises(UsageError):
        say("/tools 'calculate")


def test_unsaved_turns_are_saved_before_leaving_the_session(
    chat: Chat, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "data"
    in_the_way.write_text("")
    monkeypatch.setenv("HERMES_CLI_DATA_DIR", str(in_the_way))
    say("/new")
    assert "not saved yet: " in say(NAME)[1]
    assert "not saved yet: " not in say(SUM)[1]
    for command in ("/new", "/fork"):
        with pytest.raises(OutputError):
            say(command)
    say(f"/export {tmp_path / 'chat.md'}")
    assert NAME_ANSWER in (tmp_path / "chat.md").read_text()
    in_the_way.unlink()
    path = chat.transcript().path
    say("/new")
    assert [turn.question for turn in read_session(path).conversation.turns] == [NAME, SUM]


def test_a_fork_is_a_file_at_once(chat: Chat, say: Say, tmp_path: Path) -> None:
    say(NAME)
    say("/fork")
    assert read_session(chat.transcript().path).conversation == chat.session.conversation
    say("/fork")
    say(f"/export {tmp_path / 'chat.md'}")


def test_a_file_that_is_there_is_not_overwritten(chat: Chat, say: Say, tmp_path: Path) -> None:
    say(SUM)
    target = tmp_path / "chat.md"
    target.write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        say(f"/export {target}")
    target.unlink()
    say(f"/export {target}")
    say(f"/export {target}")


@pytest.mark.parametrize("nothing", ["-", "off"])
def test_tools_and_schema_are_removed(chat: Chat, say: Say, nothing: str) -> None:
    say("/tools calculate")
    say("/schema name, age int")
    assert chat.session.tools and chat.session.schema
    assert say(f"/tools {nothing}")[1].startswith("no tools")
    assert say(f"/schema {nothing}")[1] == "no schema\n"
    assert chat.session.tools is None and chat.session.schema is None


def test_summary_is_unconstrained_and_complete_whatever_applies_to_answers(chat: Chat, say: Say) -> None:
    say(LONG)
    say("/schema name, age int")
    say("/set max_tokens 2")
    say("/compact")
    summary = chat.session.conversation.turns[-1]
    assert (summary.state, summary.answer.finish_reason) == ("pinned", "stop")
    assert not summary.answer.content.startswith("{")
    say(LONG)
    say("/compact")
    assert [turn.state for turn in chat.session.conversation.turns] == ["left_out", "left_out", "left_out", "pinned"]


@pytest.mark.parametrize(
    "line",
    [
        "/attach a\0b",
        "/export a\0.md",
        f"/export {'x' * 300}.md",
        f"/undo {'9' * 5000}",
        f"/pin {'9' * 5000}",
        "/set seed -1",
    ],
)
def test_odd_arguments_are_errors_of_one_line(chat: Chat, say: Say, line: str) -> None:
    say(SUM)
    with pytest.raises(HermesError):
        say(line)


def test_turns_are_named_in_runs(chat: Chat, say: Say) -> None:
    for _ in range(4):
        say(SUM)
    assert "left out: turns 1-2, 4 (" in say("/hide 1-2 4")[1]
