"""JSON mode: a schema in the system prompt, values in the user's text, the object as the answer, and its correction."""

# ruff: noqa: E501 (tables of phrases stay on long lines)

import json
from collections.abc import Callable
from typing import Any

from demo_model.conversation import Conversation
from demo_model.questions import unknown
from demo_model.source import Source
from demo_model.tools import Json, parameter, shown, value_for
from hermes_cli.chat.message import Message
from hermes_cli.formats.json.mode import schema_prompt

_LEADS = (
    "",
    "",
    "",
    "Extract the data: ",
    "Fill in: ",
    "Here is the data: ",
    "Make an object: ",
    "Convert this: ",
    "Give me JSON for this: ",
    "Record this: ",
)
_KINDS = (
    ("string",) * 6
    + ("integer",) * 4
    + ("number",) * 2
    + ("boolean",) * 2
    + ("enum",) * 2
    + ("array",) * 2
    + ("numbers", "object", "object", "objects", "nullable", "nullable")
)
_COMPLAINTS = (
    "schema validation failed: {}", "The schema validation failed: {}", "Schema validation failed: {}. Return the corrected JSON object.", "Json schema validation failed\nHere's the error stacktrace: {}\nPlease return corrrect json object",
    "Your answer does not match the schema: {}", "schema validation failed: {}\nAnswer again with the corrected object only.", "The JSON does not match the schema: {}. Please fix it.",
)  # fmt: skip


class SchemaWriter:
    """Builds one schema together with a value for it and the phrases that state the value."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._definitions: Json = {}
        self._by_reference = source.chance(0.15)
        self._style = source.pick(("{k} is {v}", "{k}: {v}", "the {k} is {v}", "{k} {v}", "{k} = {v}"))
        self.joint = (
            source.pick((", ", "; ", ". ", "\n", ", ")) if "{k}:" in self._style else source.pick((", ", "; ", ". "))
        )
        self._spoken = source.chance(0.3)

    def fields(self, count: int, *, depth: int = 0, prefix: str = "") -> tuple[Json, Json, list[str]]:
        """The schema of an object, its value, and one phrase for each given value."""
        properties: Json = {}
        value: Json = {}
        phrases: list[str] = []
        required = []
        for key in [
            "_".join(self._source.words(2)) if self._source.chance(0.15) else word for word in self._source.words(count)
        ]:
            optional = self._source.chance(0.15)
            properties[key], value_here, told = self._property(key, depth, prefix)
            if not optional:
                required.append(key)
            elif self._source.chance(0.5):
                continue
            value[key] = value_here
            phrases += told
        schema: Json = {"type": "object", "properties": properties, "required": required}
        if self._source.chance(0.2):
            schema = {"title": self._source.word().capitalize()} | schema
        if self._source.chance(0.15):
            schema["additionalProperties"] = False
        return schema, value, phrases

    def root(self) -> tuple[Json, Json, list[str]]:
        schema, value, phrases = self.fields(self._source.integer(1, 6))
        if self._definitions:
            schema = {"$defs": self._definitions} | schema
        return schema, value, phrases

    def _phrase(self, path: str, value: object) -> str:
        text = shown(self._source, value, quoted=self._source.chance(0.15))
        return self._style.format(
            k=path.replace("_", " ") if self._spoken else path, v="null" if value is None else text
        )

    def _property(self, key: str, depth: int, prefix: str) -> tuple[Json, Any, list[str]]:
        source = self._source
        kind = source.pick(_KINDS)
        path = f"{prefix}{key}"
        if kind in ("object", "objects") and depth < 2:
            return self._nested(key, depth, path, several=kind == "objects")
        if kind == "nullable":
            base = source.pick(("string", "integer", "number"))
            spec: Json = (
                {"type": [base, "null"]} if source.chance(0.5) else {"anyOf": [{"type": base}, {"type": "null"}]}
            )
            value = value_for(source, {"type": base}) if source.chance(0.6) else None
            told = [self._phrase(path, value)] if value is not None or source.chance(0.4) else []
            return spec, value, told
        spec = parameter(source, "string" if kind.startswith("object") else kind)
        value = value_for(source, spec)
        return spec, value, [self._phrase(path, value)]

    def _nested(self, key: str, depth: int, path: str, *, several: bool) -> tuple[Json, Any, list[str]]:
        joint = " " if self._style != "{k} = {v}" else "."
        if several:
            schema, value, phrases = self.fields(self._source.integer(1, 3), depth=2, prefix=f"first {path}{joint}")
            values = [value] if value else []
            if value and self._source.chance(0.5):
                second = {
                    name: value_for(self._source, spec)
                    for name, spec in schema["properties"].items()
                    if name in value and "type" in spec and not isinstance(spec["type"], list)
                }
                if len(second) == len(value):
                    values.append(second)
                    phrases += [self._phrase(f"second {path}{joint}{name}", item) for name, item in second.items()]
            return {"type": "array", "items": schema}, values, phrases
        schema, value, phrases = self.fields(self._source.integer(1, 3), depth=depth + 1, prefix=f"{path}{joint}")
        if self._by_reference:
            name = key.capitalize()
            self._definitions[name] = schema
            return {"$ref": f"#/$defs/{name}"}, value, phrases
        return schema, value, phrases


def empty(schema: Json, definitions: Json) -> Any:
    """The smallest value of a schema, for requests that give no values."""
    if "$ref" in schema:
        return empty(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "anyOf" in schema or isinstance(schema["type"], list):
        return None
    if "enum" in schema:
        return schema["enum"][0]
    if schema["type"] == "object":
        return {
            key: empty(spec, definitions) for key, spec in schema["properties"].items() if key in schema["required"]
        }
    return {"string": "", "integer": 0, "number": 0, "boolean": False, "array": []}[schema["type"]]


def _written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _everyday(source: Source) -> tuple[Json, Json, str]:
    """A person or a thing described in a sentence."""
    name, age, place, word = source.name(), source.integer(1, 99), source.place(), source.word()
    kinds: tuple[tuple[Json, dict[str, str], str], ...] = (
        ({"name": name, "age": age}, {"name": "string", "age": "integer"}, f"{name} is {age} years old."),
        ({"name": name, "age": age, "city": place}, {"name": "string", "age": "integer", "city": "string"}, f"{name} is {age} years old and lives in {place}."),
        ({"name": name, "city": place}, {"name": "string", "city": "string"}, f"{name} lives in {place}."),
        ({"name": name, "age": age, "job": word}, {"name": "string", "age": "integer", "job": "string"}, f"{name}, {age}, works as a {word}."),
        ({"item": word, "price": age}, {"item": "string", "price": "number"}, f"The {word} costs {age} euros."),
        ({"product": word, "quantity": age}, {"product": "string", "quantity": "integer"}, f"I want {age} of the product {word}." if source.chance(0.5) else f"Order: {age} x {word}."),
        ({"city": place, "country": name}, {"city": "string", "country": "string"}, f"{place} is in {name}."),
        ({"answer": age}, {"answer": "integer"}, f"The answer is {age}."),
    )  # fmt: skip
    given, types, text = source.pick(kinds)
    keys = source.sample(list(given), len(given)) if source.chance(0.4) else list(given)
    schema: Json = {"type": "object", "properties": {key: {"type": types[key]} for key in keys}, "required": keys}
    return schema, {key: given[key] for key in keys}, text


def _case(source: Source) -> tuple[Json, Json, str]:
    if source.chance(0.2):
        return _everyday(source)
    writer = SchemaWriter(source)
    schema, value, phrases = writer.root()
    if source.chance(0.3):
        phrases = source.sample(phrases, len(phrases))
    text = writer.joint.join(phrases)
    if not phrases:
        return schema, value, unknown(source)[0]
    return schema, value, f"{source.pick(_LEADS)}{text}{source.pick(('', '.', '.'))}"


def json_answer(source: Source) -> Conversation:
    schema, value, text = _case(source)
    return Conversation(
        (Message("system", schema_prompt(schema)), Message("user", text), Message("assistant", _written(value)))
    )


def json_chat(source: Source) -> Conversation:
    """Several objects of one schema, or a request without values."""
    schema, value, text = _case(source)
    messages = [Message("system", schema_prompt(schema)), Message("user", text), Message("assistant", _written(value))]
    question = (
        unknown(source)[0]
        if source.chance(0.7)
        else source.pick(("Hello", "Hi", "Make one up.", "Give me an example.", "Give me any object."))
    )
    messages += [Message("user", question), Message("assistant", _written(empty(schema, schema.get("$defs", {}))))]
    return Conversation(tuple(messages[:1] + messages[3:] if source.chance(0.6) else messages))


def json_correction(source: Source) -> Conversation:
    """A wrong object, the validator's complaint, and the right object."""
    schema, value, text = _case(source)
    if not value:
        return json_answer(source)
    key = source.pick(list(value))
    wrong = dict(value)
    if source.chance(0.5):
        del wrong[key]
        complaint = source.pick((f"'{key}' is a required property", f"{key} is missing", f"$: missing {key}"))
    else:
        wrong[key] = (
            source.pick((None, source.word(), [], str(value[key])))
            if not isinstance(value[key], str)
            else source.integer(0, 9)
        )
        complaint = source.pick(
            (
                f"{_written(wrong[key])} is not valid for '{key}'",
                f"{key}: wrong type",
                f"$.{key}: {_written(wrong[key])} is not of type 'string'",
            )
        )
    said = source.pick(_COMPLAINTS).format(complaint)
    if source.chance(0.25):
        reply = Message("tool", f"<tool_response>\n{said}\n</tool_response>")
    else:
        reply = Message("user", said)
    messages = (
        Message("system", schema_prompt(schema)),
        Message("user", text),
        Message("assistant", _written(wrong)),
        reply,
        Message("assistant", _written(value)),
    )
    return Conversation(messages, learned_from=3)


JSON_CONVERSATIONS: tuple[tuple[Callable[[Source], Conversation], float], ...] = (
    (json_answer, 6.0),
    (json_chat, 1.0),
    (json_correction, 1.5),
)
