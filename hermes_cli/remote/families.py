"""The differences between servers: one row of facts for each kind, and no special cases elsewhere."""

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from hermes_cli.chat.sampling import SAMPLING_KEYS
from hermes_cli.values import dataclass

Mode = Literal["raw", "chat"]


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of server.

    `sampling` maps our names of sampling fields to the server's; what is missing there is not sent. `schema` names the
    field that takes a JSON Schema in a raw completion and `grammar` the one that takes GBNF, None where there is none;
    `chat_schema` is the type of `response_format` that takes a schema in a chat completion. `extra` is sent with each
    request in that mode, `continuing` with one that continues an answer; without `continues` it begins again.
    """

    name: str
    takes_ids: bool = False  # token ids as the prompt of /v1/completions, and a /tokenize to get them
    sampling: Mapping[str, str] = field(default_factory=dict)
    schema: str | None = None
    grammar: str | None = None
    chat_schema: Literal["json_schema", "json_object"] | None = "json_schema"
    extra: Mapping[Mode, Mapping[str, object]] = field(default_factory=dict)
    continuing: Mapping[str, object] = field(default_factory=dict)
    continues: bool = True
    context_length: int | None = None  # to assume where the server does not say it


_OPENAI = {
    name: name for name in ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty", "logit_bias")
}
_ALL = _OPENAI | {"top_k": "top_k", "min_p": "min_p"}
_EVERY = {name: name for name in SAMPLING_KEYS}

LLAMA_SERVER = Family(
    "llama-server",
    takes_ids=True,
    sampling={name: name for name in _EVERY if name != "repeat_scope"},
    schema="json_schema",
    grammar="grammar",
    extra={
        "raw": {"cache_prompt": True, "return_progress": True, "preserved_tokens": ["<tool_call>", "</tool_call>"]},
        "chat": {"cache_prompt": True, "return_progress": True},
    },
)
HERMES = Family(
    "hermes",
    takes_ids=True,
    sampling=_EVERY,
    schema="json_schema",
    grammar="grammar",
    extra={"raw": {"return_progress": True}, "chat": {"return_progress": True}},
    continuing={"continue_final_message": True, "add_generation_prompt": False},
)
VLLM = Family(
    "vLLM",
    takes_ids=True,
    sampling=_ALL | {"repeat_penalty": "repetition_penalty"},
    schema="response_format",
    extra={"raw": {"skip_special_tokens": False, "spaces_between_special_tokens": False}},
    continuing={"continue_final_message": True, "add_generation_prompt": False},
)
SGLANG = Family(
    "SGLang",
    sampling=_ALL | {"repeat_penalty": "repetition_penalty"},
    continuing={"continue_final_message": True},
)
OLLAMA = Family("Ollama", sampling=_OPENAI, context_length=4096)
LM_STUDIO = Family("LM Studio", sampling=_OPENAI | {"top_k": "top_k", "repeat_penalty": "repeat_penalty"})
TRANSFORMERS = Family("transformers serve", sampling=_OPENAI, chat_schema=None, continues=False)
LLAMA_CPP_PYTHON = Family(
    "llama-cpp-python",
    sampling=_ALL | {"repeat_penalty": "repeat_penalty"},
    chat_schema="json_object",
    continues=False,
)
UNKNOWN = Family("OpenAI-compatible server", sampling=_OPENAI, continues=False)
