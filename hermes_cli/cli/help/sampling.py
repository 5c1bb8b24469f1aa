"""`hermes help sampling`: every option of the sampling, and the order of the samplers."""

from typing import Any

import typer

from hermes_cli.chat.sampling import SAMPLING_KEYS
from hermes_cli.cli.help.page import Command
from hermes_cli.cli.options.answering import shared_options
from hermes_cli.cli.options.options import help_of

_USE = """\
Every value can be set with an option of `hermes ask` and `hermes chat`, in config.toml (except seed), under `sampling`
in a preset, with /set in a chat, and as a field of requests to `hermes serve`. Except in options, names are written
with _ instead of -."""
_ORDER = """\
Logit bias, top-k, repetition penalties, DRY, typical-p, top-p, min-p, XTC, temperature. With --repeat-scope all or
--top-n-sigma: logit bias, penalties, DRY, top-n-sigma, top-k, then the same. With --mirostat: logit bias, penalties,
DRY, temperature, Mirostat. At temperature 0 only logit bias, penalties and DRY have an effect. Constrained tool calls
and JSON use top-k, typical-p, top-p, min-p and temperature, and the repetition penalty inside free text."""

app = typer.Typer(rich_markup_mode=None, add_completion=False)


class SamplingPage(Command):
    """A command whose help is about sampling."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page."""
        formatter.write_text("Sampling: how the next token is chosen.")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(_USE)
        groups: dict[str, list[tuple[str, str]]] = {}
        names = {option.name: ", ".join(reversed(option.opts)) for option in shared_options()}
        for key in SAMPLING_KEYS.values():
            record = f"{names[key.name]} {key.metavar}", help_of(key)
            groups.setdefault(key.group or "Most used", []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)
        with formatter.section("Order"):
            formatter.write_text(_ORDER)


@app.command(cls=SamplingPage)
def sampling(context: typer.Context) -> None:
    """Print the page about sampling."""
    print(context.get_help())
