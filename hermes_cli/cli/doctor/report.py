"""The facts that `hermes doctor` prints, as text and as JSON."""

import os
import platform
import shutil
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hermes_cli import __version__, paths
from hermes_cli.chat.key import written
from hermes_cli.errors import HermesError, UsageError
from hermes_cli.files import unwritable
from hermes_cli.store.settings.settings import Settings

Facts = dict[str, Any]


def report(settings: Settings, problems: Sequence[UsageError]) -> Facts:
    """All facts; `healthy` is False if no model can answer."""
    engine, model = _engine(), _model(settings)
    return {
        "healthy": not problems and engine["problem"] is None and model["problem"] is None,
        "program": _program(),
        "machine": _machine(),
        "engine": engine,
        "model": model,
        "folders": _folders(),
        "settings": [
            {"name": name, "value": written(settings.value(name)), "origin": origin}
            for name, origin in settings.origins.items()
        ],
        "problems": [{"message": problem.message, "hint": problem.hint} for problem in problems],
        "mcp": [
            {"name": server.name, "address": server.shown_address, "problem": server.missing() or None}
            for server in settings.mcp_servers.values()
        ],
        "builds": _builds(),
    }


def _program() -> Facts:
    script = Path(sys.argv[0])
    is_script = script.name.startswith("hermes")
    folders = {script.resolve().parent} if is_script else _script_folders()
    return {
        "version": __version__,
        "folder": str(Path(__file__).parents[2]),
        "python": platform.python_version(),
        "executable": sys.executable,
        "binding": _version("llama-cpp-python"),
        "started_as": str(script.resolve()) if is_script else f"{sys.executable} -m hermes_cli",
        "commands": {command: _command(command, folders) for command in ("hermes", "hermes-cli")},
    }


def _script_folders() -> set[Path]:
    """Where this Python's commands are installed."""
    import sysconfig

    schemes = [sysconfig.get_default_scheme()]
    if sys.prefix == sys.base_prefix:  # not a virtual environment
        schemes.append(sysconfig.get_preferred_scheme("user"))
    return {Path(sysconfig.get_path("scripts", scheme)).resolve() for scheme in schemes}


def _command(name: str, folders: set[Path]) -> Facts:
    """The program that the shell starts under this name, and whether it is this one, from one of these folders."""
    found = shutil.which(name)
    return {"path": found, "ours": found is not None and Path(found).resolve().parent in folders}


def _version(package: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine() -> Facts:
    from hermes_cli.engine import hardware
    from hermes_cli.machine import builds as build_advice

    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": hardware.cpu_name(),
        "cores": hardware.physical_cores(),
        "instructions": build_advice.supported(hardware.cpu_flags()),
        "memory_bytes": hardware.memory_bytes(),
        "available_bytes": hardware.available_bytes(),
        "gpus": list(build_advice.gpu_vendors()),
    }


def _engine() -> Facts:
    """The version and features of llama.cpp here; `problem` and `hint` if it cannot run."""
    from hermes_cli.engine import hardware
    from hermes_cli.engine.llama import library
    from hermes_cli.engine.llama.devices import gpus
    from hermes_cli.machine import builds as build_advice
    from hermes_cli.machine import probe, tuning

    facts: Facts = {"problem": None, "library": str(library.folder())}
    try:
        verdict = probe.current_verdict()
        built_for = build_advice.features(library.system_info())
        facts |= {
            "version": library.version(),
            "features": built_for,
            "unused_instructions": build_advice.unused_instructions(built_for, hardware.cpu_flags()),
            "repacked_weights": verdict.extra_buffers and hardware.gains_from_repacking(),
            "repacking_fault": verdict.failures.get("extra_buffers"),
            "offload": library.supports_gpu(),
            "devices": [asdict(gpu) for gpu in gpus()],
            "gpu_works": verdict.gpu,
            "sampling": "GPU" if verdict.gpu and gpus() else "CPU",
            "gpu_fault": verdict.failures.get("gpu"),
            "unused_gpu": dict(zip(("why", "command"), build_advice.unused_gpu() or (), strict=False)),
            "tuned": [asdict(tuned) for tuned in tuning.all_remembered()],
        }
    except HermesError as problem:
        facts |= {"problem": problem.message, "hint": problem.hint}
    return facts


def _model(settings: Settings) -> Facts:
    """The default model with its LoRA adapters; `problem` and `hint` if those in the settings cannot be used."""
    from hermes_cli.models.adapters import fitting_adapters
    from hermes_cli.session.choices import Choices
    from hermes_cli.session.sources import from_settings, with_model_defaults
    from hermes_cli.session.target.find import find_target
    from hermes_cli.session.target.local import LocalTarget

    try:
        target = find_target(Choices(model=settings.model), settings.endpoints, settings.models)
    except HermesError as problem:
        where = f"{problem.message} (in {settings.origin('model')})"
        return {"name": settings.model, "path": None, "problem": where, "hint": problem.hint}
    if not isinstance(target, LocalTarget):
        return {"name": settings.model, "path": None, "problem": None}
    facts: Facts = {"name": target.name, "path": str(target.file), "problem": None, "lora": []}
    try:
        lora = with_model_defaults(from_settings(settings)).now.load.lora or ()
        facts["lora"] = list(map(str, fitting_adapters(lora, target.model)))
    except HermesError as problem:
        facts |= {"problem": problem.message, "hint": problem.hint}
    return facts


def _folders() -> dict[str, Facts]:
    places = {
        "models": paths.models_folder(),
        "sessions": paths.sessions_folder(),
        "config": paths.config_folder(),
        "cache": paths.cache_folder(),
        "prompt cache": paths.kv_folder(),
    }
    return {
        name: {"path": str(place), **contents(place), "not_saved": unwritable(place)} for name, place in places.items()
    }


def contents(folder: Path) -> Facts:
    """The number and size of the files below a folder; None if it does not exist."""
    if not os.path.isdir(folder):  # noqa: PTH112 - pathlib raises without permission to search
        return {"files": None, "bytes": None}
    sizes = []
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # removed meanwhile, or no permission
                found = Path(place, name).lstat()
                if stat.S_ISREG(found.st_mode):
                    sizes.append(found.st_size)
    return {"files": len(sizes), "bytes": sum(sizes)}


def _builds() -> dict[str, str]:
    from hermes_cli.machine import builds as build_advice

    return dict(build_advice.builds())
