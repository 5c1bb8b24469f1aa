"""Compare prompts with what chat templates write: `python -m benchmarks.templates FOLDER` on a folder of Jinja files.

llama.cpp's source has such a folder, `models/templates`. Every template renders conversations once as Hugging Face's
transformers does and once by hermes, which must give the same text; contents that spell its control tokens must not
add any. Prints one line per template, and exits with 1 if any differs.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hermes_cli.chat.message import Message
from hermes_cli.errors import HermesError
from hermes_cli.formats import chatml, probes
from hermes_cli.formats.jinja_template import JinjaTemplate
from hermes_cli.formats.segment import joined
from hermes_cli.formats.template_messages import plain_messages, structured_messages, without_roles

BOS, EOS = "<|test_bos|>", "<|test_eos|>"
_CONTROL = re.compile(r"<[|｜][^<>|｜]{1,40}[|｜]>|\[/?[A-Z_]{3,30}\]|</?[a-z_]{2,30}>|<s>")
_TALK = (Message("user", "What is this? "), Message("assistant", "A test."), Message("user", "Why?\n"))
CONVERSATIONS: dict[str, tuple[Message, ...]] = {
    "system": (Message("system", "Be brief."), _TALK[0]),
    "multi-turn": (Message("system", "Be brief."), *_TALK),
    "no system": _TALK,
    "thinking": (*_TALK[:1], replace(_TALK[1], thinking="It looks like one."), *_TALK[2:]),
    "tools": probes.WITH_TOOLS,
    "tool result": probes.WITH_TOOLS[:4],
}


@dataclass(frozen=True)
class Outcome:
    """What one template did: the writer that is chosen, whether it takes tools, and what differs."""

    writer: str
    takes_tools: bool
    missing_roles: tuple[str, ...]
    refused: tuple[str, ...]
    adapted: tuple[str, ...]
    differing: tuple[str, ...]


def compare(source: str) -> Outcome:
    """A template against hermes. Raises EngineError where it cannot be compiled."""
    controls = {*_CONTROL.findall(source), *chatml.MARKERS, BOS, EOS}
    template = JinjaTemplate(source, bos=BOS, eos=EOS, control_texts=controls)
    refused, adapted, differing = [], [], []
    for name, messages in CONVERSATIONS.items():
        for reply in (True, False):
            expected = _reference(source, template, messages, reply)
            found = _ours(template, messages, reply)
            if expected is None and found is not None:
                adapted.append(name)
            elif expected != found:
                differing.append(name)
            elif found is None:
                refused.append(name)
            elif not _is_safe(template, messages, controls, reply):
                differing.append(f"{name} (forged)")
    sets = (tuple(dict.fromkeys(names)) for names in (refused, adapted, differing))
    return Outcome(_writer(template), template.takes_tools, tuple(sorted(template.missing_roles)), *sets)


def _writer(template: JinjaTemplate) -> str:
    """Which writer a model would get whose vocabulary has the ChatML markers."""
    try:
        return "chatml" if probes.writes_chatml(template.write) else "template"
    except HermesError:
        return "template"


def _ours(template: JinjaTemplate, messages: Sequence[Message], reply: bool) -> str | None:
    try:
        return joined(template.write(messages, reply=reply))
    except HermesError:
        return None


def _is_safe(template: JinjaTemplate, messages: Sequence[Message], controls: set[str], reply: bool) -> bool:
    """Whether contents that spell every control token leave the special segments as they are."""
    hostile = "".join(sorted(controls))
    attack = [replace(one, content=one.content + hostile) if one.role == "user" else one for one in messages]
    try:
        before, after = (template.write(said, reply=reply) for said in (messages, attack))
    except HermesError:
        return True
    return [one.text for one in before if one.special] == [one.text for one in after if one.special]


def _reference(source: str, template: JinjaTemplate, messages: Sequence[Message], reply: bool) -> str | None:
    """The text as transformers renders it, without the BOS at its beginning; None where the template fails.

    Results that the template would silently leave out are written as the user's here too.
    """
    given, tools = (
        structured_messages(messages, lambda one: one.content)
        if template.takes_tools
        else (plain_messages(messages, lambda one: one.content), None)
    )
    variables = {
        "messages": given,
        "bos_token": BOS,
        "eos_token": EOS,
        "documents": None,
        "add_generation_prompt": reply,
        "enable_thinking": True,
        "date_string": datetime.now().strftime("%d %b %Y"),
    }
    if "tool" in template.missing_roles:
        variables["messages"] = without_roles(given, {"tool"})
    compiled = _environment().from_string(source)
    for offered in (tools, [] if tools is None else tools):
        try:
            return str(compiled.render(**variables, tools=offered)).removeprefix(BOS)
        except TypeError:
            continue
        except Exception:
            return None
    return None


class _Generation(Extension):
    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    def refuse(reason: str) -> None:
        raise ValueError(reason)

    def tojson(value: object, ensure_ascii: bool = False, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **options)

    extensions = [_Generation, loopcontrols]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.filters["tojson"] = tojson
    environment.globals.update(raise_exception=refuse, strftime_now=lambda form: datetime.now().strftime(form))
    return environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare every Jinja file of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of .jinja files")
    files = sorted(parser.parse_args(arguments).folder.glob("*.jinja"))
    wrong = 0
    for file in files:
        try:
            outcome = compare(file.read_text(encoding="utf-8"))
        except HermesError as error:
            wrong += 1
            print(f"FAIL  {file.stem}: {error.message}")
            continue
        wrong += bool(outcome.differing)
        notes = [outcome.writer, "tools" if outcome.takes_tools else "tools as text"]
        notes += [f"no role {' or '.join(outcome.missing_roles)}"] if outcome.missing_roles else []
        notes += [f"refuses {', '.join(outcome.refused)}"] if outcome.refused else []
        notes += [f"refused without that: {', '.join(outcome.adapted)}"] if outcome.adapted else []
        notes += [f"differs in {', '.join(outcome.differing)}"] if outcome.differing else []
        print(f"{'FAIL' if outcome.differing else 'same'}  {file.stem}: {'; '.join(notes)}")
    print(f"{len(files) - wrong} of {len(files)} templates give the same")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
