"""The examples of docs/function-calling.md work as they stand."""

import re
from pathlib import Path

from tests.conftest import PACKAGE_PARENT
from tests.tools.conftest import Load, call

PAGE = (PACKAGE_PARENT / "docs" / "function-calling.md").read_text(encoding="utf-8")


def example(language: str, word: str) -> str:
    """The block of that language that holds `word`."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [block for block in blocks if word in block]
    return str(found)


def test_the_examples_of_tools(tmp_path: Path, load: Load) -> None:
    (tmp_path / "weather.py").write_text(example("python", "READ_ONLY"))
    (tmp_path / "lines.json").write_text(example("json", "count_lines"))
    toolbox = load(str(tmp_path / "weather.py"), str(tmp_path / "lines.json"))
    assert all(tool.read_only for tool in toolbox.tools.values())
    assert call(toolbox, "get_weather", city="Oslo").value == {"city": "Oslo", "temperature": 4, "unit": "c"}
    assert call(toolbox, "count_lines", path=str(tmp_path / "lines.json")).value.split()[0].isdigit()
