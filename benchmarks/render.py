"""CPU time and bytes of rendering an answer while it comes, for answers of several lengths.

Tokens arrive 50 a second by a simulated clock, so nothing waits; the terminal has 100 columns and 40 rows. Rounds of
the lengths are interleaved. `--compare` adds what Rich's Live(Markdown) costs at the same 12 frames a second.
Usage: python -m benchmarks.render [--tokens 2000 8000 32000] [--rounds 3] [--compare]
"""

import argparse
import io
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator

from hermes_cli.terminal.markdown.output import MarkdownOutput

TOKENS_PER_SECOND = 50
COLUMNS, ROWS = 100, 40
PROSE = "the model reads a long prompt and then writes one token after another until it has said what it can say"
FORMS, FORM_WEIGHTS = ("{}", "{}.", "**{}**", "`{}`", "[{}](https://example.com)"), (80, 10, 5, 4, 1)
CODE = '''```python
def answer(question: str, limit: int = 20) -> list[str]:
    """Give the words of an answer."""
    words = []
    for number, word in enumerate(question.split()):  # one by one
        if number < limit and word not in {"a", "the"}:
            words.append(f"{word}-{number}")
    return words
```'''
TABLE = "| Model | Size | Speed |\n|:---|---:|---:|\n" + "\n".join(
    f"| Hermes {n} | {n * 4.7:.1f} GB | {300 // n} tok/s |" for n in range(1, 6)
)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[2000, 8000, 32000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compare", action="store_true")
    given = parser.parse_args()
    texts = {count: answer(count) for count in given.tokens}
    costs: dict[int, list[float]] = {count: [] for count in given.tokens}
    sent: dict[int, int] = {}
    for number in range(-1, given.rounds):
        for count, tokens in texts.items():
            cpu_s, sent[count] = measured(tokens, hermes)
            if number >= 0:
                costs[count].append(cpu_s / count * 1000)
    base = statistics.median(costs[given.tokens[0]])
    print("| tokens | CPU s per 1,000 tokens | min | max | to the shortest | bytes to the terminal per byte of text |")
    print("|---|---|---|---|---|---|")
    for count, values in costs.items():
        middle, text_bytes = statistics.median(values), len("".join(texts[count]).encode())
        spread = f"{min(values):.4f} | {max(values):.4f} | {middle / base:.2f}"
        print(f"| {count:,} | {middle:.4f} | {spread} | {sent[count] / text_bytes:.1f} |")
    if given.compare:
        tokens = texts[given.tokens[0]]
        cpu_s, size = measured(tokens, rich_live)
        per_thousand, ratio = cpu_s / len(tokens) * 1000, size / len("".join(tokens).encode())
        print(f"\nrich.live.Live(Markdown), {len(tokens):,} tokens: {per_thousand:.2f} s per 1,000, {ratio:.0f} bytes")


def answer(tokens: int) -> list[str]:
    """An answer of this many tokens: prose, headings, lists, quotes, code and tables in turn, always the same."""
    dice, words = random.Random(1), PROSE.split()

    def prose(count: int) -> str:
        return " ".join(dice.choices(FORMS, FORM_WEIGHTS)[0].format(dice.choice(words)) for _ in range(count))

    def blocks() -> Iterator[str]:
        while True:
            yield f"## {prose(4)}"
            yield prose(70)
            yield "\n".join(f"{n}. {prose(12)}" for n in range(1, 7))
            yield CODE
            yield prose(50)
            yield "\n".join(f"- {prose(8)}" for _ in range(5))
            yield TABLE
            yield f"> {prose(20)}"

    pieces: list[str] = []
    for block in blocks():
        pieces += re.findall(r"\s*\S{1,4}|\s+", block + "\n\n")
        if len(pieces) >= tokens:
            return pieces[:tokens]
    raise AssertionError


def measured(tokens: list[str], show: Callable[[list[str]], int]) -> tuple[float, int]:
    """CPU seconds of this process, and bytes sent."""
    started = time.process_time()
    size = show(tokens)
    return time.process_time() - started, size


def hermes(tokens: list[str]) -> int:
    """Show the answer as the program does; the bytes it sends."""
    now = 0.0
    sent = 0

    def send(data: bytes) -> None:
        nonlocal sent
        sent += len(data)

    # The clock stands still while a frame is painted: all 12 a second are, however long one takes.
    output = MarkdownOutput(send=send, size=lambda: (COLUMNS, ROWS), clock=lambda: now)
    for token in tokens:
        output.write(token)
        now += 1 / TOKENS_PER_SECOND
    output.finish()
    return sent


def rich_live(tokens: list[str]) -> int:
    """Show the answer as programs usually do it with Rich."""
    from rich.console import Console
    from rich.live import Live
    from rich.markdown import Markdown

    screen = io.StringIO()
    console = Console(file=screen, width=COLUMNS, height=ROWS, force_terminal=True)
    with Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        step = TOKENS_PER_SECOND // 12
        for end in range(step, len(tokens) + step, step):
            live.update(Markdown("".join(tokens[:end])), refresh=True)
    return len(screen.getvalue().encode())


if __name__ == "__main__":
    main()
