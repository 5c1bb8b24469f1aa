"""Generation with --speculate auto and off, interleaved, for answers that repeat their prompt and for others.

The answers are given, those of a good model: every token takes the time that the model and its sampler need, and then
the next token of the given answer is used. So files with random weights can be measured, and both sides write the same.
Also prints whether greedy answers are equal, and what a batch of drafted tokens costs, relative to one token.
Usage: python -m benchmarks.speculation [MODEL ...] [--rounds 9] [--gpu]
"""

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.rounds import markdown
from hermes_cli import paths
from hermes_cli.chat.events import Finished, TextDelta
from hermes_cli.chat.message import Message
from hermes_cli.chat.request import CancelToken, GenerationRequest
from hermes_cli.chat.sampling import Sampling
from hermes_cli.engine.decoding.speculation import DraftRule
from hermes_cli.engine.llama.context import Context
from hermes_cli.engine.llama.sampler import Sampler
from hermes_cli.engine.load_options import ALL_LAYERS, LoadOptions, LoadSettings
from hermes_cli.engine.loading import make_context, make_model
from hermes_cli.engine.local import LocalBackend, open_backend
from hermes_cli.engine.thread import EngineThread
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


def average(prices, discount):
    if not prices:
        return 0
    return total(prices, discount) / len(prices)
"""
HARBOUR = (
    "The harbour of Sanna was built in 1612 by Oda Brennick, who owned three ships and a mill. In the winter of 1640 "
    "the ice was so thick that all ships stayed for ninety days, and people walked to the islands to buy bread."
)
ROWS = '[{"city": "Lisbon", "sky": "clear", "degrees": 24}, {"city": "Oslo", "sky": "snow", "degrees": -3}]'
STORY = (
    "Maren had sailed past the lighthouse a hundred times before she saw that its lamp was out. She turned her boat "
    "into the wind, tied it below the cliff and climbed the wet steps. Inside, an old man slept beside a broken lens. "
    "He said that no one had brought oil since autumn. So she went back, filled two cans from her own tank and "
    "carried them up while the tide rose around the rocks. When the light swept over the sea again, three fishing "
    "crews found their way home, and each of them left a basket of herring at her door the next morning."
)
ANIMALS = "cow dog fox hen owl bear crab deer duck frog goat hare lynx mole seal swan toad wolf horse otter"
LIST = "\n".join(f"{number}. {animal.title()}" for number, animal in enumerate(ANIMALS.split(), 1))
TASKS = {  # question and answer
    "edit code": (
        f"Rename result to amount in this code and print all of the code:\n\n{CODE}",
        CODE.replace("result", "amount"),
    ),
    "quote": (f"Repeat this text word for word:\n\n{HARBOUR}", HARBOUR),
    "tool result": (
        f"The tool returned {ROWS}. Repeat its result as it is, then say which city is warmer.",
        f"{ROWS}\n\nLisbon is warmer: 24 degrees, against -3 in Oslo.",
    ),
    "story": ("Tell me a story about a sailor and a lighthouse.", STORY),
    "list": ("List twenty animals, one on each line.", LIST),
}
DRAFTS = (1, 3, 7, 15)
_LEAST_S = 0.4  # of generation for one measurement
_GREEDY_TOKENS = 120


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=[paths.DEMO_MODEL])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--gpu", action="store_true", help="all layers on the GPU")
    given = parser.parse_args()
    for path in given.models:
        (settings, *_) = plan_load(path, options(gpu=given.gpu)).attempts
        print(f"\n{path.stem}, {'GPU' if given.gpu else f'{settings.threads} threads'}\n")
        heads = ("task", "tokens", "off, tok/s", "auto, tok/s", "ratio", "same greedy text")
        print(markdown([heads, *gains(path, settings, given.rounds)]))
        print(
            "\n" + markdown([("drafted tokens", "time of the batch, in tokens"), *costs(path, settings, given.rounds)])
        )


def options(*, gpu: bool) -> LoadOptions:
    """How the model is loaded."""
    return LoadOptions(context_length=1024, gpu_layers=ALL_LAYERS if gpu else 0, kv_store_bytes=0, speculate=True)


def gains(path: Path, settings: LoadSettings, rounds: int) -> Iterator[tuple[str, ...]]:
    """One row for each task: the medians of both, taking turns, and of the ratios of each round."""
    # One backend: with the OpenMP threads of a second one, libgomp lets threads sleep between operations.
    with open_backend(path, settings) as backend:
        rules = (None, backend.drafts)
        for name, (question, answer) in TASKS.items():
            speeds = [[speed(backend, rule, question, answer) for rule in rules] for _ in range(rounds)]
            slow, fast = map(statistics.median, zip(*speeds, strict=True))
            ratio = statistics.median(fast / slow for slow, fast in speeds)
            same = len({greedy(backend, rule, question) for rule in rules}) == 1
            count = len(backend.model.tokenize(answer))
            yield name, f"{count}", f"{slow:,.1f}", f"{fast:,.1f}", f"{ratio:.2f}", "yes" if same else "no"


def speed(backend: LocalBackend, rule: DraftRule | None, question: str, answer: str) -> float:
    """Tokens per second while `answer` is given to `question`, as often as `_LEAST_S` wants."""
    backend.drafts = rule
    tokens = backend.model.tokenize(answer)
    written, seconds = 0, 0.0
    while seconds < _LEAST_S:
        with replayed(backend.cache.context, tokens):
            *_, finished = backend.generate(request(question, Sampling(), len(tokens)), CancelToken())
        assert isinstance(finished, Finished)
        written += finished.usage.completion_tokens - 1
        seconds += finished.timings.decode_s
    return written / seconds


@contextmanager
def replayed(context: Context, tokens: Sequence[int]) -> Iterator[None]:
    """Within it, sampling takes its time, and then the next of `tokens` is chosen."""
    sample, following = context.sample, iter(tokens)

    def choose(sampler: Sampler) -> int:
        sample(sampler)
        return next(following)

    vars(context)["sample"] = choose
    try:
        yield
    finally:
        del vars(context)["sample"]


def request(question: str, sampling: Sampling, tokens: int) -> GenerationRequest:
    """The question, with at most `tokens` for the answer."""
    return GenerationRequest((Message("user", question),), sampling, tokens)


def greedy(backend: LocalBackend, rule: DraftRule | None, question: str) -> str:
    """The model's own answer."""
    backend.drafts = rule
    asked = request(question, Sampling(temperature=0, repeat_penalty=1), _GREEDY_TOKENS)
    return "".join(event.text for event in backend.generate(asked, CancelToken()) if isinstance(event, TextDelta))


def costs(path: Path, settings: LoadSettings, rounds: int) -> list[tuple[str, ...]]:
    """What checking drafts of some lengths takes, in units of decoding one token."""
    with closing(EngineThread()) as thread:
        return thread.run(lambda: _costs(path, settings, rounds))


def _costs(path: Path, settings: LoadSettings, rounds: int) -> list[tuple[str, ...]]:
    with (
        closing(make_model(path, settings, lambda _: True)) as model,
        closing(make_context(model, settings)) as context,
    ):
        tokens = sample_tokens(model, 256)
        context.decode(tokens)
        lengths = (0, *DRAFTS)
        times = [[batch_seconds(context, tokens[: 1 + length]) for length in lengths] for _ in range(rounds)]
        ratios = [statistics.median(row[at] / row[0] for row in times) for at in range(1, len(lengths))]
    return [(f"{length}", f"{ratio:.2f}") for length, ratio in zip(DRAFTS, ratios, strict=True)]


def batch_seconds(context: Context, tokens: Sequence[int]) -> float:
    """The time to check `tokens` in one batch after the tokens in the cache, which is left as it is.

    The last of three runs counts: those before it, after another size, prepare its graph.
    """
    held, seconds = context.position(), 0.0
    for _ in range(3):
        started = time.perf_counter()
        context.decode_scored(tokens) if len(tokens) > 1 else context.decode(tokens)
        context.check_numbers()
        seconds = time.perf_counter() - started
        context.keep(held)
    return seconds


if __name__ == "__main__":
    main()
