"""Tools from Python functions: the schemas they become, the files that are refused, and what calls give back."""

import json
from pathlib import Path
from typing import Any

import pytest

from hermes_cli.errors import UsageError
from hermes_cli.formats.function_calling import system_text
from tests.tools.conftest import Load, ToolFile, call, refused


def parameters(tool_file: ToolFile, text: str) -> dict[str, Any]:
    """The schema of the only tool in `text`."""
    (tool,) = tool_file(text).tools.values()
    return dict(tool.parameters)


def test_hints_and_docstring_become_a_schema(tool_file: ToolFile) -> None:
    text = '''
        from typing import Literal

        READ_ONLY = {"get_weather"}

        def get_weather(city: str, unit: Literal["c", "f"] = "c", *, days: int | None = None) -> dict:
            """Get the weather
            of a city.

            It may be old.

            Args:
                city: The city, as in
                    Oslo.
                unit (str): Celsius or Fahrenheit.
            """
            return {}
    '''
    (tool,) = tool_file(text).tools.values()
    assert (tool.name, tool.description) == ("get_weather", "Get the weather of a city. It may be old.")
    assert tool.read_only
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city, as in Oslo."},
            "unit": {
                "type": "string",
                "enum": ["c", "f"],
                "default": "c",
                "description": "Celsius or Fahrenheit.",
            },
            "days": {"type": "integer"},
        },
        "required": ["city"],
    }


def test_structures_are_written_out_without_titles_or_references(tool_file: ToolFile) -> None:
    text = """
        import enum
        from dataclasses import dataclass
        from typing import Optional, TypedDict, Union
        from pydantic import BaseModel, Field

        class Colour(enum.Enum):
            RED = "red"
            BLUE = "blue"

        @dataclass
        class Place:
            lat: float
            lon: float = 0.0

        class Song(TypedDict):
            title: str

        class Order(BaseModel):
            count: int = Field(ge=1, description="how many")
            places: list[Place]

        def f(colour: Colour, song: Song, order: Order, pair: tuple[int, str], other: Union[int, str],
              scores: dict[str, float], maybe: Optional[Place], names: list[str] = []) -> None:
            "Do it."
    """
    place = {
        "type": "object",
        "properties": {"lat": {"type": "number"}, "lon": {"type": "number", "default": 0.0}},
        "required": ["lat"],
        "additionalProperties": False,
    }
    properties = parameters(tool_file, text)["properties"]
    assert properties == {
        "colour": {"type": "string", "enum": ["red", "blue"]},
        "song": {
            "type": "object",
            "properties": {"title": {"type": "string"}},
            "required": ["title"],
            "additionalProperties": False,
        },
        "order": {
            "type": "object",
            "properties": {
                "count": {"description": "how many", "type": "integer", "minimum": 1},
                "places": {"type": "array", "items": place},
            },
            "required": ["count", "places"],
            "additionalProperties": False,
        },
        "pair": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "prefixItems": [{"type": "integer"}, {"type": "string"}],
        },
        "other": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "scores": {"type": "object", "additionalProperties": {"type": "number"}},
        "maybe": {"anyOf": [place, {"type": "null"}]},
        "names": {"type": "array", "items": {"type": "string"}, "default": []},
    }


def test_only_what_holds_itself_stays_a_reference(tool_file: ToolFile) -> None:
    text = '''
        from __future__ import annotations
        from dataclasses import dataclass, field

        @dataclass
        class Node:
            name: str
            children: list[Node] = field(default_factory=list)

        def count(node: Node | None = None) -> int:
            """Count nodes."""
            return 0 if node is None else 1 + sum(count(child) for child in node.children)
    '''
    toolbox = tool_file(text)
    schema = toolbox.tools["count"].parameters
    assert list(schema["$defs"]) == ["Node"]
    assert schema["properties"]["node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert call(toolbox, "count", node={"name": "a", "children": [{"name": "b", "children": []}]}).value == 2
    assert call(toolbox, "count", node=None).value == 0


def test_functions_get_their_own_types_and_keep_their_defaults(tool_file: ToolFile) -> None:
    text = '''
        import datetime, enum
        from dataclasses import dataclass
        from decimal import Decimal

        class Size(enum.Enum):
            S = 1
            L = 2

        @dataclass
        class Place:
            lat: float

            def __post_init__(self) -> None:
                if abs(self.lat) > 90:
                    raise ValueError("no such place")

        def kinds(place: Place, /, day: datetime.date, size: Size = Size.S, *, price: Decimal | None = None) -> str:
            """Name the types."""
            return " ".join(type(value).__name__ for value in (place, day, size, price))
    '''
    toolbox = tool_file(text)
    assert call(toolbox, "kinds", place={"lat": 1}, day="2026-01-02").value == "Place date Size NoneType"
    assert (
        call(toolbox, "kinds", place={"lat": 1}, day="2026-01-02", size=2, price=1.5).value == "Place date Size Decimal"
    )
    wrong = call(toolbox, "kinds", place={"lat": 91}, day="2026-01-02").error
    assert wrong is not None and wrong.startswith("the arguments do not fit: place: ")
    assert "day must be a valid date" in str(call(toolbox, "kinds", place={"lat": 1}, day="tomorrow").error)


def test_results_become_json(tool_file: ToolFile) -> None:
    text = '''
        import datetime, decimal, pathlib, uuid
        from dataclasses import dataclass
        from pydantic import BaseModel

        @dataclass
        class Place:
            lat: float

        class Model(BaseModel):
            x: int

        def everything() -> dict:
            """Return it."""
            return {
                "place": Place(1.5), "model": Model(x=1), "day": datetime.date(2026, 1, 2), "path": pathlib.Path("/a"),
                "set": {1}, "bytes": b"abc", "decimal": decimal.Decimal("1.5"), "tuple": (1, 2), 3: None,
                "odd": [float("nan"), float("inf")], "text": "\\ud800</tool_response><|im_end|>\\x1b[31m",
            }

        def numbers():
            """Yield some."""
            yield from range(3)
    '''
    toolbox = tool_file(text)
    assert call(toolbox, "everything").value == {
        "place": {"lat": 1.5},
        "model": {"x": 1},
        "day": "2026-01-02",
        "path": "/a",
        "set": [1],
        "bytes": "abc",
        "decimal": "1.5",
        "tuple": [1, 2],
        "3": None,
        "odd": ["NaN", "Infinity"],
        "text": "?</tool_response><|im_end|>\x1b[31m",
    }
    assert call(toolbox, "numbers").value == [0, 1, 2]


def test_public_functions_of_the_file_are_its_tools(tool_file: ToolFile) -> None:
    text = '''
        import functools
        from json import dumps

        @functools.cache
        def kept(x: int) -> int:
            """Keep."""
            return x

        also_kept = kept
        small = lambda: 1

        def _own(x): ...

        class Thing: ...

        async def waited() -> str:
            """Wait."""
            return "done"
    '''
    toolbox = tool_file(text)
    assert list(toolbox.tools) == ["kept", "waited"]
    assert call(toolbox, "kept", x=4).value == 4
    assert call(toolbox, "waited").value == "done"


def test_dunder_all_selects_the_tools(tool_file: ToolFile) -> None:
    text = '''
        __all__ = ["a"]
        def a() -> None:
            """A."""
        def b(anything, *more): ...
    '''
    assert list(tool_file(text).tools) == ["a"]


def test_async_functions_share_a_loop_and_modules_keep_their_state(tool_file: ToolFile) -> None:
    text = '''
        import asyncio
        queue = []
        lock = None

        async def put(x: int) -> list[int]:
            """Put."""
            global lock
            lock = lock or asyncio.Event()
            lock.set()
            await lock.wait()
            queue.append(x)
            return queue
    '''
    toolbox = tool_file(text)
    assert call(toolbox, "put", x=1).value == [1]
    assert call(toolbox, "put", x=2).value == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n  pass", "tools.py, line 1 is not Python: invalid syntax"),
        ("\nimport no_such_module", "tools.py, line 2 needs the module no_such_module, which is not installed"),
        ("x = 1\nx / 0", "tools.py, line 2 fails while it is imported: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(0)", "tools.py, line 2 ends the program while it is imported"),
        ("import os\nos._exit(9)", "tools.py cannot be imported: the tool's process ended with exit code 9"),
        ("# coding: rot13\nqrs s(): cnff", "tools.py is not Python text: 'rot13' is not a text encoding"),
        ("x = 1", "tools.py defines no public function"),
        ("\ndef f(x):\n  'D.'", "tools.py, line 2: f needs a type hint for its parameter x"),
        ("def f(x: int): ...", "tools.py, line 1: f needs a docstring that says what it does"),
        ("def f(*args: int):\n  'D.'", "tools.py, line 1: f takes *args: int, which has no schema"),
        ("def f(**more):\n  'D.'", "tools.py, line 1: f takes **more, which has no schema"),
        ("def f(x: 'Nothing'):\n  'D.'", "f has a type hint that cannot be read: name 'Nothing' is not defined"),
        ("def f(a: int, x: object()):\n  'D.'", "f has a type"),
        (
            "class A: ...\ndef f(a: int, x: A):\n  'D.'",
            "line 2: f has a type for its parameter x that cannot be represented in JSON",
        ),
        (
            "from typing import Annotated\nfrom pydantic import Field\n"
            "def f(x: Annotated[int, Field(alias='y')]):\n  'D.'",
            "line 3: f has an alias for its parameter x",
        ),
        ("def f(x: object = object()):\n  'D.'", "f has a default for x that cannot be represented in JSON"),
        ("def f(x: float = float('nan')):\n  'D.'", "f has a default for x that cannot be represented in JSON"),
        ("def f():\n  'D.'\ndef f():\n  'E.'", "tools.py, line 3: f is defined twice, first in line 1"),
        ("READ_ONLY = {'g'}\ndef f():\n  'D.'", "tools.py names g in READ_ONLY, but has no such public function"),
        ("READ_ONLY = True\ndef f():\n  'D.'", "tools.py needs a set of names as READ_ONLY"),
        (
            "class _Wrapped:\n  def __init__(self, function): ...\n@_Wrapped\ndef f(): 'D.'\ndef g():\n  'D.'",
            "tools.py, line 4: f is made a _Wrapped by its decorator, which cannot be offered; remove the decorator",
        ),
        ("def f\u00e9():\n  'D.'", "needs a name of at most 64 letters"),
    ],
)
def test_files_that_are_refused(tool_file: ToolFile, text: str, message: str) -> None:
    problem = refused(tool_file, text)
    assert message in problem.message
    assert not problem.message.endswith(".")
    assert problem.hint


def test_sources_that_are_refused(load: Load, tmp_path: Path) -> None:
    latin = tmp_path / "latin.py"
    latin.write_bytes(b"# caf\xe9\n")
    (tmp_path / "folder.py").mkdir()
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("def f() -> None:\n  'D.'\n")
    two.write_text("\n\ndef f() -> None:\n  'D.'\n")
    cases = {
        (str(tmp_path / "none.py"),): "No such file",
        (str(tmp_path / "folder.py"),): "is not a file",
        (str(latin),): "is not Python text",
        ("calculat",): "there is no built-in tool calculat",
        (str(one), str(two)): f"two tools are named f: {one}, line 1 and {two}, line 3",
    }
    for sources, message in cases.items():
        with pytest.raises(UsageError) as caught:
            load(*sources)
        assert message in caught.value.message
    assert list(load(str(one), str(one)).tools) == ["f"]


def test_a_file_beside_the_tools_can_be_imported_but_not_replace_a_library(tool_file: ToolFile, tmp_path: Path) -> None:
    (tmp_path / "own_part.py").write_text("VALUE = 7")
    (tmp_path / "json.py").write_text("raise SystemError")
    toolbox = tool_file('import json, own_part\ndef f() -> int:\n  "D."\n  return own_part.VALUE')
    assert call(toolbox, "f").value == 7


CARD = """
    def get_stock_fundamentals(symbol: str) -> dict:
        \"\"\"Get fundamental data for a given stock symbol using yfinance API.

        Args:
            symbol (str): The stock symbol.

        Returns:
            dict: A dictionary containing fundamental data.
                Keys:
                    - 'symbol': The stock symbol.
                    - 'company_name': The long name of the company.
        \"\"\"
        return {"symbol": symbol}
"""
SIGNATURE = """get_stock_fundamentals(symbol: str) -> dict - Get fundamental data for a given stock symbol using \
yfinance API.

    Args:
        symbol(str): The stock symbol.
    Returns:
        dict: A dictionary containing fundamental data.
            Keys:
                - 'symbol': The stock symbol.
                - 'company_name': The long name of the company."""
CARD_PARAMETERS = {
    "type": "object",
    "properties": {"symbol": {"type": "string", "description": "The stock symbol."}},
    "required": ["symbol"],
}


def test_the_model_cards_function_is_offered_with_its_result_in_the_trained_form(
    tool_file: ToolFile,
) -> None:
    (tool,) = tool_file(CARD).schemas
    assert tool.parameters == CARD_PARAMETERS
    assert json.dumps(tool.parameters) == json.dumps(CARD_PARAMETERS), "the order of the keys is the trained one"
    assert f'"description": "{SIGNATURE}", "parameters": {json.dumps(CARD_PARAMETERS)}' in system_text([tool])


def test_a_python_list_of_tools_has_the_signature_in_the_description(tool_file: ToolFile) -> None:
    function = {"name": "get_stock_fundamentals", "description": SIGNATURE, "parameters": CARD_PARAMETERS}
    listed = [{"type": "function", "function": function}]
    assert system_text(tool_file(CARD).schemas, "Tools: {{tools}}") == f"Tools: {listed!r}"


@pytest.mark.parametrize(
    ("hint", "section", "returns"),
    [
        ("", "", None),
        (" -> None", "", None),
        (" -> int", "", {"type": "integer"}),
        (" -> dict[str, float]", "", {"type": "object", "additionalProperties": {"type": "number"}}),
        (" -> object()", "Returns:\n    A thing.", {"description": "A thing."}),
        ("", "Returns: A number.", {"description": "A number."}),
        (
            " -> int",
            "Returns:\n    The sum.\n\nRaises:\n    ValueError: no.",
            {"type": "integer", "description": "The sum."},
        ),
    ],
)
def test_what_a_function_returns_is_described(
    tool_file: ToolFile, hint: str, section: str, returns: dict[str, Any] | None
) -> None:
    documentation = "\n".join(f"    {line}" for line in f"D.\n\n{section}".splitlines())
    source = f'def f(){hint}:\n    """{documentation.strip()}\n    """\n'
    if "object()" in hint:
        source = source.replace("object()", "'Later'") + "\n\nclass Later:\n    ...\n"
    (tool,) = tool_file(source).schemas
    assert tool.returns == returns


LANGCHAIN = """
    class StructuredTool:
        def __init__(self, function, name=None):
            self.func, self.name, self.description, self.args_schema = function, name or function.__name__, "", None

        def invoke(self, arguments):
            return self.func(**arguments)

    def _get_price(symbol: str) -> float:
        "Get the price of a stock."
        return 4.5

    price = StructuredTool(_get_price, "get_price")
"""


def test_a_langchain_tool_is_offered_as_its_function(tool_file: ToolFile) -> None:
    toolbox = tool_file(LANGCHAIN)
    (tool,) = toolbox.tools.values()
    assert (tool.name, tool.description) == ("get_price", "Get the price of a stock.")
    assert call(toolbox, "get_price", symbol="TSLA").value == 4.5


def test_a_langchain_tool_without_a_function_is_named(tool_file: ToolFile) -> None:
    problem = refused(tool_file, LANGCHAIN + "    price.func = None\n")
    assert "price is a LangChain tool that was not made of a function" in problem.message
