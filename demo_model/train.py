"""Trains the demo model from scratch on generated conversations: `python -m demo_model.train --out build/demo`.

Writes `tokenizer.json` and `model.pt` into the output folder. Processes generate fresh data while it runs.
"""

import argparse
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from demo_model.conversation import Conversation
from demo_model.mixture import conversation
from demo_model.model import DemoModel, Shape
from demo_model.muon import Muon
from demo_model.source import Source
from demo_model.suites import SUITES
from demo_model.tokenizer import LEARNED, PADDING, DemoTokenizer

WINDOW = 2048
SHARD_ROWS = 512
READ_WEIGHT = 0.1  # of tokens that the model only reads: enough to learn to look things up, too little to learn noise


def tokenizer_texts(count: int, seed: int) -> Iterator[str]:
    source = Source(seed)
    for _ in range(count):
        yield "\n".join(message.content for message in conversation(source).messages)


def shard(task: tuple[Path, int]) -> np.ndarray:
    """Rows of `WINDOW + 1` tokens, each a run of whole conversations of which only the last may be cut."""
    path, seed = task
    tokenizer, source = DemoTokenizer.load(path), Source(seed)
    rows = np.full((SHARD_ROWS, WINDOW + 1), tokenizer.specials[PADDING], dtype=np.uint16)
    row = filled = 0
    while row < SHARD_ROWS:
        for ids in tokenizer.encode_conversations([conversation(source) for _ in range(200)]):
            part = ids[: WINDOW + 1 - filled]
            rows[row, filled : filled + len(part)] = part
            filled += len(part)
            if filled == WINDOW + 1:
                row, filled = row + 1, 0
                if row == SHARD_ROWS:
                    break
    return rows


def batches(tokenizer_path: Path, size: int, steps: int, seed: int, workers: int) -> Iterator[np.ndarray]:
    """Endless fresh batches. Old shards are shown again only while the generating processes fall behind."""
    generator = np.random.default_rng(seed)
    shown: list[np.ndarray] = []
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        shards = pool.imap(
            shard, ((tokenizer_path, seed * 1_000_003 + index) for index in range(1 + steps * size // SHARD_ROWS))
        )
        while True:
            try:
                shown.append(shards.next(timeout=0 if len(shown) >= 2 * workers else None))
                rows = shown[-1]
            except (multiprocessing.TimeoutError, StopIteration):
                rows = shown[generator.integers(len(shown))]
            for start in range(0, len(rows) - size + 1, size):
                yield rows[start : start + size]


def loss_of(model: torch.nn.Module, rows: Tensor) -> Tensor:
    ids, learned = rows & (LEARNED - 1), rows[:, 1:] >= LEARNED
    logits = model(ids[:, :-1])
    losses = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weights = torch.where(learned, 1.0, READ_WEIGHT).flatten()
    return (losses * weights).sum() / weights.sum()


@torch.no_grad()
def exact_answers(model: torch.nn.Module, tokenizer: DemoTokenizer, cases: list[Conversation], device: str) -> float:
    """The share of last answers that greedy decoding gives to the letter."""
    right = 0
    for start in range(0, len(cases), 32):
        rows = tokenizer.encode_conversations(cases[start : start + 32])
        ids = torch.full((len(rows), WINDOW), tokenizer.specials[PADDING])
        wanted = torch.zeros((len(rows), WINDOW), dtype=torch.bool)
        for index, row in enumerate(rows):
            row = row[-WINDOW:].astype(np.int64)
            ids[index, : len(row)] = torch.from_numpy(row & (LEARNED - 1))
            first = len(row) - 1
            while row[first - 1] >= LEARNED:
                first -= 1
            wanted[index, first : len(row) - 1] = True
        with torch.autocast(device, torch.bfloat16):
            guesses = model(ids.to(device)).argmax(-1).cpu()
        wrong = (guesses[:, :-1] != ids[:, 1:]) & wanted[:, 1:]
        right += int((~wrong.any(1)).sum())
    return right / len(cases)


def report(model: torch.nn.Module, tokenizer: DemoTokenizer, count: int, device: str) -> None:
    model.eval()
    for name, suite in SUITES.items():
        source = Source(977, held_out=True)
        share = exact_answers(model, tokenizer, [suite(source) for _ in range(count)], device)
        print(f"  {name:<28} {share:6.1%}", flush=True)
    model.train()


def train(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "tokenizer.json"
    if options.start_from:
        tokenizer = DemoTokenizer.load(options.start_from / "tokenizer.json")
    else:
        tokenizer = DemoTokenizer.train(tokenizer_texts(options.tokenizer_texts, options.seed))
    tokenizer.save(path)
    data = batches(path, options.batch, options.steps, options.seed + 1, options.workers)
    first = next(data)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    model = DemoModel(Shape()).to(device)
    seen = 0
    if options.start_from:
        checkpoint = torch.load(options.start_from / "model.pt", map_location=device)
        model.load_state_dict(checkpoint["state"])
        seen = checkpoint["tokens_seen"]
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters on {device}", flush=True)
    step_loss = torch.compile(loss_of) if device == "cuda" else loss_of
    matrices = [parameter for parameter in model.blk.parameters() if parameter.dim() == 2]
    others = [
        parameter for name, parameter in model.named_parameters() if parameter.dim() == 1 or not name.startswith("blk.")
    ]
    optimizers = [Muon(matrices, lr=0.02), torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0)]
    rates = [0.02, 3e-3]
    began, rows, step = time.monotonic(), first, 0
    while (progress := max(step / options.steps, (time.monotonic() - began) / options.seconds)) < 1:
        scale = min(1.0, (step + 1) / 100) * min(1.0, max(0.02, (1 - progress) / 0.6))
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * scale * options.rate
        with torch.autocast(device, torch.bfloat16):
            loss = step_loss(model, torch.from_numpy(rows.astype(np.int64)).to(device, non_blocking=True))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % options.log_every == 0:
            seconds = time.monotonic() - began
            print(
                f"step {step} loss {loss.item():.4f} {seconds:.0f} s, {step * rows.size / seconds:,.0f} tokens/s",
                flush=True,
            )
        rows = next(data)
    seen += step * options.batch * WINDOW
    print(f"{step} steps, {seen:,} tokens in {time.monotonic() - began:.0f} s", flush=True)
    state = {
        name: value.to(torch.bfloat16) if value.dim() == 2 else value for name, value in model.state_dict().items()
    }
    torch.save({"state": state, "tokens_seen": seen}, options.out / "model.pt")
    report(model, tokenizer, options.cases, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=9400)
    parser.add_argument("--seconds", type=float, default=math.inf, help="end the schedule after this time")
    parser.add_argument("--start-from", type=Path, help="train the model in this output folder further")
    parser.add_argument("--rate", type=float, default=1.0, help="scales the learning rates, for a further training")
    parser.add_argument("--batch", type=int, default=64, help=f"rows of {WINDOW} tokens")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    parser.add_argument("--tokenizer-texts", type=int, default=20_000)
    parser.add_argument("--cases", type=int, default=200, help="prompts for each check at the end")
    parser.add_argument("--log-every", type=int, default=200)
    parser.add_argument("--seed", type=int, default=3)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
