"""`--schema` in the forms that need files and imports."""

import json
from pathlib import Path

import pytest

from hermes_cli.errors import UsageError
from hermes_cli.formats.json.check import faults
from hermes_cli.store.schemas import load_schema

MODELS = '''
from dataclasses import dataclass
from pydantic import BaseModel

class Person(BaseModel):
    """Somebody."""
    name: str
    friends: "list[Person]" = []

@dataclass
class Place:
    lat: float

Places = list[Place]

class Odd:
    """No model."""
'''
# What `Person.model_json_schema()` gives.
PERSON = {
    "$defs": {
        "Person": {
            "description": "Somebody.",
            "properties": {
                "name": {"title": "Name", "type": "string"},
                "friends": {
                    "default": [],
                    "items": {"$ref": "#/$defs/Person"},
                    "title": "Friends",
                    "type": "array",
                },
            },
            "required": ["name"],
            "title": "Person",
            "type": "object",
        }
    },
    "$ref": "#/$defs/Person",
}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of models in the working folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own_models.py"
    path.write_text(MODELS)
    return path


def test_models_of_a_file_and_of_a_module(models: Path) -> None:
    person = load_schema(f"{models}:Person")
    assert person == load_schema("own_models:Person") == load_schema("own_models.py:Person")
    assert json.dumps(person) == json.dumps(PERSON), "pydantic's own schema, in its own order"
    assert faults(person, {"name": "a", "friends": [{"name": "b"}]}) == []
    assert faults(person, {"name": "a", "friends": [{}]}) == ["friends[0]: name is missing"]
    place = {
        "properties": {"lat": {"title": "Lat", "type": "number"}},
        "required": ["lat"],
        "title": "Place",
        "type": "object",
    }
    assert load_schema("own_models.py:Places") == {
        "items": {"$ref": "#/$defs/Place"},
        "type": "array",
        "$defs": {"Place": place},
    }


def test_files_and_text(models: Path, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    (tmp_path / "a.json").write_text(json.dumps(schema))
    (tmp_path / "plain").write_text(json.dumps(schema))
    (tmp_path / "my-schema").write_text(json.dumps(schema))
    for text in ("a.json", str(tmp_path / "plain"), "./plain", "my-schema", json.dumps(schema)):
        assert load_schema(text) == schema
    short = load_schema("plain")
    assert isinstance(short, dict) and list(short["properties"]) == ["plain"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("~no-such-user/none.json", "cannot read the schema ~no-such-user/none.json: No such file"),
        ("~no-such-user/none.py:Person", "none.py cannot be read: No such file"),
        ("none.json", "cannot read the schema none.json: No such file"),
        ("./folder", "cannot read the schema folder: Is a directory"),
        ("bad.json", "bad.json is not JSON: "),
        ("invalid.json", 'invalid.json is not valid: type must be one of "array"'),
        ("own_models.py:Nothing", "own_models.py has no Nothing; it has Person, Place, Odd"),
        ("own_models.py:Odd", "own_models.py cannot be represented in JSON for Odd"),
        ("none.py:Person", "none.py cannot be read: No such file"),
        ("broken.py:Person", "broken.py, line 2 fails while it is imported: ZeroDivisionError"),
        ("leaving.py:Person", "leaving.py cannot be imported: the tool's process ended with exit code 4"),
        ("no_such_module:Person", "no_such_module cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_refused(models: Path, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "invalid.json").write_text('{"type": "text"}')
    (tmp_path / "broken.py").write_text("\n1 / 0")
    (tmp_path / "leaving.py").write_text("import os; os._exit(4)")
    with pytest.raises(UsageError) as caught:
        load_schema(text)
    assert message in caught.value.message
