"""Other people's programs against the server, each skipped where it is not installed.

`schemathesis` sends requests made from our OpenAPI document, valid and invalid ones; `llm` chats through a model of its
`extra-openai-models.yaml`. They are looked for on PATH, or named by HERMES_CLI_TEST_SCHEMATHESIS and
HERMES_CLI_TEST_LLM; more examples by HERMES_CLI_TEST_EXAMPLES.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.server.running_server import serving

SCHEMATHESIS = os.environ.get("HERMES_CLI_TEST_SCHEMATHESIS") or shutil.which("schemathesis")
LLM = os.environ.get("HERMES_CLI_TEST_LLM") or shutil.which("llm")
EXAMPLES = os.environ.get("HERMES_CLI_TEST_EXAMPLES", "10")
MODELS = """\
- model_id: served
  model_name: demo
  api_base: {url}/v1
  supports_schema: true
  supports_tools: true
  can_stream: true
"""


@pytest.mark.skipif(SCHEMATHESIS is None, reason="schemathesis is not installed")
def test_generated_requests_never_fail_inside_the_server(tmp_path: Path) -> None:
    # Valid by the document does not mean answerable: a prompt may be too long, a tool choice may name no tool.
    options = ["--phases", "examples,coverage,fuzzing", "--exclude-checks", "positive_data_acceptance"]
    options += ["--max-examples", EXAMPLES, "--seed", "1", "--suppress-health-check", "all", "--no-shrink"]
    with serving("--ctx", "512") as server:
        command = [str(SCHEMATHESIS), "run", f"{server.url}/openapi.json", *options, "--no-color"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "Tested: 9" in done.stdout


@pytest.mark.skipif(LLM is None, reason="llm is not installed")
class TestLlm:
    def run(self, folder: Path, url: str, *arguments: str) -> str:
        """What `llm` prints."""
        (folder / "extra-openai-models.yaml").write_text(MODELS.format(url=url))
        environment = os.environ | {"LLM_USER_PATH": str(folder), "OPENAI_API_KEY": "none"}
        command = [str(LLM), "-m", "served", "-o", "temperature", "0", *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120, stdin=subprocess.DEVNULL
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def test_it_chats_streams_continues_and_gets_json(self, tmp_path: Path) -> None:
        with serving() as server:
            assert self.run(tmp_path, server.url, "What is 2 plus 3?") == "2 plus 3 is 5.\n"
            assert self.run(tmp_path, server.url, "--no-stream", "What is 2 plus 3?") == "2 plus 3 is 5.\n"
            assert self.run(tmp_path, server.url, "--continue", "And 3 plus 4?").strip()
            schema = json.dumps({"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]})
            assert json.loads(self.run(tmp_path, server.url, "--schema", schema, "One number"))["n"] in (1, 2)

    def test_it_reports_an_error_of_the_server(self, tmp_path: Path) -> None:
        with serving("--ctx", "256") as server, pytest.raises(AssertionError, match="maximum context length is 256"):
            self.run(tmp_path, server.url, "fox " * 400)
