"""Probes a server: its kind and version, the models it serves, its context length, and the mode to use."""

from contextlib import suppress
from dataclasses import field, replace
from typing import Any

from hermes_cli.chat.message import Message
from hermes_cli.errors import EndpointError, ModelNotFound, did_you_mean
from hermes_cli.formats import chatml
from hermes_cli.formats.segment import joined
from hermes_cli.network.problem import NetworkProblem
from hermes_cli.remote import families
from hermes_cli.remote.client import Client
from hermes_cli.remote.families import Family
from hermes_cli.values import dataclass

_PROBE_S = 2.0
_SAMPLE = (Message("system", "Be brief."), Message("user", "1"), Message("assistant", "2"), Message("user", "3"))


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model of a server; `context_length` where the server says it."""

    id: str
    context_length: int | None = None
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """What the probe found. `markers` are the ids of the ChatML markers if the model has both as tokens."""

    family: Family
    version: str = ""
    models: tuple[ServedModel, ...] = ()
    context_length: int | None = None
    markers: dict[str, int] = field(default_factory=dict)
    bos: tuple[int, ...] = ()

    def model(self, wanted: str | None) -> ServedModel:
        """The model to use: `wanted`, else the only one. Raises ModelNotFound, EndpointError."""
        ids = [model.id for model in self.models]
        if wanted is None:
            if len(ids) == 1:
                return self.models[0]
            listed = ", ".join(ids[:8]) + (", …" if len(ids) > 8 else "")
            raise EndpointError(
                f"the server has {len(ids)} models: {listed}" if ids else "the server lists no models",
                "choose one with --model",
            )
        for model in self.models:
            if wanted in (model.id, model.id.removesuffix(":latest"), model.id.rpartition("/")[2]):
                return model
        if not ids:
            return ServedModel(wanted)
        raise ModelNotFound(
            f"the server has no model {wanted}", did_you_mean(wanted, ids, f"the server has: {', '.join(ids[:8])}")
        )


def probe(client: Client, wanted: str | None = None) -> Server:
    """Find out what answers; `wanted` is the model to be used, if one is named.

    A server that cannot list its models is used if one is named. Raises EndpointError if the server cannot be reached,
    and Cancelled.
    """
    try:
        models = listed_models(client)
    except EndpointError as error:
        if wanted is None or isinstance(error.__cause__, NetworkProblem):
            raise
        models = ()
    props = _try_get(client, "/props")
    owners = {model.owner for model in models}
    version: Any = None
    if isinstance(props, dict) and "total_slots" in props:
        family = families.HERMES if "hermes" in owners else families.LLAMA_SERVER
        context = _number(_item(props.get("default_generation_settings"), "n_ctx"))
        version = {"version": props.get("build_info")}
    elif "vllm" in owners:
        family, context, version = families.VLLM, None, _try_get(client, "/version")
    elif owners == {"me"}:
        family, context = families.LLAMA_CPP_PYTHON, None
    elif isinstance(info := _try_get(client, "/get_model_info"), dict):
        family, context = families.SGLANG, _number(info.get("context_length"))
    elif isinstance(version := _try_get(client, "/api/version"), dict):
        family, context = families.OLLAMA, _ollama_context(client, wanted)
    elif isinstance(_try_get(client, "/api/v1/models"), dict):
        family, context = families.LM_STUDIO, None
    elif "/load_model" in str(_try_get(client, "/openapi.json")):
        family, context = families.TRANSFORMERS, None
    else:
        family, context = families.UNKNOWN, None
    server = Server(family, str(_item(version, "version") or ""), models, context)
    return _with_chatml(client, server, wanted) if family.takes_ids else server


def listed_models(client: Client) -> tuple[ServedModel, ...]:
    """The models that a server lists. Raises EndpointError."""
    return _models(client.get("/v1/models", timeout_s=10.0))


def token_ids(client: Client, family: Family, model: str, text: str, *, special: bool, bos: bool = False) -> list[int]:
    """The server's token ids of `text`; with `special`, spelled-out control tokens become control tokens.

    vLLM always reads them as control tokens, so callers must check. Raises EndpointError.
    """
    if family is families.VLLM:
        body: dict[str, Any] = {"model": model, "prompt": text, "add_special_tokens": bos}
    else:
        body = {"content": text, "add_special": bos, "parse_special": special}
    ids = _item(client.post("/tokenize", body), "tokens")
    if not isinstance(ids, list) or not all(isinstance(id, int) for id in ids):
        raise EndpointError("the server's /tokenize returned no token ids", "use --endpoint-mode chat")
    return ids


def _with_chatml(client: Client, server: Server, wanted: str | None) -> Server:
    """The server with the markers of ChatML, if they are tokens of the model and its template writes ChatML."""
    with suppress(EndpointError, ModelNotFound):
        family, model = server.family, server.model(wanted).id
        markers = token_ids(client, family, model, "".join(chatml.MARKERS), special=True)
        if len(markers) != len(chatml.MARKERS):
            return server
        text = joined(chatml.write(_SAMPLE))
        ids = token_ids(client, family, model, text, special=True, bos=True)
        bos = _ids_before(ids, ids[ids.index(markers[0]) :]) if markers[0] in ids else None
        if family is families.VLLM:
            bos = _template_bos(client, model, ids[len(bos or ()) :], bos)
        elif not _template_agrees(client, text):
            bos = None
        if bos is not None:
            return replace(server, markers=dict(zip(chatml.MARKERS, markers, strict=True)), bos=bos)
    return server


def _template_bos(
    client: Client, model: str, ids: list[int], otherwise: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """What the chat template of vLLM puts before our ChatML, BOS or nothing; None if it writes another format."""
    body = {"model": model, "messages": _sample_messages(), "add_generation_prompt": True}
    try:
        written = _item(client.post("/tokenize", body), "tokens")
    except EndpointError:
        return otherwise  # no template, as with base models
    return _ids_before(written, ids) if isinstance(written, list) else otherwise


def _ids_before(ids: list[int], end: list[int]) -> tuple[int, ...] | None:
    """The ids before those that have to come last; None if others do, or if a marker comes before."""
    before = ids[: -len(end)]
    return tuple(before) if ids[-len(end) :] == end and end[0] not in before else None


def _template_agrees(client: Client, text: str) -> bool:
    """Whether llama-server's chat template writes `_SAMPLE` as we do; True also if the server does not show that."""
    try:
        prompt = _item(client.post("/apply-template", {"messages": _sample_messages()}), "prompt")
    except EndpointError:
        return True
    if not isinstance(prompt, str):
        return True
    return prompt.endswith(text) and chatml.TURN_START not in prompt.removesuffix(text)


def _sample_messages() -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in _SAMPLE]


def _try_get(client: Client, path: str) -> Any:
    try:
        return client.get(path, timeout_s=_PROBE_S)
    except EndpointError:
        return None


def _models(listing: Any) -> tuple[ServedModel, ...]:
    data = listing.get("data") if isinstance(listing, dict) else listing
    models = []
    for one in data if isinstance(data, list) else ():
        if isinstance(one, dict) and isinstance(one.get("id"), str):
            length = _number(one.get("max_model_len")) or _number(_item(one.get("meta"), "n_ctx"))
            models.append(ServedModel(one["id"], length, str(one.get("owned_by") or "")))
    return tuple(models)


def _ollama_context(client: Client, wanted: str | None) -> int | None:
    """The context length of the wanted model if it is loaded; without a name the shortest one that is loaded."""
    loaded = _item(_try_get(client, "/api/ps"), "models")
    lengths = [
        _number(one.get("context_length"))
        for one in (loaded if isinstance(loaded, list) else ())
        if isinstance(one, dict) and wanted in (None, one.get("name"), str(one.get("name")).removesuffix(":latest"))
    ]
    return min((length for length in lengths if length), default=None)


def _item(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
