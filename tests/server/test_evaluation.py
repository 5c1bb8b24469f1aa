"""Evaluation through the server: lm-eval's scores are those of the model in this process.

Needs the program `lm_eval` on PATH, or named by HERMES_CLI_TEST_LM_EVAL; its tasks here need no network.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hermes_cli import paths
from hermes_cli.chat.request import CancelToken
from hermes_cli.engine.load_options import LoadSettings
from hermes_cli.engine.local import open_backend
from tests.server.running_server import Server, serving

LM_EVAL = os.environ.get("HERMES_CLI_TEST_LM_EVAL") or shutil.which("lm_eval")
TASKS = Path(__file__).parent / "evaluation"

pytestmark = pytest.mark.skipif(LM_EVAL is None, reason="lm_eval is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def evaluate(kind: str, url: str, arguments: str, task: str, output: Path, *more: str) -> list[dict[str, Any]]:
    """The samples that lm-eval logs for a task."""
    command = [str(LM_EVAL), "run", "--model", kind, "--model_args", f"model=demo,base_url={url},{arguments}"]
    command += ["--tasks", task, "--include_path", str(TASKS), "--log_samples", "--output_path", str(output), *more]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    subprocess.run(command, cwd=TASKS, env=os.environ | offline, check=True, capture_output=True, timeout=300)
    (samples,) = output.rglob("samples_*.jsonl")
    return [json.loads(line) for line in samples.read_text().splitlines()]


def test_log_likelihoods_equal_scoring_in_process(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/v1/completions"
    samples = evaluate("local-completions", url, "tokenizer_backend=remote,max_retries=1", "hermes_choice", tmp_path)
    assert len(samples) == 10
    with open_backend(paths.DEMO_MODEL, LoadSettings(scored_tokens=32, kv_store_bytes=0)) as backend:
        for sample in samples:
            for choice, (response,) in zip(sample["arguments"].values(), sample["resps"], strict=True):
                context, continuation = choice["arg_0"], choice["arg_1"]
                whole, start = (backend.model.tokenize(text) for text in (context + continuation, context))
                scored = backend.score(whole, 1, CancelToken())[len(start) :]
                assert float(response[0]) == pytest.approx(sum(one.logprob for one in scored if one), abs=1e-3)


def test_chats_are_answered(server: Server, tmp_path: Path) -> None:
    url = f"{server.url}/v1/chat/completions"
    samples = evaluate("local-chat-completions", url, "max_retries=1", "hermes_sums", tmp_path, "--apply_chat_template")
    assert [sample["exact_match"] for sample in samples] == [1.0] * 5
