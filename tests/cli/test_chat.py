"""`hermes chat` on a screen and in a pipe."""

import base64
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from hermes_cli import paths
from hermes_cli.store.sessions.files import latest_session
from hermes_cli.store.sessions.reader import read_session
from tests.cli.conftest import OnScreen, OnTerminal, Screen, assert_failed, exit_code
from tests.conftest import BrokenLibrary, Hermes

NAME, NAME_ANSWER = "My name is Alice.", "Nice to meet you, Alice!"
RECALL, RECALL_ANSWER = "What is my name?", "Your name is Alice."
SUM, SUM_ANSWER = "What is 2 plus 3?", "2 plus 3 is 5."
GREEDY_CHAT = ("chat", "-m", "demo", "-t", "0")
CTRL_C, CTRL_D, CTRL_Z = "\x03", "\x04", "\x1a"


def leave(screen: Screen) -> None:
    """Ctrl-D at an empty prompt, and the chat ends well."""
    screen.prompt()
    screen.type(CTRL_D)
    assert screen.ended() == 0


def begin_answer(screen: Screen) -> None:
    """Ask a model that never ends, and wait for the beginning of its answer."""
    screen.say("Tell me something.")
    screen.shows("I am a tiny demo model")


def test_chat_greets_remembers_prints_how_to_resume_and_ctrl_d_exits(on_screen: OnScreen) -> None:
    screen = on_screen(*GREEDY_CHAT)
    screen.say(NAME)
    screen.shows(NAME_ANSWER)
    screen.say(RECALL)
    screen.shows(RECALL_ANSWER)
    leave(screen)
    greeting, session = screen.lines[:2]
    assert greeting == "hermes · demo"
    found = re.fullmatch(r"session (\S+) · /help", session)
    assert found and screen.text.endswith(f"Saved. Resume: hermes chat --session {found[1]}")
    assert len(re.findall(r"^\d+ tok · [\d.]+ tok/s · first [\d.]+ s · ctx \d+/4.1k$", screen.text, re.M)) == 2


def test_the_line_below_the_prompt_shows_the_context_and_the_speed_and_above_it_what_was_loaded(
    on_screen: OnScreen,
) -> None:
    screen = on_screen(*GREEDY_CHAT, "-v")
    screen.type("xyz")
    screen.wait(
        lambda: bool(re.search(r"· loaded in [\d.]+ s\n> xyz\nHermes demo model · ctx 0/4.1k$", screen.text)), "it"
    )
    screen.type(CTRL_C)
    screen.say(SUM)
    screen.wait(lambda: bool(re.search(r"^Hermes demo model · ctx \d+/4.1k · [\d.]+ tok/s$", screen.text, re.M)), "it")
    leave(screen)


def test_ctrl_c_while_the_model_loads_gives_the_message_back(
    on_screen: OnScreen, broken_library: BrokenLibrary, tmp_path: Path
) -> None:
    library = str(broken_library("HANGS_WHEN_FAST"))
    screen = on_screen(*GREEDY_CHAT, LLAMA_CPP_LIB_PATH=library, HERMES_CLI_CACHE_DIR=str(tmp_path / "cache"))
    screen.say(SUM)
    screen.shows("loading model 0%")
    screen.type(CTRL_C)
    screen.shows("loading stopped; the next message loads the model again")
    screen.wait(lambda: screen.text.endswith(f"> {SUM}\ndemo · not loaded"), "the message in the prompt")
    screen.type("\r")
    screen.shows(SUM_ANSWER)
    leave(screen)


def test_what_is_on_the_clipboard_is_attached(hermes: Hermes, tmp_path: Path) -> None:
    clipboard = tmp_path / "xclip"
    clipboard.write_text("#!/bin/sh\necho The code of Mira is 7312.\n")
    clipboard.chmod(0o755)
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "DISPLAY": ":0", "WAYLAND_DISPLAY": None}
    result = hermes(*GREEDY_CHAT, stdin="/paste\nWhat is the code of Mira?\n", env=env)
    assert (result.code, result.out) == (0, b"The code of Mira is 7312.\n")
    assert result.err.startswith("attached to the next message: the clipboard, ")


def test_a_line_after_an_exclamation_mark_is_a_command_of_the_shell(on_screen: OnScreen) -> None:
    screen = on_screen(*GREEDY_CHAT)
    screen.say("!echo The code of Mira is $((7000 + 312)).; sleep 60")
    screen.shows("\nThe code of Mira is 7312.")
    screen.type(CTRL_C)
    screen.wait(lambda: bool(re.search(r"attached to the next message: echo .* tokens", screen.text)), "the notice")
    screen.shows("1 attached")
    screen.say("What is the code of Mira?")
    screen.shows("The code of Mira is 7312.", 2)
    leave(screen)


def test_without_the_systems_clipboard_copy_asks_the_terminal_to_take_the_answer(on_terminal: OnTerminal) -> None:
    chat = on_terminal(*GREEDY_CHAT, PATH="")
    chat.expect("Send a message")
    chat.send(f"{SUM}\r")
    chat.expect("ctx .*/4.1k")
    chat.send("/copy\r")
    chat.expect_exact(f"\x1b]52;c;{base64.b64encode(SUM_ANSWER.encode()).decode()}\x07")
    chat.expect_exact("sent to the terminal's clipboard: 14 characters")
    chat.send(CTRL_D)
    assert exit_code(chat) == 0


def test_the_speed_is_shown_while_an_answer_is_written(on_screen: OnScreen, endless_path: Path) -> None:
    figures = re.compile(r"^[\d,]+ tok · [\d.]+ tok/s · \d+ s$", re.MULTILINE)
    screen = on_screen("chat", "-m", endless_path, "-t", "0")
    begin_answer(screen)
    screen.wait(lambda: bool(figures.search(screen.text)), "the figures")
    screen.type(CTRL_C)
    screen.shows("stopped: /continue resumes, /retry tries again")
    assert not figures.search(screen.text)
    leave(screen)


def test_an_answer_into_a_file_shows_its_figures_on_the_terminal(on_screen: OnScreen, endless_path: Path) -> None:
    screen = on_screen("ask", "-m", endless_path, "-o", "answer.md", "Hi")
    screen.wait(lambda: bool(re.search(r"\d tok · [\d.]+ tok/s · \d+ s", screen.text)), "the figures")
    screen.type(CTRL_C)
    assert screen.ended() == 130


def test_ctrl_c_stops_the_answer_keeps_its_text_and_the_chat_continues(on_screen: OnScreen, endless_path: Path) -> None:
    screen = on_screen("chat", "-m", endless_path, "-t", "0")
    begin_answer(screen)
    screen.type(CTRL_C)
    screen.shows("stopped: /continue resumes, /retry tries again")
    screen.say(SUM)
    screen.shows("2 plus 3 is 5")
    screen.type(CTRL_C)
    screen.shows("stopped: /continue resumes, /retry tries again", 2)
    leave(screen)
    path = latest_session()
    assert path
    turns = read_session(path).conversation.turns
    assert [turn.answer.finish_reason for turn in turns] == ["cancelled", "cancelled"]
    assert all(turn.answer.content for turn in turns)


def test_ctrl_c_at_the_prompt_clears_the_line_and_then_says_how_to_leave(on_screen: OnScreen) -> None:
    screen = on_screen(*GREEDY_CHAT)
    screen.prompt()
    screen.type("half a line")
    screen.shows("half a line")
    screen.type(CTRL_C)
    screen.prompt()
    screen.type(CTRL_C)
    screen.shows("Ctrl-D exits")
    screen.say(SUM)
    screen.shows(SUM_ANSWER)
    leave(screen)


def test_message_too_long_for_the_context_fails_only_its_turn(on_screen: OnScreen) -> None:
    screen = on_screen(*GREEDY_CHAT, "--ctx", "512")
    screen.prompt()
    screen.type(f"{'qx ' * 1000}\r")
    screen.wait(lambda: bool(re.search(r"error: .*the prompt has [\d,]+ tokens, the context 512", screen.text)), "it")
    screen.shows("hint: shorten it")
    screen.say(NAME)
    screen.shows(NAME_ANSWER)
    screen.prompt()
    screen.type(f"{'qx ' * 1000}\r")
    screen.shows("hint: shorten it", 2)
    leave(screen)


def test_turns_that_would_be_left_out_are_named_first_and_enter_sends(on_screen: OnScreen) -> None:
    screen = on_screen(*GREEDY_CHAT, "--ctx", "128")
    number = 0
    while "the context is full" not in screen.text:
        number += 1
        question = f"What is {number} plus 3?"
        screen.say(question)
        screen.shows("the context is full" if number == 4 else f"{number} plus 3 is {number + 3}.")
    screen.shows("this would leave out turn 1 (")
    screen.shows("/compact summarises instead, /pin N keeps a turn")
    screen.wait(lambda: screen.text.count(f"> {question}") == 2, "the message, back in the prompt")
    screen.type("\r")
    screen.shows("left out of the context: turn 1 (")
    screen.shows(f"{number} plus 3 is {number + 3}.")
    leave(screen)


def test_suggestions_for_a_full_context_work_and_the_message_is_sent_afterwards(on_screen: OnScreen) -> None:
    screen = on_screen(*GREEDY_CHAT, "--ctx", "512")
    number = 0
    while "the context is full" not in screen.text:
        number += 1
        question = f"{'Please. ' * 12}What is {number} plus 3?"
        screen.say(question)
        screen.shows("the context is full" if number == 6 else f"{number} plus 3 is {number + 3}.")
    screen.shows("after Ctrl-C: /compact summarises instead, /pin N keeps a turn, /retry sends")
    screen.type(CTRL_C)
    screen.say("/compact")
    screen.shows("tok/s · first", number)
    screen.say("/retry")
    screen.shows("tok/s · first", number + 1)
    assert "left out of the context" not in screen.text
    leave(screen)


def test_attached_files_wait_for_a_turn_that_succeeds(on_screen: OnScreen, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("qx " * 1000)
    screen = on_screen(*GREEDY_CHAT, "--ctx", "512", "-f", "long.txt")
    for times in (1, 2):
        screen.say(NAME)
        screen.shows("tokens, the context 512", times)
    leave(screen)


def test_ctrl_c_while_a_prompt_is_read_costs_neither_the_chat_nor_its_files(
    on_screen: OnScreen, wide_path: Path, long_text_path: Path
) -> None:
    screen = on_screen("chat", "-m", wide_path, "--ctx", "32768", "--threads", "1", "-f", long_text_path)
    for times in (1, 2):
        screen.say("Hi")
        screen.wait(lambda: bool(re.search(r"processing prompt \d+\.\dk tok", screen.text)), "the reading")
        screen.type(CTRL_C)
        time.sleep(0.005)
        screen.type(CTRL_C)
        screen.shows("\nstopped: /retry sends the message again\n", times)
    assert "tok/s" not in screen.text
    leave(screen)


def test_what_is_typed_during_an_answer_is_not_in_it_and_waits_for_the_prompt(
    on_screen: OnScreen, endless_path: Path
) -> None:
    screen = on_screen("chat", "-m", endless_path, "-t", "0")
    begin_answer(screen)
    screen.type("typed ahead")
    time.sleep(0.2)
    screen.type(CTRL_C)
    screen.shows("> typed ahead")
    screen.type(CTRL_C)
    leave(screen)
    assert screen.text.count("typed ahead") == 0


def test_a_model_that_cannot_be_loaded_ends_the_chat_with_its_error(on_screen: OnScreen, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    screen = on_screen("chat", "-m", "broken.gguf")
    assert screen.ended() == 1
    assert screen.text.count("error: ") == 1 and screen.text.count("hint: ") == 1
    assert "Traceback" not in screen.text


def test_a_template_that_refuses_the_conversation_costs_only_the_turn(on_screen: OnScreen, tmp_path: Path) -> None:
    template = "{% for m in messages %}{% if 'Hello' in m.content %}{{ raise_exception('no Hello') }}{% endif %}"
    (tmp_path / "refusing.jinja").write_text(template + "{{ m.content }}{% endfor %}")
    screen = on_screen(*GREEDY_CHAT, "--template", "refusing.jinja", "-s", "Be brief.")
    screen.say("Hello")
    screen.shows("error: the model's chat template refuses this conversation: no Hello")
    screen.say("Good morning")
    screen.shows("tok/s · first")
    leave(screen)


def test_an_error_while_the_model_loads_costs_only_its_line(on_screen: OnScreen, tmp_path: Path) -> None:
    screen = on_screen(*GREEDY_CHAT, HERMES_CLI_CACHE_DIR=str(tmp_path / "fresh"))
    screen.say("/xyzzy")
    screen.shows("error: there is no command /xyzzy")
    screen.say(SUM)
    screen.shows(SUM_ANSWER)
    leave(screen)


def test_failed_model_change_leaves_the_chat_unchanged(on_screen: OnScreen, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    screen = on_screen(*GREEDY_CHAT)
    screen.say(NAME)
    screen.shows(NAME_ANSWER)
    screen.say("/model broken.gguf")
    screen.shows("error: ")
    screen.say(RECALL)
    screen.shows(RECALL_ANSWER)
    leave(screen)


def test_commands_answer_and_unknown_ones_are_not_sent(on_screen: OnScreen) -> None:
    screen = on_screen(*GREEDY_CHAT)
    screen.say("/xyzzy")
    screen.shows("error: there is no command /xyzzy")
    screen.say("/sys You are Captain Vex, a pirate.")
    screen.shows("system prompt changed")
    screen.say("Who are you?")
    screen.shows("Captain Vex")
    leave(screen)


def test_cut_call_is_not_shown_when_the_answer_is_continued(on_screen: OnScreen, tmp_path: Path) -> None:
    (tmp_path / "town.py").write_text(
        'def get_weather(city: str) -> str:\n    "Get the weather of a city."\n    return "wet"'
    )
    screen = on_screen(*GREEDY_CHAT, "--tools", "town.py", "--yes", "-n", "12")
    screen.say("What is the weather in Rome?")
    screen.shows("cut at max tokens: /continue")
    screen.say("/set max_tokens default")
    screen.say("/continue")
    screen.shows("tok/s · first")
    assert 'get_weather(city="Rome") → "wet"' in screen.text and "<tool_call>" not in screen.text
    leave(screen)


def test_resumed_session_shows_its_last_exchanges(on_screen: OnScreen, hermes: Hermes) -> None:
    first = on_screen(*GREEDY_CHAT)
    first.say(NAME)
    first.shows(NAME_ANSWER)
    leave(first)
    second = on_screen("chat", "-c")
    second.shows(f"> {NAME}")
    second.shows(NAME_ANSWER)
    second.say(RECALL)
    second.shows(RECALL_ANSWER)
    leave(second)
    path = latest_session()
    assert path and len(read_session(path).conversation.turns) == 2
    asked = hermes("ask", "--session", path.stem, RECALL)
    assert asked.out.decode() == f"{RECALL_ANSWER}\n"
    assert len(read_session(path).conversation.turns) == 3


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        ("/load nope", 2, "list the sessions: /sessions\n"),
        ("/load no/pe.jsonl", 2, "list the sessions: /sessions\n"),
        ("/preset no", 2, "list the presets: /preset\n"),
        ("/model nope", 3, "list the local models: /model;"),
    ],
)
def test_hints_name_commands_of_the_chat(hermes: Hermes, line: str, code: int, hint: str) -> None:
    result = hermes("chat", "-m", "demo", "--no-save", stdin=f"{line}\n")
    assert_failed(result, code, "there is no")
    assert f"hint: {hint}" in result.err


def test_history_without_tools_shows_no_tool_calls(hermes: Hermes) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}}
    messages = [
        {"role": "user", "content": "Add 2 and 3"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "5"},
        {"role": "assistant", "content": "The sum is 5 <"},
    ]
    name = hermes("sessions", "import", "-", stdin=json.dumps({"messages": messages})).out.decode().strip()
    result = hermes("chat", "-m", "demo", "--session", name, stdin="/history\n/last\n")
    assert result.out.decode() == "1> Add 2 and 3\n\nThe sum is 5 <\nThe sum is 5 <\n"


def test_two_chats_on_one_session_do_not_mix(on_screen: OnScreen) -> None:
    first = on_screen(*GREEDY_CHAT)
    first.say(NAME)
    first.shows(NAME_ANSWER)
    first.prompt()
    path = latest_session()
    assert path
    second = on_screen("chat", "-c", "-t", "0")
    second.shows("continuing in a copy")
    second.say(RECALL)
    second.shows(RECALL_ANSWER)
    leave(second)
    leave(first)
    assert len(read_session(path).conversation.turns) == 1


def test_terminal_can_become_tiny_during_an_answer(on_screen: OnScreen, endless_path: Path) -> None:
    screen = on_screen("chat", "-m", endless_path, "-t", "0")
    begin_answer(screen)
    for rows, columns in ((10, 20), (2, 1), (30, 90)):
        time.sleep(0.2)
        screen.resize(rows, columns)
    time.sleep(0.2)
    screen.type(CTRL_C)
    screen.shows("stopped: /continue")
    leave(screen)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("answering", [False, True], ids=["at-the-prompt", "in-an-answer"])
def test_a_signal_ends_the_chat_with_its_code_and_the_turn_is_saved(
    on_screen: OnScreen, endless_path: Path, number: signal.Signals, answering: bool
) -> None:
    screen = on_screen("chat", "-m", endless_path, "-t", "0")
    screen.prompt()
    if answering:
        begin_answer(screen)
    screen.child.kill(number)
    assert screen.ended() == 128 + number
    assert "Traceback" not in screen.text
    if answering:
        path = latest_session()
        assert path and read_session(path).conversation.turns[0].answer.finish_reason == "cancelled"


@pytest.mark.parametrize("stop", ["at-the-prompt", "after-a-stopped-answer", "killed-in-an-answer"])
def test_the_terminal_is_left_as_it_was(on_screen: OnScreen, stop: str, endless_path: Path, tmp_path: Path) -> None:
    script = 'echo "before $(stty -g)"; "$@" & echo $! > pid; fg > /dev/null; echo "code $?"; echo "after $(stty -g)"'
    screen = on_screen("chat", "-m", endless_path, "-t", "0", script=script, size=(40, 250))
    screen.prompt()
    if stop != "at-the-prompt":
        begin_answer(screen)
    if stop == "killed-in-an-answer":
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    else:
        if stop == "after-a-stopped-answer":
            screen.type(CTRL_C)
            screen.shows("stopped: /continue")
            screen.prompt()
        screen.type(CTRL_D)
    assert screen.ended() == 0
    assert f"code {143 if stop == 'killed-in-an-answer' else 0}" in screen.lines
    before, after = (line.split()[1] for line in screen.lines if line.startswith(("before ", "after ")))
    assert before == after


def test_ctrl_z_suspends_the_program_during_an_answer_and_fg_resumes_it(
    on_screen: OnScreen, endless_path: Path
) -> None:
    script = '"$@" & fg; jobs -s; stty -a | grep -ow -- "-*echo"; fg; echo "code $?"'
    screen = on_screen("chat", "-m", endless_path, "-t", "0", script=script)
    begin_answer(screen)
    screen.type(CTRL_Z)
    screen.wait(lambda: "echo" in screen.lines, "the shell")
    time.sleep(0.5)
    screen.type(CTRL_C)
    screen.shows("stopped: /continue")
    screen.prompt()
    screen.type(CTRL_D)
    assert screen.ended() == 0 and "code 0" in screen.lines


def test_with_stdout_in_a_file_only_answers_go_there(on_screen: OnScreen, tmp_path: Path) -> None:
    screen = on_screen(*GREEDY_CHAT, script='"$@" > answers; echo "code $?"')
    for times, question in enumerate((NAME, RECALL), 1):
        screen.say(question)
        screen.shows("tok/s · first", times)
    screen.prompt()
    screen.type(CTRL_D)
    assert screen.ended() == 0 and "code 0" in screen.lines
    assert (tmp_path / "answers").read_text() == f"{NAME_ANSWER}\n{RECALL_ANSWER}\n"


def test_a_dumb_terminal_gets_plain_lines(on_screen: OnScreen) -> None:
    screen = on_screen(*GREEDY_CHAT, TERM="dumb")
    screen.shows("\n>")
    screen.type(f"{NAME}\r")
    screen.shows(NAME_ANSWER)
    screen.type(CTRL_D)
    assert screen.ended() == 0


def test_hermes_alone_chats_on_a_terminal_and_answers_in_a_pipe(hermes: Hermes, on_screen: OnScreen) -> None:
    screen = on_screen()
    screen.shows("Download Hermes 3")
    screen.type("n\n")
    screen.shows("no Hermes 3 model found")
    leave(screen)
    answered = hermes(stdin="Who are you?")
    assert (answered.code, answered.out.count(b"\n")) == (0, 1)
    assert answered.err.startswith("no Hermes 3 model found")


def test_piped_lines_are_turns_and_only_the_answers_come_out(hermes: Hermes) -> None:
    result = hermes(*GREEDY_CHAT, stdin=f"{NAME}\r\n\n  \n{RECALL}")
    assert (result.code, result.out.decode()) == (0, f"{NAME_ANSWER}\n{RECALL_ANSWER}\n")


def test_commands_work_in_a_pipe_too(hermes: Hermes) -> None:
    result = hermes(*GREEDY_CHAT, stdin=f"{NAME}\n/undo\n{RECALL}\n")
    assert result.out.decode().startswith(f"{NAME_ANSWER}\n") and "Alice" not in result.out.decode().splitlines()[1]
    assert result.err == 'removed: 1 turn, from "My name is Alice."\n'


def test_a_block_between_quotes_is_one_message_in_a_pipe(hermes: Hermes) -> None:
    lines = (
        f'"""\n{NAME}\n/undo\n\n{RECALL}\n"""\n/system """\nBe\nbrief.\n"""\nA path ends in \\\n"""Who are you?"""\n'
    )
    assert hermes(*GREEDY_CHAT, stdin=lines).err == "system prompt changed\n"
    messages = json.loads(hermes("sessions", "export", "-f", "openai").out)["messages"]
    assert [one["content"] for one in messages if one["role"] != "assistant"] == [
        "Be\nbrief.",
        f"{NAME}\n/undo\n\n{RECALL}",
        "A path ends in \\",
        "Who are you?",
    ]
    hermes(*GREEDY_CHAT, stdin='"""\nnever\nclosed')
    assert b"never" in hermes("sessions", "show").out


def test_in_a_pipe_an_error_ends_the_chat_with_its_code(hermes: Hermes) -> None:
    lines = f"{NAME}\n{'word ' * 800}\n{RECALL}\n"
    result = hermes(*GREEDY_CHAT, "--ctx", "512", stdin=lines)
    assert result.out.decode() == f"{NAME_ANSWER}\n"
    result.out = b""
    assert_failed(result, 4, "tokens, the context 512")


def test_no_save_leaves_no_file_and_the_setting_does_the_same(hermes: Hermes) -> None:
    before = len(list(paths.sessions_folder().glob("*")))
    assert hermes(*GREEDY_CHAT, "--no-save", stdin=NAME).code == 0
    assert hermes(*GREEDY_CHAT, stdin=NAME, env={"HERMES_CLI_SAVE": "false"}).code == 0
    assert hermes(*GREEDY_CHAT, stdin="\n").code == 0
    assert len(list(paths.sessions_folder().glob("*"))) == before
    assert hermes(*GREEDY_CHAT, stdin=NAME).code == 0
    assert len(list(paths.sessions_folder().glob("*"))) == before + 1


def test_a_system_prompt_holds_for_the_chat_and_files_go_into_the_first_message(hermes: Hermes, tmp_path: Path) -> None:
    persona = hermes(*GREEDY_CHAT, "-s", "You are Mira, a pirate from Rome.", stdin="Who are you?")
    assert persona.out == b"Hello! I am Mira, a pirate from Rome.\n"
    (tmp_path / "note.txt").write_text("colour = red\nsize = 31\n")
    question, options = "What is the name of the file?", ("-m", "demo", "-t", "0", "-f", tmp_path / "note.txt")
    asked = hermes("ask", *options, question)
    assert asked.out == b"The file is called note.txt.\n"
    assert hermes("chat", *options, stdin=question).out == asked.out


def test_answers_are_switched_by_keys_and_an_edit_that_is_cancelled_changes_nothing(on_screen: OnScreen) -> None:
    screen = on_screen(*GREEDY_CHAT)
    screen.say(SUM)
    screen.shows(SUM_ANSWER)
    screen.say("/prefill The sum")
    screen.say("/retry")
    screen.shows("answer 2 of 2; /prev switches")
    screen.prompt()
    screen.type("\x1b[1;3D")
    screen.shows("answer 1 of 2; /next switches")
    screen.say("/edit")
    screen.shows(f"edit message 1: {SUM}")
    screen.type(CTRL_C)
    screen.shows("nothing changed")
    screen.say("/edit")
    screen.shows(f"edit message 1: {SUM}", 2)
    screen.type(" Please.\r")
    screen.shows("version 3 of 3")
    screen.say("exit")
    screen.shows("run /exit? Y: yes, n: send it as a message")
    screen.type("\r")
    assert screen.ended() == 0


def test_a_resumed_session_shows_its_last_answer_and_words_begin_a_chat(hermes: Hermes, on_screen: OnScreen) -> None:
    assert hermes("ask", "-m", "demo", "-t", "0", SUM).code == 0
    screen = on_screen("-c", "-m", "demo", "-t", "0")
    screen.shows(f"> {SUM}\n{SUM_ANSWER}\n")
    screen.prompt()
    screen.type("/")
    screen.shows("/schema")
    screen.type(CTRL_C)
    leave(screen)
    screen = on_screen(f"{NAME}", HERMES_CLI_MODEL="demo")
    screen.shows("CPU")
    leave(screen)
