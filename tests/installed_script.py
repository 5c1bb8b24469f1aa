"""The `hermes` command as `pip` writes it: unlike `python -m` it does not look into the working folder for modules."""

import sys
from pathlib import Path

ENTRY_POINT = "import sys\nfrom hermes_cli.__main__ import main\nsys.exit(main())\n"


def install_script(folder: Path, name: str = "hermes", program: str = ENTRY_POINT) -> Path:
    """An executable Python script `name` in `folder`, which is made."""
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f"#!{sys.executable}\n{program}")
    script.chmod(0o755)
    return script
