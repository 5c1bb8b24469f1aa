"""Help pages whose options stand in groups."""

from typing import Any

from typer.core import TyperCommand


class GroupedCommand(TyperCommand):
    """A command whose help lists its options by their `rich_help_panel`, in the order of its parameters."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then each group of options, with --help last."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                other = "Arguments" if param.param_type_name == "argument" else "Other"
                groups.setdefault(getattr(param, "rich_help_panel", None) or other, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)
