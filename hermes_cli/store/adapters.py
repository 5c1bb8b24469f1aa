"""LoRA adapters as files of presets and settings name them: relative to the file that names them."""

from pathlib import Path

from hermes_cli import paths


def beside(text: str, folder: Path) -> str:
    """`FILE[:SCALE]` with the path of a file in `folder` made absolute; other texts are names, and stay."""
    file = folder / paths.expanded(text)
    without_scale = folder / paths.expanded(text.rpartition(":")[0])
    return str(file) if file.is_file() or without_scale.is_file() else text
