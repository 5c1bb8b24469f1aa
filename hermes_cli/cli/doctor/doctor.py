"""`hermes doctor`: report hardware, library, model and settings, and the command that fixes each problem."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from hermes_cli import paths
from hermes_cli.cli.lists import model_list, stdout
from hermes_cli.cli.options import options
from hermes_cli.errors import EndpointError, EngineError
from hermes_cli.files import folder_hint
from hermes_cli.store.settings.settings import KEYS, Settings, read_settings
from hermes_cli.terminal import console
from hermes_cli.terminal.units import size_text

Finding = tuple[str, str]
Facts = dict[str, Any]
app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(
    again: Annotated[bool, typer.Option("--again", help="Test llama.cpp again, e.g. after a driver update.")] = False,
    builds: Annotated[
        bool, typer.Option("--builds", help="Also print the commands that install other builds.")
    ] = False,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="URL|NAME", help="Check this server instead.")
    ] = None,
    model: options.Model = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    color: options.ColorChoice = None,
) -> int:
    """Check hardware, build, model and settings, and suggest fixes.

    Exits 1 if no model can answer.
    """
    from hermes_cli.cli.doctor.report import report

    settings, problems = read_settings()
    console.use_color(color or settings.color)
    if again:
        from hermes_cli.machine import probe

        probe.forget()
    if endpoint:
        return _endpoint(endpoint, model, settings, as_json)
    facts = report(settings, problems)
    if as_json:
        stdout.write_json(facts)
    else:
        findings = [*_program(facts["program"]), *_machine(facts["machine"]), *_folders(facts["folders"])]
        findings += [*_settings(facts), *_model(facts["model"]), *_engine(facts["engine"])]
        findings += _mcp(facts["mcp"])
        findings += facts["builds"].items() if builds else ()
        stdout.write(stdout.fact_lines(findings))
    return 0 if facts["healthy"] else EngineError.exit_code


def _endpoint(endpoint: str, model: str | None, settings: Settings, as_json: bool) -> int:
    from hermes_cli.cli.doctor.endpoint import endpoint_report

    facts = endpoint_report(endpoint, model, settings)
    if as_json:
        stdout.write_json(facts)
    else:
        stdout.write(model_list.lines(facts))
    return 0 if facts["healthy"] else EndpointError.exit_code


def _program(facts: Facts) -> Iterator[Finding]:
    yield "hermes", f"{facts['version']} in {facts['folder']}"
    yield "python", f"{facts['python']} at {facts['executable']}"
    yield "binding", f"llama-cpp-python {facts['binding'] or 'not installed'}"
    for name, command in facts["commands"].items():
        if command["path"] is None:
            yield f"`{name}`", "not on PATH"
        elif command["ours"]:
            yield f"`{name}`", command["path"]
        else:
            yield (
                f"`{name}`",
                f"another program comes first on PATH: {command['path']}; start this one as {facts['started_as']}",
            )


def _machine(facts: Facts) -> Iterator[Finding]:
    yield "system", facts["system"]
    yield "cpu", f"{facts['cpu']}, {facts['cores']} core{'s' * (facts['cores'] != 1)}"
    if facts["instructions"]:
        yield "", f"supports {', '.join(facts['instructions'])}"
    yield "memory", f"{size_text(facts['available_bytes'])} available of {size_text(facts['memory_bytes'])}"


def _folders(facts: dict[str, Facts]) -> Iterator[Finding]:
    for name, folder in facts.items():
        if folder["not_saved"] is not None:
            path = Path(folder["path"])
            yield name, f"wrong: nothing can be saved in {path}: {folder['not_saved']}; {folder_hint(path)}"
        elif folder["files"] is None:
            yield name, f"{folder['path']} (not created yet)"
        else:
            files = f"{folder['files']:,} file{'s' * (folder['files'] != 1)}"
            yield name, f"{folder['path']}: {files}, {size_text(folder['bytes'])}"


def _settings(facts: Facts) -> Iterator[Finding]:
    file = paths.config_file()
    exists = os.path.lexists(file) or facts["problems"]  # unlike pathlib, without errors
    yield "settings", f"{file}{'' if exists else ' (does not exist; nothing is set)'}"
    for setting in facts["settings"]:
        from_variable = setting["origin"] == KEYS[setting["name"]].variable
        origin = f" ({setting['origin']})" if from_variable else ""
        yield "", f"{setting['name']} = {setting['value']}{origin}"
    for problem in facts["problems"]:
        yield "", f"wrong: {problem['message']}; {problem['hint']}"


def _mcp(servers: list[Facts]) -> Iterator[Finding]:
    for number, server in enumerate(servers):
        state = f"wrong: {server['problem']}" if server["problem"] else f"test it: hermes mcp test {server['name']}"
        yield "" if number else "mcp servers", f"{server['name']} ({server['address']}): {state}"


def _model(facts: Facts) -> Iterator[Finding]:
    if facts["problem"] is not None:
        yield "model", f"wrong: {facts['problem']}; {facts['hint']}"
    elif facts["path"] == str(paths.DEMO_MODEL):
        yield "model", "demo, bundled with the program; download a larger one: hermes pull"
    else:
        yield "model", ", ".join(filter(None, (facts["name"], facts["path"])))
    for adapter in facts.get("lora", ()):
        yield "LoRA", adapter


def _engine(facts: Facts) -> Iterator[Finding]:
    from hermes_cli.cli.bench.tune import tuned_line
    from hermes_cli.engine import hardware
    from hermes_cli.machine import builds as build_advice
    from hermes_cli.machine.tuning import Tuned

    yield "library", facts["library"]
    if facts["problem"] is not None:
        yield "engine", f"does not run: {facts['problem']}"
        yield "fix it", facts["hint"]
        return
    yield "llama.cpp", f"{facts['version']}: {', '.join(facts['features'])}"
    yield "sampling", "on the GPU, for models that fit on it entirely" if facts["sampling"] == "GPU" else "on the CPU"
    if facts["unused_instructions"]:
        unused = ", ".join(facts["unused_instructions"])
        yield "", f"this build does not use {unused}; to compile one that does: {build_advice.rebuild()}"
    yield "probe", "passed: the demo model answers correctly with this build on this CPU"
    yield "repacked weights", "used" if facts["repacked_weights"] else "off"
    if facts["repacking_fault"]:
        advice = build_advice.repacking_advice(facts["repacking_fault"], hardware.cpu_flags())
        yield from (("", line) for line in advice)
    yield from _gpu(facts)
    for tuned in facts["tuned"]:
        yield "tuned", f"{tuned_line(Tuned(**tuned))} ({tuned['measured']})"


def _gpu(facts: Facts) -> Iterator[Finding]:
    if not facts["offload"]:
        yield "gpu", "none that this build of llama.cpp can use; everything runs on the CPU"
        if facts["unused_gpu"]:
            yield "", f"{facts['unused_gpu']['why']}; {facts['unused_gpu']['command']}"
        return
    works = "used for as many layers as fit, or as many as --gpu-layers sets"
    yield "gpu", works if facts["gpu_works"] else f"found, but not used because it fails: {facts['gpu_fault']}"
    for device in facts["devices"]:
        memory = "memory full"  # the driver cannot be queried
        if device["total_bytes"]:
            memory = f"{size_text(device['free_bytes'])} free of {size_text(device['total_bytes'])}"
        yield "", f"{device['name']}: {device['description']}, {memory}{', shared' if device['shared'] else ''}"
