"""Writing a session: the file after each step, after a failure, and with two programs at once."""

import json
import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hermes_cli.chat.conversation import Conversation, Turn, TurnState
from hermes_cli.chat.message import Message
from hermes_cli.chat.sampling import Sampling
from hermes_cli.chat.settings import SessionSettings
from hermes_cli.errors import OutputError, SessionBusy, UsageError
from hermes_cli.files import in_use
from hermes_cli.store.sessions.reader import read_session
from hermes_cli.store.sessions.writer import Transcript
from tests.conftest import Script, child_environment
from tests.saved import FINISHED, begun, ids, kept, message, turn

texts = st.text(st.characters(), max_size=40)


def test_chat_without_messages_leaves_no_file(sessions: Path) -> None:
    transcript = Transcript.new(SessionSettings(), "Be brief.")
    transcript.set_title("never used")
    transcript.move_head(None)
    transcript.change_settings(SessionSettings("demo"), None)
    transcript.save()
    transcript.close()
    assert not sessions.exists()


def test_a_setting_that_was_taken_back_is_gone(sessions: Path) -> None:
    every = SessionSettings("demo", "coder", Sampling(0.5), 9, "http://x.example", ("a.gguf:1",), ("clock",), "Sure,")
    transcript = Transcript.new(every, "Be brief.")
    transcript.append_turn(turn(1), None, model="demo", finished=FINISHED)
    assert read_session(transcript.path).settings == every
    transcript.change_settings(SessionSettings(), None)
    assert read_session(transcript.path).settings == SessionSettings()


def test_settings_changed_before_the_first_turn_are_saved_with_it(sessions: Path) -> None:
    transcript = Transcript.new(SessionSettings(), "Be brief.")
    transcript.set_title("  On \n llamas ")
    transcript.change_settings(SessionSettings("demo", "coder", Sampling(0.5, 3, seed=9)), None)
    transcript.append_turn(turn(1), None, model="demo", finished=FINISHED)
    saved = read_session(transcript.path)
    assert (saved.title, transcript.title) == ("On llamas", "On llamas")
    assert saved.settings == SessionSettings("demo", "coder", Sampling(0.5, 3))  # a seed is for one run
    assert saved.conversation == Conversation(None, (turn(1),))


def test_files_are_private_whatever_the_umask_says(sessions: Path) -> None:
    before = os.umask(0)
    try:
        path = kept("hello")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(place.stat().st_mode) for place in (path, sessions, sessions.parent)]
    assert modes == [0o600, 0o700, 0o700]


def test_turn_is_one_line_with_all_its_fields(sessions: Path) -> None:
    said = Turn(1, (Message("user", "a\nb\u2028c"), Message("tool", "t"), Message("assistant", "", "length")))
    path = begun(said).path
    header, line, end = path.read_bytes().split(b"\n")
    assert end == b""
    assert json.loads(header) == {
        "hermes_session": 1,
        "id": path.stem,
        "created": json.loads(header)["created"],
        "model": "demo",
        "preset": None,
        "system_prompt": None,
        "sampling": {},
        "max_tokens": None,
    }
    assert json.loads(line) == {
        "turn": 1,
        "parent": None,
        "time": json.loads(line)["time"],
        "model": "demo",
        "seed": 7,
        "usage": {"prompt_tokens": 12, "cached_tokens": 3, "completion_tokens": 5},
        "messages": [
            {"role": "user", "content": "a\nb\u2028c"},
            {"role": "tool", "content": "t"},
            {"role": "assistant", "content": "", "finish_reason": "length"},
        ],
    }
    assert read_session(path).conversation.turns == (said,)


def test_regenerating_and_undoing_lose_nothing(sessions: Path) -> None:
    transcript = begun(turn(1), turn(2))
    transcript.append_turn(turn(3, answer="another answer"), 1, model="demo", finished=None)
    saved = read_session(transcript.path)
    assert (ids(saved.conversation.turns), saved.last_turn_id) == ([1, 3], 3)
    assert saved.turns[2].turn == turn(2)
    transcript.move_head(2)
    assert ids(read_session(transcript.path).conversation.turns) == [1, 2]
    transcript.move_head(None)
    assert read_session(transcript.path).conversation.turns == ()
    transcript.append_turn(turn(4), None, model="demo", finished=None)
    saved = read_session(transcript.path)
    assert (ids(saved.conversation.turns), list(saved.turns), saved.notices) == ([4], [1, 2, 3, 4], ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data())
def test_reading_gives_what_was_written(sessions: Path, data: st.DataObject) -> None:
    """Any sequence of the operations, against the same on a dictionary."""
    transcript = Transcript.new(SessionSettings(), None)
    turns: dict[int, Turn] = {}
    parents: dict[int, int | None] = {}
    head: int | None = None
    prompt: str | None = None
    for number in range(1, data.draw(st.integers(2, 9))):
        known = st.sampled_from(sorted(turns)) if turns else st.nothing()
        match data.draw(st.sampled_from(["turn", "turn", "turn", "head", "standing", "prompt"])):
            case "head":
                head = data.draw(st.none() | known)
                transcript.move_head(head)
            case "standing" if turns:
                chosen, which = data.draw(known), data.draw(st.sampled_from(["kept", "pinned", "left_out"]))
                state: TurnState = which  # type: ignore[assignment]
                turns[chosen] = Turn(chosen, turns[chosen].messages, state)
                transcript.set_state([chosen], state)
            case "prompt":
                prompt = data.draw(st.none() | texts)
                transcript.change_settings(SessionSettings(), prompt)
            case _:
                head, parent = number, data.draw(st.none() | known)
                turns[number] = Turn(number, (Message("user", data.draw(texts)), Message("assistant", "x", "stop")))
                parents[number] = parent
                transcript.append_turn(turns[number], parent, model=None, finished=None)
    transcript.close()
    if not turns:
        assert not transcript.path.exists()
        return
    saved = read_session(transcript.path)
    branch: list[Turn] = []
    while head is not None:
        branch.insert(0, turns[head])
        head = parents[head]
    assert saved.conversation == Conversation(prompt, tuple(branch))
    assert {number: record.turn for number, record in saved.turns.items()} == turns
    assert saved.notices == ()


def test_text_that_is_not_unicode_is_kept(sessions: Path) -> None:
    """Bytes of the command line that are not UTF-8 come as half a surrogate pair."""
    assert read_session(begun(turn(1, "a\udcffb")).path).conversation.turns[0].question == "a\udcffb"


def test_a_session_continues_after_it_was_closed(sessions: Path) -> None:
    path = kept("first")
    transcript = Transcript.reopen(read_session(path))
    transcript.append_turn(turn(2), 1, model="demo", finished=FINISHED)
    assert ids(read_session(path).conversation.turns) == [1, 2]
    assert (transcript.id, transcript.title) == (path.stem, "first")


@pytest.mark.parametrize("torn", [b'{"turn":2,"par', b"\0\0\0", '{"title":"Ü'.encode()[:-1], b" "])
def test_new_records_start_on_their_own_line_after_a_crash(sessions: Path, torn: bytes) -> None:
    path = kept("first")
    path.write_bytes(path.read_bytes() + torn)
    transcript = Transcript.reopen(read_session(path))
    transcript.append_turn(turn(2), 1, model="demo", finished=None)
    transcript.append_turn(turn(3), 2, model="demo", finished=None)
    assert ids(read_session(path).conversation.turns) == [1, 2, 3]
    assert torn in path.read_bytes()


def test_a_last_line_without_its_end_is_complete(sessions: Path) -> None:
    path = kept("first", "second")
    path.write_bytes(path.read_bytes()[:-1])
    saved = read_session(path)
    assert (ids(saved.conversation.turns), saved.notices) == ([1, 2], ())
    Transcript.reopen(saved).append_turn(turn(3), 2, model="demo", finished=None)
    assert ids(read_session(path).conversation.turns) == [1, 2, 3]


def test_a_file_without_a_header_gets_one(sessions: Path) -> None:
    path = kept("first")
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])
    transcript = Transcript.reopen(read_session(path))
    transcript.append_turn(turn(2), 1, model="demo", finished=None)
    assert read_session(path).has_header
    assert ids(read_session(path).conversation.turns) == [1, 2]


def test_a_fork_is_a_copy_of_the_branch_and_names_its_origin(sessions: Path) -> None:
    transcript = begun(turn(1), turn(2), system_prompt="Be brief.")
    transcript.append_turn(turn(3), 1, model="demo", finished=None)
    transcript.set_state([1], "pinned")
    transcript.set_title("notes")
    lines = transcript.path.read_text().replace('"seed":7', '"seed":7,"later":{"a":1}')
    transcript.path.write_text(lines.replace('"role":"user"', '"role":"user","note":"n"'))
    saved = read_session(transcript.path)
    fork = Transcript.fork(saved)
    assert not fork.path.exists()
    fork.save()
    copy = read_session(fork.path)
    assert copy.conversation == saved.conversation
    assert (ids(copy.conversation.turns), list(copy.turns), copy.title) == ([1, 3], [1, 3], "notes (fork)")
    assert f'"forked_from":"{transcript.id}"' in fork.path.read_text()
    first = copy.turns[1].fields
    assert (first["later"], first["messages"][0]["note"]) == ({"a": 1}, "n")
    assert first["time"] == saved.turns[1].fields["time"]


def test_turns_that_are_given_are_saved_at_once(sessions: Path) -> None:
    transcript = Transcript.new(SessionSettings("demo"), "Be brief.", (turn(4), turn(7)))
    transcript.save()
    saved = read_session(transcript.path)
    assert saved.conversation == Conversation("Be brief.", (turn(4), turn(7)))
    assert saved.turns[7].parent == 4


def test_a_title_needs_text(sessions: Path) -> None:
    assert "needs some text" in message(lambda: begun(turn(1)).set_title(" \n"), UsageError)


def test_a_file_of_the_same_name_is_left_alone(sessions: Path) -> None:
    transcript = Transcript.new(SessionSettings(), None)
    sessions.mkdir(parents=True)
    other = transcript.path
    other.write_text("of another program")
    transcript.append_turn(turn(1), None, model=None, finished=None)
    assert other.read_text() == "of another program"
    assert transcript.path != other
    assert read_session(transcript.path).id in transcript.path.read_text()


def test_a_file_deleted_while_it_is_open_is_written_again(sessions: Path) -> None:
    transcript = begun(turn(1))
    path = transcript.path
    before = path.read_bytes()
    path.unlink()
    transcript.append_turn(turn(2), 1, model=None, finished=None)
    assert transcript.path == path and path.read_bytes().startswith(before)
    assert ids(read_session(path).conversation.turns) == [1, 2]
    shutil.rmtree(sessions)
    transcript.set_title("still here")
    saved = read_session(path)
    assert (ids(saved.conversation.turns), saved.title, in_use(path)) == ([1, 2], "still here", True)


def test_a_file_elsewhere_is_written_again_with_its_folder(sessions: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "chat.jsonl"
    elsewhere.parent.mkdir()
    kept("hello").replace(elsewhere)
    transcript = Transcript.reopen(read_session(elsewhere))
    shutil.rmtree(elsewhere.parent)
    transcript.append_turn(turn(2), 1, model=None, finished=None)
    assert ids(read_session(elsewhere).conversation.turns) == [1, 2]


def test_file_that_replaces_an_open_session_is_kept_and_the_session_gets_a_new_id(sessions: Path) -> None:
    transcript = begun(turn(1))
    path = transcript.path
    path.unlink()
    path.write_text("of another program")
    transcript.append_turn(turn(2), 1, model=None, finished=None)
    assert path.read_text() == "of another program" and transcript.path != path
    assert ids(read_session(transcript.path).conversation.turns) == [1, 2]


def test_a_question_is_on_disk_before_its_answer(sessions: Path) -> None:
    transcript = begun()
    transcript.append_question(1, Message("user", "Where is\nthe key?"), None)
    saved = read_session(transcript.path)
    assert (saved.unanswered, saved.title, saved.conversation.turns) == ("Where is\nthe key?", "Where is", ())
    transcript.append_turn(turn(1), None, model=None, finished=None)
    saved = read_session(transcript.path)
    assert (saved.unanswered, ids(saved.conversation.turns), saved.last_turn_id) == (None, [1], 1)
    transcript.append_question(2, Message("user", "And now?"), 1)
    assert read_session(transcript.path).unanswered == "And now?"
    transcript.withdraw_question(2)
    saved = read_session(transcript.path)
    assert (saved.unanswered, ids(saved.conversation.turns), saved.last_turn_id) == (None, [1], 1)


def test_an_unanswered_question_stays_until_another_turn_is_added(sessions: Path) -> None:
    transcript = begun(turn(1))
    transcript.append_question(2, Message("user", "lost?"), 1)
    transcript.close()
    again = Transcript.reopen(read_session(transcript.path))
    again.set_title("after a crash")
    assert read_session(transcript.path).unanswered == "lost?"
    again.append_turn(turn(2), 1, model=None, finished=None)
    assert read_session(transcript.path).unanswered is None


def test_a_first_question_that_is_withdrawn_leaves_no_file(sessions: Path) -> None:
    transcript = begun(system_prompt="Be brief.")
    transcript.append_question(1, Message("user", "never mind"), None)
    transcript.set_title("set meanwhile")
    transcript.withdraw_question(1)
    assert list(sessions.iterdir()) == []
    transcript.append_turn(turn(1), None, model=None, finished=None)
    saved = read_session(transcript.path)
    assert (saved.title, saved.conversation) == ("set meanwhile", Conversation("Be brief.", (turn(1),)))


def test_a_question_that_could_not_be_saved_and_is_withdrawn_is_not_saved_later(sessions: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file in the way")
    transcript = begun()
    message(lambda: transcript.append_question(1, Message("user", "never mind"), None), OutputError)
    transcript.withdraw_question(1)
    assert transcript.title == ""
    (tmp_path / "data").unlink()
    transcript.append_turn(turn(1), None, model=None, finished=None)
    assert b"never mind" not in transcript.path.read_bytes()


def test_a_folder_that_cannot_be_made_is_reported(sessions: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    transcript = Transcript.new(SessionSettings(), None)
    error = message(lambda: transcript.append_turn(turn(1), None, model=None, finished=None), OutputError)
    assert f"cannot make the folder {sessions}" in error
    (tmp_path / "data").unlink()
    transcript.append_turn(turn(2), 1, model=None, finished=None)
    assert ids(read_session(transcript.path).conversation.turns) == [1, 2]


def test_a_link_to_a_folder_of_the_user_is_followed(sessions: Path, tmp_path: Path) -> None:
    sessions.parent.mkdir()
    sessions.symlink_to(tmp_path / "elsewhere")
    assert "cannot make the folder" in message(lambda: begun(turn(1)), OutputError)
    (tmp_path / "elsewhere").mkdir()
    path = begun(turn(1)).path
    assert (tmp_path / "elsewhere" / path.name).is_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_written(sessions: Path) -> None:
    sessions.mkdir(parents=True)
    os.chown(sessions, 65534, 65534)
    assert "belongs to another user" in message(lambda: begun(turn(1)), OutputError)
    assert list(sessions.iterdir()) == []


AS_OTHER_USER = """
    import os, sys, tempfile
    from pathlib import Path
    place = Path(tempfile.mkdtemp())
    os.environ["HERMES_CLI_DATA_DIR"] = str(place)
    from tests.saved import begun, kept, turn
    from hermes_cli import paths
    from hermes_cli.errors import HermesError, OutputError, SessionBusy
    from hermes_cli.store.sessions.reader import read_session
    from hermes_cli.store.sessions.writer import Transcript
    os.chown(place, 65534, 65534)
    if os.geteuid() == 0:
        os.setuid(65534)
    path = kept("first")
    paths.sessions_folder().chmod(0o500)
    try:
        begun(turn(1))
    except OutputError as error:
        print(error.message.replace(str(place), ""))
    path.chmod(0o400)
    try:
        Transcript.reopen(read_session(path))
    except SessionBusy as error:
        print(error.message.replace(path.stem, "ID"))
    path.chmod(0)
    try:
        read_session(path)
    except HermesError as error:
        print(error.message.replace(path.stem, "ID").replace(str(place), ""))
    paths.sessions_folder().chmod(0o700)
    path.unlink()
"""


@pytest.mark.skipif(os.geteuid() not in (0, 65534), reason="needs a user without rights")
def test_what_is_read_only_is_reported(script: Script) -> None:
    result = script(AS_OTHER_USER)
    lines = result.out.decode().splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == ["Permission denied"] * 3, result
    assert lines[0].startswith("cannot save the session /sessions/")
    assert lines[1].startswith("the session ID cannot be written")
    assert lines[2].startswith("cannot read /sessions/ID.jsonl")


FULL_DISK = """
    import os, resource, sys
    from tests.saved import FINISHED, begun, ids, turn
    from hermes_cli.errors import OutputError
    from hermes_cli.store.sessions.reader import read_session
    transcript = begun(turn(1))
    whole = transcript.path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 100, -1))
    for attempt in range(2):
        try:
            transcript.append_turn(turn(2 + attempt, "x" * 5000), 1 + attempt, model=None, finished=None)
        except OutputError as error:
            print(error.message.rpartition(": ")[2])
        assert transcript.path.read_bytes() == whole
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    transcript.append_turn(turn(4), 3, model=None, finished=None)
    saved = read_session(transcript.path)
    print(ids(saved.conversation.turns), saved.notices)
"""


def test_a_full_disk_leaves_the_file_as_it_was_and_loses_nothing_later(sessions: Path, script: Script) -> None:
    """The limit on a file's size lets half of a line through, as a disk that becomes full does."""
    result = script(FULL_DISK)
    assert (result.code, result.err) == (0, "")
    assert result.out.decode().splitlines() == ["File too large", "File too large", "[1, 2, 3, 4] ()"]


FIRST_LINE_ON_FULL_DISK = """
    import resource
    from tests.saved import begun, turn
    from hermes_cli import paths
    from hermes_cli.errors import OutputError
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, -1))
    try:
        begun(turn(1))
    except OutputError as error:
        print(len(list(paths.sessions_folder().iterdir())))
"""


def test_a_session_that_cannot_begin_leaves_no_file(sessions: Path, script: Script) -> None:
    assert script(FIRST_LINE_ON_FULL_DISK).out == b"0\n"


HOLDER = """
    import sys
    from tests.saved import begun, turn
    transcript = begun(turn(1))
    print(transcript.path, flush=True)
    sys.stdin.readline()
    transcript.append_turn(turn(2), 1, model=None, finished=None)
    transcript.close()
    print("closed", flush=True)
    sys.stdin.readline()
"""


def test_a_session_that_is_open_elsewhere_can_only_be_forked(sessions: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
        text=True,
    ) as other:
        assert other.stdin and other.stdout
        path = Path(other.stdout.readline().strip())
        saved = read_session(path)
        assert in_use(path)
        assert "is open in another program" in message(lambda: Transcript.reopen(saved), SessionBusy)
        fork = Transcript.fork(saved)
        fork.append_turn(turn(2, "mine"), 1, model=None, finished=None)
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "closed\n"
        assert not in_use(path)
        assert "has just written" in message(lambda: Transcript.reopen(saved), SessionBusy)
        Transcript.reopen(read_session(path)).close()
        other.stdin.write("\n")
    questions = [[said.question for said in read_session(place).conversation.turns] for place in (path, fork.path)]
    assert questions == [["question 1", "question 2"], ["question 1", "mine"]]


RIVAL = """
    import sys
    from pathlib import Path
    from tests.saved import turn
    from hermes_cli.errors import SessionBusy
    from hermes_cli.store.sessions.reader import read_session
    from hermes_cli.store.sessions.writer import Transcript
    for round in range(15):
        saved = read_session(Path(sys.argv[1]))
        try:
            transcript = Transcript.reopen(saved)
        except SessionBusy:
            transcript = Transcript.fork(saved)
        parent, number = saved.conversation.turns[-1].id, saved.last_turn_id
        for step in range(3):
            number += 1
            transcript.append_turn(turn(number, "x" * 20_000), parent, model=sys.argv[2], finished=None)
            parent = number
        transcript.close()
"""


def test_concurrent_writers_of_one_session_never_mix_their_lines(sessions: Path) -> None:
    path = kept("first")
    command = [sys.executable, "-c", textwrap.dedent(RIVAL), str(path)]
    rivals = [subprocess.Popen([*command, name], env=child_environment()) for name in ("a", "b", "c")]
    assert [rival.wait(60) for rival in rivals] == [0, 0, 0]
    files = [read_session(file) for file in sessions.iterdir()]
    assert [file.notices for file in files] == [()] * len(files)
    new = {file.path: [said for said in file.conversation.turns if len(said.question) == 20_000] for file in files}
    assert all(len(file.turns) == len(new[file.path]) + 1 for file in files)
    # Each of the 45 rounds put its three turns into the first file, or into a fork of its own.
    assert len(new.pop(path)) == 3 * (45 - len(new))
    assert all(len(said) >= 3 for said in new.values())


KILLS = int(os.environ.get("HERMES_CLI_TEST_KILLS", "200"))
KILLER = """
    import os, random, signal, sys, time
    from hermes_cli import paths
    from hermes_cli.store.sessions.reader import read_session
    from hermes_cli.store.sessions.writer import Transcript
    from tests.saved import begun, ids, turn
    chance = random.Random(int(sys.argv[2]))

    def write(size, progress):
        transcript = begun(turn(1))
        for number in range(2, 100_000):
            os.write(progress, b".")  # one more turn is finished
            transcript.append_turn(turn(number, "q" * size, "a" * size), number - 1, model=None, finished=None)

    kept = 0
    for run in range(int(sys.argv[1])):
        size = (200, 400_000)[run % 2]  # in long turns the kill is likely to come in the middle of a write
        seen, progress = os.pipe()
        child = os.fork()
        if child == 0:
            write(size, progress)
        os.close(progress)
        time.sleep(chance.random() * 0.03)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        finished = len(os.read(seen, 100_000))
        os.close(seen)
        for path in paths.sessions_folder().glob("*"):
            saved = read_session(path)
            turns = saved.conversation.turns
            assert finished <= len(turns) <= finished + 1, (finished, turns)
            assert ids(turns) == list(range(1, len(turns) + 1)) and not saved.notices[1:]
            assert all(len(said.question) == size for said in turns[1:])
            kept, finished = kept + len(turns), 0
            after = turn(saved.last_turn_id + 1, "after")
            transcript = Transcript.reopen(saved)
            transcript.append_turn(after, saved.last_turn_id or None, model=None, finished=None)
            transcript.close()
            assert read_session(path).conversation.turns == (*turns, after)
            path.unlink()
        assert not finished, "a finished turn is in no file"
    print(kept)
"""


def test_every_saved_turn_survives_kill_9_at_any_moment(sessions: Path, script: Script) -> None:
    result = script(KILLER, str(KILLS), "1", timeout_s=50 + KILLS)
    assert (result.code, result.err) == (0, "")
    assert int(result.out) > 0
