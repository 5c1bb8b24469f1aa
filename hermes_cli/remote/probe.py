"""What a server is: its family and version, the models it serves, its context length, and how to talk to it."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hermes_cli.errors import EndpointError, ModelNotFound, did_you_mean
from hermes_cli.formats import chatml
from hermes_cli.remote import families
from hermes_cli.remote.client import Client
from hermes_cli.remote.families import Family

_PROBE_S = 2.0


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
            f"the server has no model {wanted}", did_you_mean(wanted, ids, f"it has: {', '.join(ids[:8])}")
        )


def probe(client: Client) -> Server:
    """Find out what answers. Raises EndpointError if the server cannot be reached or refuses the key."""
    models = listed_models(client)
    props = _try_get(client, "/props")
    version = _try_get(client, "/version")
    owners = {model.owner for model in models}
    if isinstance(props, dict) and "total_slots" in props:
        family = families.HERMES if "hermes" in owners else families.LLAMA_SERVER
        context = _number(props.get("default_generation_settings", {}).get("n_ctx"))
        build = str(props.get("build_info", ""))
    elif "vllm" in owners:
        family, context, build = families.VLLM, None, _version_of(version)
    elif (info := _try_get(client, "/get_model_info")) is not None:
        family, context, build = families.SGLANG, _number(info.get("context_length")), ""
    elif (answer := _try_get(client, "/api/version")) is not None:
        family, context, build = families.OLLAMA, _ollama_context(client, models), _version_of(answer)
    elif isinstance(answer := _try_get(client, "/api/v1/models"), dict):
        family, context, build = families.LM_STUDIO, None, ""
    else:
        family, context, build = families.UNKNOWN, None, ""
    markers, bos = _markers(client, family, models) if family.takes_ids else ({}, ())
    return Server(family, build, models, context, markers, bos)


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
    answer = client.post("/tokenize", body)
    ids = answer.get("tokens") if isinstance(answer, dict) else None
    if not isinstance(ids, list) or not all(isinstance(id, int) for id in ids):
        raise EndpointError("the server's /tokenize returned no token ids", "use --endpoint-mode chat")
    return ids


def _markers(client: Client, family: Family, models: tuple[ServedModel, ...]) -> tuple[dict[str, int], tuple[int, ...]]:
    found: dict[str, int] = {}
    model = models[0].id if models else ""
    with suppress(EndpointError):
        for marker in chatml.MARKERS:
            ids = token_ids(client, family, model, marker, special=True)
            if len(ids) == 1:
                found[marker] = ids[0]
        if len(found) == len(chatml.MARKERS):
            return found, tuple(token_ids(client, family, model, "", special=False, bos=True))
    return {}, ()


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
            meta = one.get("meta")
            length = _number(one.get("max_model_len")) or _number(meta.get("n_ctx") if isinstance(meta, dict) else None)
            models.append(ServedModel(one["id"], length, str(one.get("owned_by", ""))))
    return tuple(models)


def _ollama_context(client: Client, models: tuple[ServedModel, ...]) -> int | None:
    running = _try_get(client, "/api/ps")
    loaded = running.get("models") if isinstance(running, dict) else None
    lengths = [_number(one.get("context_length")) for one in loaded or () if isinstance(one, dict)]
    return min((length for length in lengths if length), default=None)


def _version_of(answer: Any) -> str:
    return str(answer.get("version", "")) if isinstance(answer, dict) else ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
