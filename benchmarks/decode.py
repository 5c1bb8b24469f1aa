"""Decoding speed of `hermes ask` in a pipe beside llama-bench and the high-level llama-cpp-python API (`Llama`).

Same library files, GGUF, threads and window; greedy; interleaved. llama-bench is built from the source of the
installed llama-cpp-python and finds that package's libraries through LD_LIBRARY_PATH.
Usage: python -m benchmarks.decode LLAMA_BENCH [--threads 2] [--tokens 1000] [--depth 0] [--rounds 7] [--model GGUF]
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.endless_model import endless_copy
from benchmarks.rounds import interleaved, table
from hermes_cli import paths
from hermes_cli.engine.llama import library
from hermes_cli.engine.llama.model import Model

WORD = "hello "
ROOM = 20  # for the markers around the prompt; small enough to be lost in llama.cpp's rounding to 256
HIGH_LEVEL = """
import sys, time
from llama_cpp import Llama
path, threads, tokens, words, window = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
llama = Llama(path, n_ctx=window, n_threads=threads, n_threads_batch=threads, verbose=False)
prompt = "<|im_start|>user\\n" + words + "<|im_end|>\\n<|im_start|>assistant\\n"
stream = llama.create_completion(prompt, stream=True, max_tokens=tokens, temperature=0.0, repeat_penalty=1.0)
first = 0
for chunk in stream:
    first = first or time.perf_counter()
    sys.stdout.write(chunk["choices"][0]["text"])
    sys.stdout.flush()
print((tokens - 1) / (time.perf_counter() - first), file=sys.stderr)
"""


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("llama_bench", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--depth", type=int, default=0, help="tokens in the window before the first one measured")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", type=Path, help="default: the demo model without an end of turn")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or endless_copy(paths.DEMO_MODEL, Path(folder) / "endless.gguf")
        measures = {
            "llama-bench, flash attention off": lambda: llama_bench(given, model, 0),
            "llama-bench, flash attention on": lambda: llama_bench(given, model, 1),
            "hermes ask": lambda: hermes_ask(given, model),
            "Llama.create_completion": lambda: high_level(given, model),
        }
        print(table(interleaved(measures, given.rounds), "llama-bench, flash attention off", "tok/s"))


def llama_bench(given: argparse.Namespace, model: Path, flash_attention: int) -> float:
    """llama-bench's own figure for `tokens` after `depth`."""
    command = [given.llama_bench, "-m", model, "-t", given.threads, "-p", 0, "-n", given.tokens, "-d", given.depth]
    command += ["-fa", flash_attention, "-r", 1, "-o", "json"]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library.folder())}
    child = subprocess.run([str(part) for part in command], capture_output=True, check=True, env=environment)
    return float(json.loads(child.stdout)[0]["avg_ts"])


def window(given: argparse.Namespace) -> int:
    """What the tokens need, as llama-bench makes its own: a longer window costs a little speed at every token."""
    return int(given.depth + given.tokens + ROOM)


def prompt(given: argparse.Namespace, model: Path) -> str:
    """Words of about `depth` tokens, never more."""
    vocabulary = Model(model, vocab_only=True)
    tokens_per_word = len(vocabulary.tokenize(WORD * 100)) / 100
    vocabulary.close()
    return WORD * max(1, int(given.depth / tokens_per_word))


def hermes_ask(given: argparse.Namespace, model: Path) -> float:
    """The statistics that --stats prints for a piped answer."""
    command = [sys.executable, "-m", "hermes_cli", "ask", "--no-save", "-m", model, "-t", "0", "--repeat-penalty", "1"]
    command += [
        "--threads",
        given.threads,
        "-n",
        given.tokens,
        "--ctx",
        window(given),
        "--stats",
        prompt(given, model),
    ]
    child = subprocess.run([str(part) for part in command], capture_output=True, check=True)
    found = re.search(r"(\d+) tok · ([\d.]+) tok/s", child.stderr.decode())
    assert found and int(found[1]) == given.tokens, child.stderr
    return float(found[2])


def high_level(given: argparse.Namespace, model: Path) -> float:
    """The binding's own API, streamed into a pipe."""
    arguments = [str(part) for part in (model, given.threads, given.tokens, prompt(given, model), window(given))]
    child = subprocess.run([sys.executable, "-c", HIGH_LEVEL, *arguments], capture_output=True, check=True)
    return float(child.stderr.decode().split()[-1])


if __name__ == "__main__":
    main()
