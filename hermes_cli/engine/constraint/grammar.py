"""Grammars for llguidance: JSON that satisfies a schema, and tool calls."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hermes_cli.engine.constraint.dialect import Node, changed
from hermes_cli.formats.json.patterns import translated
from hermes_cli.formats.tags import CALL_END, CALL_START, PAD_END, PAD_START

# As json.dumps writes, which the models were trained on. With flexible white space a model can write it endlessly.
# \u00e9 may stand for é, as it does in that training, except in texts with a pattern. Half a character never may.
_STYLE: dict[str, Any] = {
    "item_separator": ", ",
    "key_separator": ": ",
    "whitespace_flexible": False,
    "json_allowed_escapes": 'nrbtfu\\"',
    "json_allow_general_unicode_escapes": True,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The grammars of one request: `whole` for all of the answer, or `call` for what follows the tag in free text.

    Without `call` no call can open. `opening` is what the answer must begin with. `begun` is the part of the answer
    that exists already. `notes` name what is not enforced; `form` names the constraint in messages.
    """

    whole: str | None = None
    call: str | None = None
    opening: str | None = None
    begun: str = ""
    notes: tuple[str, ...] = ()
    form: Literal["schema", "grammar"] = "schema"


def json_grammar(schema: str) -> str:
    """An answer that is JSON by `schema`, given as text for llguidance."""
    return f"start: %json {schema}\n"


def compiler_text(schema: Any) -> str:
    """A schema of `Dialect` as text for the compiler: its patterns translated, and the style of the answer."""
    if isinstance(schema, bool):
        schema = {} if schema else {"not": {}}
    return json.dumps({**changed(schema, _with_translated_patterns), "x-guidance": _STYLE})


def _with_translated_patterns(node: Node) -> Node:
    copy = dict(node)
    if "pattern" in copy:
        copy["pattern"] = translated(copy["pattern"], for_grammar=True)
    if "patternProperties" in copy:
        copy["patternProperties"] = {
            translated(pattern, for_grammar=True): one for pattern, one in copy["patternProperties"].items()
        }
    return copy


def call_rules(tools: Sequence[tuple[str, str]]) -> str:
    """Rules for the inside of a call of the tools, each a name and the schema of its arguments; empty without tools.

    Models write the name first, as their template says, or the arguments, as the model card shows.
    """
    if not tools:
        return ""
    lines = [f'call_end: "}}\\n{CALL_END}"', 'call_body: "\\n{" call call_end']
    lines.append("call: " + " | ".join(f"named_{index} | given_{index}" for index in range(len(tools))))
    for index, (name, schema) in enumerate(tools):
        named, arguments = f'"name": {json.dumps(name, ensure_ascii=False)}', '"arguments": '
        lines.append(f"named_{index}: {_quoted(f'{named}, {arguments}')} arguments_{index}")
        lines.append(f"given_{index}: {_quoted(arguments)} arguments_{index} {_quoted(f', {named}')}")
        lines.append(f"arguments_{index}: %json {schema}")
    # A token may hold the end of the tag and what follows, as `>` and a newline do between two calls.
    lines.append(r"AFTER: /[ \t\r\n]+/")
    return "\n".join(lines) + "\n"


def json_or_calls_grammar(schema: str, rules: str) -> str:
    """An answer that is JSON by `schema`, or one or more calls."""
    calls = f'calls: "{CALL_START}" call_body ("\\n{CALL_START}" call_body)*'
    return f"start: answer | calls\nanswer: %json {schema}\n{calls}\n{rules}"


def call_grammar(rules: str) -> str:
    """What follows the opening tag of a call in free text."""
    return f"start: call_body AFTER?\n{rules}"


def opening_grammar(rules: str, *, pad: bool) -> str:
    """A call from its opening tag on; with `pad`, a scratch pad may precede it."""
    if not pad:
        return f'start: "{CALL_START}" call_body AFTER?\n{rules}'
    thoughts = f"thoughts[lazy]: /{PAD_START}(.|\\n)*{PAD_END}[ \\n]*{CALL_START}/".replace("</", "<\\/")
    return f'start: (thoughts | "{CALL_START}") call_body AFTER?\n{thoughts}\n{rules}'


def _quoted(text: str) -> str:
    """A string literal of the grammar."""
    return json.dumps(text, ensure_ascii=False)
