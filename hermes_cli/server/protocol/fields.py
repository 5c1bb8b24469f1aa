"""The fields of requests: their types and limits, and with them the OpenAPI description."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from hermes_cli.chat.key import LARGEST, Key
from hermes_cli.chat.request import MOST_GRAMMAR_BYTES
from hermes_cli.chat.sampling import SAMPLING_KEYS

MOST_TOKENS = 1 << 20


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Whole = Annotated[int, BeforeValidator(_whole)]  # in JSON, 1 and 1.0 are the same
_Bias = dict[str, float | Literal[False]]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class Part(_Fields):
    """A part of a message's content; only text can be answered."""

    type: str
    text: str | None = None


class FunctionCall(_Fields):
    """A call in an assistant's message; `arguments` is JSON text."""

    name: str
    arguments: str | dict[str, Any] | None = None


class Call(_Fields):
    """A tool call with its id."""

    id: str | None = None
    type: str | None = None
    function: FunctionCall


class ChatMessage(_Fields):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[Call] | None = None
    function_call: FunctionCall | None = None  # the older form of one call
    tool_call_id: str | None = None


class Function(_Fields):
    """A function the model may call; `parameters` is a JSON Schema."""

    name: str = Field(min_length=1, max_length=256)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Fields):
    """A tool; the only type is `function`."""

    type: Literal["function"]
    function: Function


class StreamOptions(_Fields):
    """What a stream contains in addition to the answer."""

    include_usage: bool | None = None


def _sampling_field(key: Key) -> tuple[Any, Any]:
    if key.kind is str:
        return Literal[key.choices] | None if key.choices else str | None, None
    return (_Whole if key.kind is int else key.kind) | None, Field(None, ge=key.low, le=key.high)


_SAMPLING: Any = {name: _sampling_field(key) for name, key in SAMPLING_KEYS.items()}
_Sampling: Any = create_model("_Sampling", __base__=_Fields, **_SAMPLING)


class _Common(_Sampling):  # type: ignore[misc]  # made from the table of sampling values
    """What chats and raw completions share: the values of the sampling, some with other limits, and more."""

    model: str | None = None
    max_tokens: _Whole | None = Field(None, ge=0, le=MOST_TOKENS)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: _Whole | None = Field(None, ge=-1, le=LARGEST)
    seed: _Whole | None = Field(None, ge=-(2**63), le=2**63)
    repetition_penalty: float | None = Field(None, ge=0.01, le=100)
    logit_bias: _Bias | None = Field(None, max_length=1024)
    stop: str | list[str] | None = None
    n: _Whole | None = Field(None, ge=1, le=8)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    return_progress: bool | None = None
    response_format: dict[str, Any] | None = None
    json_schema: dict[str, Any] | bool | None = None
    guided_json: dict[str, Any] | bool | None = None
    grammar: str | None = Field(None, min_length=1, max_length=MOST_GRAMMAR_BYTES)
    ignore_eos: bool | None = None
    cache_prompt: bool | None = None


class ChatRequest(_Common):
    """The body of `/v1/chat/completions`."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=4096)
    max_completion_tokens: _Whole | None = Field(None, ge=0, le=MOST_TOKENS)
    tools: list[Tool] | None = Field(None, max_length=128)
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    logprobs: bool | None = None
    top_logprobs: _Whole | None = Field(None, ge=0, le=20)
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None


class CompletionRequest(_Common):
    """The body of `/v1/completions`; `prompt` is text, token ids, or a list of either."""

    prompt: str | list[int] | list[str] | list[list[int]]
    logprobs: _Whole | None = Field(None, ge=0, le=20)
    echo: bool | None = None
    best_of: _Whole | None = Field(None, ge=1)
    suffix: str | None = None
    parse_special: bool | None = None
    add_special_tokens: bool | None = None


class TokenizeRequest(_Fields):
    """The body of `/tokenize`, in llama-server's words or vLLM's."""

    content: str | None = None
    prompt: str | None = None
    messages: list[ChatMessage] | None = Field(None, max_length=4096)
    add_special: bool | None = None
    add_special_tokens: bool | None = None
    parse_special: bool | None = None
    with_pieces: bool | None = None
    return_token_strs: bool | None = None


class DetokenizeRequest(_Fields):
    """The body of `/detokenize`."""

    tokens: list[int] = Field(max_length=MOST_TOKENS)


# Accepted without effect, and named in the answer.
IGNORED = frozenset(
    (
        *("cache_prompt", "reasoning_effort", "user", "metadata", "store", "service_tier", "safety_identifier"),
        *("prompt_cache_key", "verbosity", "prediction", "id_slot", "timings_per_token", "chat_template_kwargs"),
        "ignore_eos",
    )
)
# Refused, because an answer without them would be wrong.
REFUSED = frozenset(
    (
        *("audio", "web_search_options", "suffix", "chat_template", "lora", "images"),
        *("guided_regex", "guided_choice", "guided_grammar", "structured_outputs"),
    )
)
