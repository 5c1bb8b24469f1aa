"""Generation with --speculate auto and off: greedy, interleaved, on prompts that repeat text and on others.

Prints tokens per second, whether the text is equal, and the cost of a batch of drafted tokens, relative to one token.
Usage: python -m benchmarks.speculation [MODEL ...] [--rounds 5] [--tokens 160] [--threads N]
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from benchmarks.rounds import markdown
from hermes_cli import paths
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.load_options import LoadOptions, LoadSettings
from hermes_cli.engine.loading import make_context, make_model
from hermes_cli.engine.local import LocalBackend, open_backend
from hermes_cli.machine.load_plan import plan_load
from hermes_cli.machine.measure import sample_tokens

CODE = """def total(prices, discount):
    result = 0
    for price in prices:
        if price > 100:
            result = result + price * (1 - discount)
        else:
            result = result + price
    return result
"""
STORY = (
    "The harbour of Sanna was built in 1612 by Oda Brennick, who owned three ships and a mill. In the winter of 1640 "
    "the ice was so thick that all ships stayed for ninety days, and people walked to the islands to buy bread."
)
ROWS = '[{"city": "Lisbon", "sky": "clear", "degrees": 24}, {"city": "Oslo", "sky": "snow", "degrees": -3}]'
TASKS = {
    "edit code": f"Rename result to amount in this code and print all of the code:\n\n{CODE}",
    "quote": f"Repeat this text word for word:\n\n{STORY}",
    "tool result": f"The tool returned {ROWS}. Repeat its result as it is, then say which city is warmer.",
    "story": "Tell me a story about a sailor and a lighthouse.",
    "list": "List twenty animals, one on each line.",
}
DRAFTS = (1, 3, 7, 15)


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=[paths.DEMO_MODEL])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    for path in given.models:
        options = LoadOptions(context_length=1024, gpu_layers=0, threads=given.threads, kv_store_bytes=0)
        (settings, *_) = plan_load(path, replace(options, speculate=True)).attempts
        print(f"\n{path.stem}, {settings.threads} threads\n")
        heads = ("task", "tokens", "off, tok/s", "auto, tok/s", "ratio", "same text")
        print(markdown([heads, *gains(path, settings, given.rounds, given.tokens)]))
        print(
            "\n" + markdown([("drafted tokens", "time of the batch, in tokens"), *costs(path, settings, given.rounds)])
        )


def gains(path: Path, settings: LoadSettings, rounds: int, tokens: int) -> Iterator[tuple[str, ...]]:
    """One row for each task: medians of both, taking turns."""
    with ExitStack() as stack:
        off = stack.enter_context(open_backend(path, replace(settings, speculates=False)))
        auto = stack.enter_context(open_backend(path, settings))
        for name, text in TASKS.items():
            answers = [(answered(off, text, tokens), answered(auto, text, tokens)) for _ in range(rounds)]
            counts = {finished.usage.completion_tokens for _, finished in answers[0]}
            slow, fast = (statistics.median(map(speed, (pair[side][1] for pair in answers))) for side in (0, 1))
            same = sum(one[0] == other[0] for one, other in answers)
            count = " and ".join(map(str, sorted(counts)))
            yield name, count, f"{slow:,.1f}", f"{fast:,.1f}", f"{fast / slow:.2f}", f"{same} of {rounds}"


def answered(backend: LocalBackend, text: str, tokens: int) -> tuple[str, Finished]:
    """The text of a greedy answer, and its end."""
    request = GenerationRequest((Message("user", text),), Sampling(temperature=0, repeat_penalty=1), tokens)
    events = list(backend.generate(request, CancelToken()))
    finished = events[-1]
    assert isinstance(finished, Finished)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), finished


def speed(finished: Finished) -> float:
    """Tokens per second after the first."""
    return (finished.usage.completion_tokens - 1) / finished.timings.decode_s if finished.timings.decode_s else 0.0


def costs(path: Path, settings: LoadSettings, rounds: int) -> Iterator[tuple[str, ...]]:
    """What checking drafts of some lengths takes, in units of decoding one token."""
    with (
        closing(make_model(path, settings, lambda _: True)) as model,
        closing(make_context(model, settings)) as context,
    ):
        tokens = sample_tokens(model, 256)
        context.decode(tokens)
        lengths = (0, *DRAFTS)
        times = [[batch_seconds(context, tokens[: 1 + length]) for length in lengths] for _ in range(rounds)]
        for at, length in enumerate(lengths[1:], 1):
            yield str(length), f"{statistics.median(row[at] / row[0] for row in times):.2f}"


def batch_seconds(context: Context, tokens: Sequence[int]) -> float:
    """The time to check `tokens` in one batch after the tokens in the cache, which is left as it is.

    The second of two runs counts: the first after another size prepares its graph.
    """
    held, seconds = context.position(), 0.0
    for _ in range(2):
        started = time.perf_counter()
        context.decode_scored(tokens) if len(tokens) > 1 else context.decode(tokens)
        seconds = time.perf_counter() - started
        context.keep(held)
    return seconds


if __name__ == "__main__":
    main()
