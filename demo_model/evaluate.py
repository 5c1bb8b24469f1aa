"""Asks the shipped GGUF fresh questions through hermes' own engine: `python -m demo_model.evaluate [MODEL.gguf]`.

Prints how many answers come back to the letter, greedily decoded without a repetition penalty and with the default
one, and exits with 1 if a bar is missed.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo_model.conversation import Conversation
from demo_model.source import Source
from demo_model.suites import BARS, SUITES
from hermes_cli.backend import Backend
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import MODEL_CARD, Sampling
from hermes_cli.engine.local import open_backend

_CARD = Path(__file__).with_name("README.md")
_MODEL = Path(__file__).parents[1] / "hermes_cli" / "models" / "demo" / "hermes-demo.gguf"
_START, _END = "<!-- figures -->\n", "<!-- end of figures -->"
_PLAIN = Sampling(temperature=0.0, repeat_penalty=1.0)
_PENALISED = Sampling(temperature=0.0, repeat_penalty=MODEL_CARD.repeat_penalty)


@dataclass(frozen=True, slots=True)
class Score:
    """How one suite went, without and with the repetition penalty; `ended` counts the answers that stopped alone."""

    name: str
    asked: int
    right: int
    right_penalised: int
    ended: int

    @property
    def missed(self) -> bool:
        return min(self.right, self.right_penalised) < self.asked * BARS.get(self.name, 0.0)

    @property
    def row(self) -> str:
        bar = f"{BARS[self.name]:.0%}" if self.name in BARS else ""
        counts = f"{self.right} / {self.asked} | {self.right_penalised} / {self.asked}"
        return f"| {self.name} | {counts} | {self.ended} / {2 * self.asked} | {bar} |"


def answer(backend: Backend, messages: tuple[Message, ...], sampling: Sampling = _PLAIN) -> tuple[str, str]:
    """The model's answer and why it ended."""
    text, reason = "", ""
    request = GenerationRequest(messages=messages, sampling=sampling, max_tokens=800)
    for event in backend.generate(request, CancelToken()):
        match event:
            case TextDelta(piece):
                text += piece
            case Finished(finish):
                reason = finish
    return text, reason


def score(backend: Backend, name: str, count: int, seed: int, failures: int) -> Score:
    """Asks `count` prompts of one suite and prints the first `failures` wrong answers."""
    source, ended, right = Source(seed, held_out=True), 0, {_PLAIN: 0, _PENALISED: 0}
    for _ in range(count):
        case: Conversation = SUITES[name](source)
        for sampling in right:
            text, reason = answer(backend, case.prompt, sampling)
            ended += reason == "stop"
            if text == case.answer and reason == "stop":
                right[sampling] += 1
            elif failures:
                failures -= 1
                print(
                    f"\n{name}, penalty {sampling.repeat_penalty}: {case.prompt[-1].content[-400:]!r}"
                    f"\n  wanted {case.answer!r}\n  got    {text!r} ({reason})"
                )
    return Score(name, count, right[_PLAIN], right[_PENALISED], ended)


def table(scores: list[Score]) -> Iterator[str]:
    yield f"| check | right to the letter | with penalty {_PENALISED.repeat_penalty} | ended by itself | bar |"
    yield "|---|---|---|---|---|"
    yield from (one.row for one in scores)


def update_card(lines: list[str]) -> None:
    text = _CARD.read_text(encoding="utf-8")
    before, rest = text.split(_START, 1)
    _CARD.write_text(before + _START + "\n".join(lines) + "\n" + _END + rest.split(_END, 1)[1], encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=_MODEL)
    parser.add_argument("--count", type=int, default=100, help="prompts for each check")
    parser.add_argument("--seed", type=int, default=20_261, help="a new seed asks new questions")
    parser.add_argument("--failures", type=int, default=2, help="wrong answers to print for each check")
    parser.add_argument("--only", nargs="*", default=list(SUITES), help="names of checks")
    parser.add_argument("--update-card", action="store_true", help="write the figures into README.md")
    options = parser.parse_args()
    if options.update_card and (options.count < 100 or options.only != list(SUITES)):
        parser.error("the card takes all checks with at least 100 prompts each")
    with open_backend(options.model) as backend:
        scores = [score(backend, name, options.count, options.seed, options.failures) for name in options.only]
    lines = list(table(scores))
    print("\n" + "\n".join(lines))
    if options.update_card:
        update_card(lines)
    sys.exit(any(one.missed for one in scores))


if __name__ == "__main__":
    main()
