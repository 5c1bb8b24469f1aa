"""Printing models: lists for people and programs, the facts about one model, and its header."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hermes_cli.cli.lists import stdout
from hermes_cli.terminal.sanitize import one_line
from hermes_cli.terminal.units import size_text

if TYPE_CHECKING:
    from hermes_cli.models.catalog import CatalogModel
    from hermes_cli.models.inspect import Inspected
    from hermes_cli.models.model import FoundModel


@dataclass(frozen=True, slots=True)
class Row:
    """A model in a list: a local one, or one that can be downloaded."""

    name: str
    size_bytes: int
    origin: str
    path: str | None
    default: bool = False
    quant: str | None = None
    exact_size: bool = True
    problem: str | None = None


def rows(files: Sequence["FoundModel"], default: "FoundModel | None", everything: bool) -> list[Row]:
    """Local models, including files with a problem, and the demo; with `everything` also what can be downloaded.

    Projectors and other parts of models are left out. The default is listed even if it is in no store.
    """
    from hermes_cli.models.model import demo_model

    listed = [file for file in files if file.kind is None or file.is_damaged]
    here = [*listed, demo_model()]
    if default and (default.name, default.path) not in {(model.name, model.path) for model in here}:
        here.insert(0, default)
    found = [_row(model, default is not None and _is(model, default)) for model in here]
    return [*found, *_downloads(files)] if everything else found


def _is(model: "FoundModel", default: "FoundModel") -> bool:
    return (model.name, model.path) == (default.name, default.path)


def print_models(listed: Sequence[Row], *, as_json: bool) -> None:
    """Print name, bytes, store and file of each; the file is empty for what can be downloaded."""
    if as_json:
        stdout.write_json([asdict(row) for row in listed])
        return
    piped = [(row.name, str(row.size_bytes), row.origin, row.path or "") for row in listed]
    head = ("  name", "size", "store", "file or command")
    stdout.write_rows(head, map(_cells, listed), piped, order=(0, 1, 2), elastic=3, right=(1,))


def lines(facts: Mapping[str, object]) -> str:
    """One line per known fact."""
    shown = {
        (name.removesuffix("_bytes").replace("_", " ") if name.islower() else name): value
        for name, value in facts.items()
        if value not in (None, [], "")
    }
    return stdout.fact_lines((name, _readable(name, value)) for name, value in shown.items())


def facts(found: "FoundModel") -> dict[str, object]:
    """The facts about a local model that need no reading of its header."""
    from hermes_cli.models.records import record_of

    record = record_of(found.path)
    return {
        "name": found.name,
        "path": str(found.path),
        "parts": len(found.parts),
        "size_bytes": found.size_bytes,
        "quant": found.quant,
        "kept_by": found.origin,
        "repository": found.repository,
        "source": record.source if record else None,
        "sha256": record.sha256 if record else None,
        "verified": record.verified if record else None,
        "missing": list(found.missing),
        "problem": found.kind,
    }


def to_download(name: str) -> dict[str, object] | None:
    """The model of the catalog with that name, if it is not downloaded in any quant."""
    from hermes_cli.models import catalog
    from hermes_cli.models.by_name import models_of
    from hermes_cli.models.library import found_models

    known = catalog.look_up(name)
    if not known or models_of(known, found_models()):
        return None
    catalog.check_quant(*known)
    model, quant = known
    return {
        "name": model.name,
        "title": model.title,
        "about": model.about,
        "repository": model.repository,
        "here": False,
        **{each: _size(model, each) for each in catalog.QUANTS if quant in (None, each)},
        "download": f"hermes pull {name.lower()}",
    }


def inspected_facts(inspected: "Inspected") -> dict[str, Any]:
    """The facts of a header and its memory plans, for JSON."""
    header = inspected.header
    return {
        "name": inspected.name,
        "place": inspected.place,
        "size_bytes": inspected.size_bytes,
        "parts": inspected.header.part_count,
        "model": header.text("general.name"),
        "architecture": header.architecture,
        "parameters": header.parameters,
        "quantisation": header.quantisation,
        "weights_bytes": header.weights_bytes,
        "context_length": header.own("context_length"),
        "layers": header.own("block_count"),
        "embedding_length": header.own("embedding_length"),
        "feed_forward_length": header.own("feed_forward_length"),
        "heads": header.own("attention.head_count"),
        "kv_heads": header.own("attention.head_count_kv"),
        "experts": header.own("expert_count"),
        "tokenizer": header.text("tokenizer.ggml.pre") or header.text("tokenizer.ggml.model"),
        "vocabulary": header.count("tokenizer.ggml.tokens"),
        "chat_templates": header.templates,
        "memory": [{**asdict(plan), "total_bytes": plan.total_bytes} for plan in inspected.plans],
        "here": _plan_here(inspected),
        "problem": inspected.problem,
    }


def _plan_here(inspected: "Inspected") -> dict[str, Any] | None:
    """How the model would be loaded on this machine now; None if it cannot be loaded."""
    from hermes_cli.engine.loading import placement
    from hermes_cli.machine.memory_plan import layer_count

    if inspected.here is None:
        return None
    first = inspected.here.attempts[0]
    return {
        "placement": placement(first, layer_count(inspected.header)),
        "gpu_layers": first.gpu_layers,
        "context_length": first.context_length,
        "kv_type": first.kv_type,
        "memory_bytes": first.memory_bytes,
        "notes": list(inspected.here.notes),
    }


def inspection(inspected: "Inspected") -> str:
    """The same for people."""
    known = inspected_facts(inspected)
    plans, here, problem = known.pop("memory"), known.pop("here"), known.pop("problem")
    text = lines(known)
    if problem:
        return f"{text}\n{one_line(problem)}\n"
    if here:
        text += f"\non this machine: {here['placement']} · context {here['context_length']:,} · "
        text += f"cache {here['kv_type']} · {size_text(here['memory_bytes'])}\n"
        text += "".join(f"{one_line(note)}\n" for note in here["notes"])
    text += f"\nestimated memory with a context of {inspected.plans[0].context_length:,} tokens, on the CPU\n"
    heads = ("KV cache", "weights", "cache", "compute", "program", "total")
    keys = ("weights_bytes", "kv_bytes", "computing_bytes", "other_bytes", "total_bytes")
    for plan in plans:
        plan["computing_bytes"] = plan["compute_bytes"] + plan["work_bytes"]
    cells = [heads, *((plan["kv_type"], *(size_text(plan[key]) for key in keys)) for plan in plans)]
    return text + stdout.figure_lines(cells)


def _row(model: "FoundModel", default: bool) -> Row:
    problem = f"lacks {', '.join(model.missing)}" if model.missing else model.kind
    return Row(model.name, model.size_bytes, model.origin, str(model.path), default, model.quant, True, problem)


def _downloads(models: Sequence["FoundModel"]) -> list[Row]:
    from hermes_cli.engine.hardware import memory_bytes
    from hermes_cli.models.by_name import models_of
    from hermes_cli.models.catalog import QUANTS, catalog
    from hermes_cli.models.recommend import needed_bytes

    memory = memory_bytes()

    def too_large(model: "CatalogModel", quant: str) -> str | None:
        needed = needed_bytes(model, quant)
        return f"needs about {size_text(needed)} of memory" if needed > memory else None

    return [
        Row(
            f"{model.name}:{quant}",
            model.size_bytes(quant),
            "",
            None,
            quant=quant,
            exact_size=_is_known(model, quant),
            problem=too_large(model, quant),
        )
        for model in catalog()
        for quant in QUANTS
        if not models_of((model, quant), list(models))
    ]


def _is_known(model: "CatalogModel", quant: str) -> bool:
    return model.file(quant).bytes is not None


def _cells(row: Row) -> tuple[str, str, str, str]:
    place = one_line(row.path) if row.path else f"hermes pull {row.name}"
    size = size_text(row.size_bytes) if row.exact_size else f"~{size_text(row.size_bytes)}"
    home = os.path.expanduser("~")  # noqa: PTH111
    place = place.replace(home, "~", 1) if place.startswith(f"{home}/") else place
    return (
        f"{'*' if row.default else ' '} {one_line(row.name)}",
        size,
        row.origin,
        f"{place}{_in_brackets(row.problem)}",
    )


def _in_brackets(problem: str | None) -> str:
    return f" ({one_line(problem)})" if problem else ""


def _size(model: "CatalogModel", quant: str) -> str:
    size = size_text(model.size_bytes(quant))
    return size if _is_known(model, quant) else f"about {size}"


def _readable(name: str, value: object) -> str:
    if name in ("size", "weights") and isinstance(value, int):
        return size_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
