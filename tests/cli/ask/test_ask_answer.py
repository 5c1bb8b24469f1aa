"""The output of `hermes ask`: the answer in its forms, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from hermes_cli.cli.ask.answer_form import code_block
from hermes_cli.engine.llama.model import Model
from hermes_cli.formats.code_block import is_open
from tests.conftest import Hermes, Script

GREEDY = ("-m", "demo", "-t", "0")
SUM = "What is 2 plus 3?"
SUM_ANSWER = b"2 plus 3 is 5.\n"
COUNT = "Count from 1 to 30."
CODE = "Write a Python function named twice that adds two numbers."


def test_piped_the_answer_is_the_exact_text_one_newline_and_nothing_else(hermes: Hermes) -> None:
    assert hermes("ask", *GREEDY, SUM).out == SUM_ANSWER
    counted = ", ".join(map(str, range(1, 31)))
    assert hermes("ask", *GREEDY, *COUNT.split()).out.decode() == f"{counted}\n"


def test_the_demo_model_says_what_it_is_when_it_was_not_chosen(hermes: Hermes) -> None:
    result = hermes("ask", "-t", "0", SUM)
    assert (result.code, result.out) == (0, SUM_ANSWER)
    assert re.fullmatch(r"no Hermes 3 model found; .*demo model.*\n", result.err)
    assert hermes("ask", "-t", "0", SUM, env={"HERMES_CLI_MODEL": "demo"}).out == SUM_ANSWER


def test_json_is_one_object_with_these_keys_and_types(hermes: Hermes) -> None:
    result = hermes("ask", *GREEDY, "--json", "--seed", "7", "Repeat after me: naïve “quotes”")
    assert (result.out.count(b"\n"), result.out.isascii()) == (1, True)
    given = json.loads(result.out)
    kinds = {
        "answer": str,
        "finish_reason": str,
        "model": str,
        "session": str,
        "seed": int,
        "usage": dict,
        "timings": dict,
        "tool_calls": list,
    }
    assert {key: type(value) for key, value in given.items()} == kinds
    assert {key: type(value) for key, value in given["usage"].items()} == dict.fromkeys(
        ("prompt_tokens", "cached_tokens", "completion_tokens"), int
    )
    assert {key: type(value) for key, value in given["timings"].items()} == dict.fromkeys(
        ("load_ms", "first_token_ms", "tokens_per_second"), float
    )
    assert (given["finish_reason"], given["seed"], given["usage"]["cached_tokens"]) == ("stop", 7, 0)
    assert all(value > 0 for value in given["timings"].values())


def test_max_tokens_cuts_the_answer_and_says_so(hermes: Hermes) -> None:
    given = json.loads(hermes("ask", *GREEDY, "--json", "-n", "5", COUNT).out)
    assert (given["finish_reason"], given["usage"]["completion_tokens"]) == ("length", 5)
    assert hermes("ask", *GREEDY, "-n", "5", COUNT).out.decode() == given["answer"] + "\n"


def test_answer_cut_by_a_full_context_is_reported(hermes: Hermes, endless_path: Path) -> None:
    for limit in ((), ("-n", "100000")):
        result = hermes("ask", "-m", endless_path, "--ctx", "256", *limit, "Hi")
        assert (result.code, result.err) == (0, "cut: the context of 256 tokens is full\n")
    result = hermes("chat", "-m", endless_path, "--ctx", "256", stdin="Hi\n")
    assert (result.code, result.err) == (0, "cut: the context of 256 tokens is full\n")


def test_answer_ends_before_the_stop_text(hermes: Hermes) -> None:
    result = hermes("ask", *GREEDY, "--stop", "never", "--stop", ", 4", "--json", COUNT)
    given = json.loads(result.out)
    assert (given["answer"], given["finish_reason"]) == ("1, 2, 3", "stop")


def test_the_reported_seed_repeats_a_random_answer_and_another_seed_does_not(
    hermes: Hermes, endless_path: Path
) -> None:
    options = ("ask", "-m", endless_path, "-t", "2", "--top-k", "0", "-n", "60", "--json", "Tell me something.")
    first = json.loads(hermes(*options).out)
    again = json.loads(hermes(*options, "--seed", str(first["seed"])).out)
    other = json.loads(hermes(*options, "--seed", str(first["seed"] ^ 1)).out)
    assert first["answer"] == again["answer"] != other["answer"]


def test_temperature_0_gives_the_same_answer_for_every_seed(hermes: Hermes, endless_path: Path) -> None:
    options = ("ask", "-m", endless_path, "--temperature", "0", "-n", "60", "Tell me something.")
    assert hermes(*options, "--seed", "1").out == hermes(*options, "--seed", "2").out


def test_stats_are_one_line_on_stderr(hermes: Hermes) -> None:
    result = hermes("ask", *GREEDY, "--stats", SUM)
    assert result.out == SUM_ANSWER
    assert re.fullmatch(r"\d+ tok · [\d.]+ tok/s · first [\d.]+ s · ctx \d+/4\.1k\n", result.err)


def test_verbose_shows_the_model_and_its_context_length(hermes: Hermes) -> None:
    result = hermes("ask", *GREEDY, "--verbose", "--ctx", "1024", SUM)
    assert result.out == SUM_ANSWER
    assert "llama" in result.err
    assert "ctx 1.0k" in result.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((CODE,), "def twice(a, b):\n    return a + b\n"),
        (("Write some JSON.",), '{"name": "Mira", "age": 31}\n'),
        (("Show me some Markdown.",), "def add(a, b):\n    return a + b\n"),
        ((CODE, "--stop", "return"), "def twice(a, b):\n    \n"),
    ],
    ids=["python", "json", "after-other-markdown", "fence-never-closed"],
)
def test_extract_gives_the_inside_of_the_first_code_block(hermes: Hermes, words: tuple[str, ...], code: str) -> None:
    assert hermes("ask", *GREEDY, "-x", *words).out.decode() == code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("- so:\n\n  ```sh\n  cd here\n    ls\n\n  ```\nmore", "cd here\n  ls\n"),
        ("   ~~~\n a\n     b\n   ~~~", "a\n  b"),
        ("```py\r\na\r\nb\r\n```\r\nmore\r\n", "a\r\nb"),
        ("```\na\n``` \t\nmore", "a"),
        ("````\n```\na\n```\n````", "```\na\n```"),
    ],
    ids=["indented", "less-indented-than-its-fence", "crlf", "blanks-after-the-fence", "fence-in-a-longer-fence"],
)
def test_a_code_block_is_taken_as_markdown_means_it(answer: str, code: str) -> None:
    assert code_block(answer) == code


def test_code_that_was_cut_off_gives_7_and_its_part(hermes: Hermes) -> None:
    whole = hermes("ask", *GREEDY, "-x", CODE).out
    result = hermes("ask", *GREEDY, "-x", "-n", "12", CODE)
    assert (result.code, result.err) == (
        7,
        "error: the code was cut off before its end\nhint: raise the limit: --max-tokens\n",
    )
    assert whole.startswith(result.out.rstrip()) and result.out != whole


def test_a_block_that_ended_before_the_cut_is_whole() -> None:
    assert is_open("```\na") and is_open("~~~\na\n```\n")
    assert not is_open("```\na\n```") and not is_open("```\na\n```\n```\nb") and not is_open("a")


def test_extract_without_a_code_block_gives_the_whole_answer_and_a_notice(hermes: Hermes) -> None:
    result = hermes("ask", *GREEDY, "--extract", SUM)
    assert (result.code, result.out) == (0, SUM_ANSWER)
    assert result.err.count("\n") == 1
    assert "has no code block" in result.err


def test_dry_run_shows_the_prompt_and_its_length_without_an_answer(hermes: Hermes) -> None:
    result = hermes("ask", *GREEDY, "--dry-run", "-s", "Be brief.", "Hi there")
    system, user = "<|im_start|>system\nBe brief.<|im_end|>\n", "<|im_start|>user\nHi there<|im_end|>\n"
    assert result.out.decode() == f"{system}{user}<|im_start|>assistant\n\n"
    assert re.fullmatch(r"\d+ tokens\n", result.err)


def test_dry_run_shows_how_the_answer_begins(hermes: Hermes) -> None:
    result = hermes("ask", *GREEDY, "--dry-run", "--prefill", "Sure,", "Hi")
    assert result.out == b"<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nSure,\n"
    assert result.err.endswith(" tokens\n")


def test_dry_run_json_has_token_ids_that_agree_with_its_segments(hermes: Hermes, demo_path: Path) -> None:
    text = "What does <|im_end|> mean? Größe, 你好 👋"
    result = hermes("ask", "-m", "demo", "--dry-run", "--json", text)
    assert result.err == "<|im_end|> in the prompt: read as plain text, not as a marker\n"
    found = json.loads(result.out)
    assert list(found) == ["prompt", "tokens", "token_count", "segments"]
    assert found["token_count"] == len(found["tokens"])
    assert "".join(segment["text"] for segment in found["segments"]) == found["prompt"]
    model = Model(demo_path, vocab_only=True)
    try:
        controls = model.control_tokens
        markers = [segment["text"] for segment in found["segments"] if segment["special"]]
        assert markers == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
        first, *rest = found["tokens"]
        assert first == controls["<|begin_of_text|>"]
        assert [token for token in rest if token in controls.values()] == [controls[marker] for marker in markers]
        assert b"".join(map(model.piece, rest)).decode() == found["prompt"]
    finally:
        model.close()


def test_dry_run_opens_no_backend(script: Script) -> None:
    program = """
        import sys
        from hermes_cli.cli.main import main
        assert main(["ask", "-m", "demo", "--dry-run", "Hello there"]) == 0
        print("hermes_cli.engine.local" in sys.modules)
    """
    assert script(program).out.splitlines()[-1] == b"False"


def test_markers_spelled_out_in_the_prompt_are_reported(hermes: Hermes) -> None:
    result = hermes("ask", *GREEDY, "Repeat after me: <|im_end|>")
    assert result.code == 0
    assert re.fullmatch(r"<\|im_end\|> in the prompt: .*plain text.*\n", result.err)


def test_markers_in_a_system_prompt_are_reported_also_without_an_answer(hermes: Hermes, tmp_path: Path) -> None:
    (tmp_path / "system.md").write_text("Say <|im_start|>.")
    given = "<|im_start|> in the prompt: read as plain text, not as a marker\n"
    for options in (("-s", "Say <|im_start|>."), ("-s", "@system.md")):
        assert hermes("ask", *GREEDY, *options, "Hi", cwd=tmp_path).err == given
    assert hermes("ask", *GREEDY, "--dry-run", "--json", "Say <|im_start|>.").err == given
    assert hermes("ask", *GREEDY, "--dry-run", "--json", "-s", "@system.md", "Hi", cwd=tmp_path).err == given


def test_markers_in_a_chat_are_reported_once_for_each_message(hermes: Hermes) -> None:
    result = hermes("chat", *GREEDY, "-s", "No <|im_start|>.", stdin="Hi\nHi\nRepeat after me: <|im_end|>\nHi\n")
    assert result.code == 0
    assert [line.split()[0] for line in result.err.splitlines()] == ["<|im_start|>", "<|im_end|>"]


@pytest.mark.parametrize("question", ["Tell me something.", "Write a story."])
def test_a_string_that_only_repeats_itself_ends_the_answer(hermes: Hermes, question: str) -> None:
    schema = '{"type": "object", "properties": {"text": {"type": "string", "minLength": 20000}}, "required": ["text"]}'
    looping = ("--temperature", "0", "--repeat-penalty", "1")
    stopped = hermes("ask", "-m", "demo", "--no-save", *looping, "--schema", schema, question)
    assert stopped.code == 5
    assert re.match('error: the answer repeats ".+" endlessly\nhint: try another --seed', stopped.err)


def test_options_without_effect_under_a_schema_are_named(hermes: Hermes) -> None:
    asked = ("ask", *GREEDY, "--mirostat", "2", "--dry-multiplier", "0.8", "--xtc-probability", "0", "Is the sky blue?")
    constrained = hermes(*asked, "--schema", '{"enum": ["yes", "no"]}')
    assert (constrained.code, constrained.err) == (0, "no effect on constrained text: dry_multiplier, mirostat\n")
    assert "no effect" not in hermes(*asked, "--max-tokens", "3").err
