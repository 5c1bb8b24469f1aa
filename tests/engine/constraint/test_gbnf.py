"""Grammars in GBNF: read as llama.cpp reads them, and nothing else is written."""

import re

import pytest

from hermes_cli.chat.events import TextDelta
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.constraint.gbnf import from_gbnf
from hermes_cli.engine.constraint.planner import Planner
from hermes_cli.engine.local import LocalBackend
from hermes_cli.errors import UsageError
from tests.engine.answers import assistant, user

GRAMMARS = {
    'root ::= "yes" | "no"': "yes|no",
    'root ::= item{2}\nitem ::= "- " [a-z]{1,5} "\\n" # a line': r"(- [a-z]{1,5}\n){2}",
    'root ::= "\\u00e9" [\\u0430-\\u044f]{3} "\\x41."': "é[а-я]{3}A[.]",
    'root ::= expr\nexpr ::= num ("+" num)? "."\nnum ::= [0-9]{1,3}': "[0-9]{1,3}([+][0-9]{1,3})?[.]",
    'root ::= [0-9a-f]{80} "."': "[0-9a-f]{80}[.]",
}


@pytest.mark.parametrize(("grammar", "pattern"), GRAMMARS.items(), ids=GRAMMARS)
@pytest.mark.parametrize("temperature", [0.0, 5.0])
def test_an_answer_is_what_the_grammar_allows(
    backend: LocalBackend, grammar: str, pattern: str, temperature: float
) -> None:
    asked = GenerationRequest((user("Write."),), Sampling(temperature=temperature, seed=1), 200, grammar=grammar)
    assert re.fullmatch(pattern, _text(backend, asked))


def test_a_beginning_is_continued_by_the_grammar(backend: LocalBackend) -> None:
    asked = GenerationRequest(
        (user("Write."), assistant("y")), Sampling(temperature=0), grammar='root ::= "yes" | "no"'
    )
    assert _text(backend, asked) == "es"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("root ::= x", "Rule 'x' not found"),
        ('item ::= "a"', "No 'root' rule found"),
        ("", "No 'root' rule found"),
        ('root ::= "a', 'line 1: unexpected end of input: root ::= "a'),
        ('root ::= "a" (\n\n', """line 1: expected ')': root ::= "a" ("""),
        ('# \\u0041\nroot ::= "\\u0041\\u0042"\nitem = "b"\n', 'line 3: expected ::=: item = "b"'),
        ('root ::= "a"\n}\n', "line 2: expected name: }"),
        ("root ::= word\nword ::= [z-a]+", "the pattern [z-a] cannot be used: invalid character class range"),
        ("1 ::= [a]\nroot ::= 1", "expecting rule, token or statement"),
        ('root ::= "\\ud800"', r"\ud800 is not a character"),
        ("root ::= root", ""),
        ("root ::= " + "(" * 5000, ""),
    ],
    ids=range(12),
)
def test_a_grammar_that_cannot_be_used_is_refused_before_the_model_is_asked(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"the grammar cannot be used: {reason}")):
        from_gbnf(text)
    with pytest.raises(UsageError):
        Planner().notes(grammar=text)


def _text(backend: LocalBackend, asked: GenerationRequest) -> str:
    events = backend.generate(asked, CancelToken())
    return "".join(event.text for event in events if isinstance(event, TextDelta))
