"""Made-up and everyday tools for conversations: their schemas, argument values, and how a user asks for a call."""

# ruff: noqa: E501, SIM905 (tables of phrases stay on long lines)

from dataclasses import dataclass
from typing import Any

from demo_model.source import Source

Json = dict[str, Any]
_VERBS = "get set find add make send read open list create delete check start stop move update fetch search count show".split()
_KINDS = (
    ("string",) * 6
    + ("integer",) * 4
    + ("number",) * 2
    + ("boolean",) * 2
    + ("enum",) * 2
    + ("array",) * 2
    + ("numbers",)
)


@dataclass(frozen=True, slots=True)
class Call:
    """A tool with the arguments of one call and the words that ask for it."""

    tool: Json
    arguments: Json
    request: str

    @property
    def name(self) -> str:
        return str(self.tool["name"])


def parameter(source: Source, kind: str) -> Json:
    """The JSON Schema of one parameter or property."""
    spec: Json
    if kind == "enum":
        spec = {"type": "string", "enum": source.words(source.integer(2, 5))}
    elif kind == "array":
        spec = {"type": "array", "items": {"type": "string"}}
    elif kind == "numbers":
        spec = {"type": "array", "items": {"type": "integer"}}
    else:
        spec = {"type": kind}
    if source.chance(0.6):
        text = " ".join(source.words(source.integer(2, 5))).capitalize() + source.pick((".", ""))
        spec = spec | {"description": text} if source.chance(0.7) else {"description": text} | spec
    if source.chance(0.08):
        spec = {"title": source.word().capitalize()} | spec
    return spec


def value_for(source: Source, spec: Json) -> object:
    """A value that fits `spec`."""
    if "enum" in spec:
        return source.pick(spec["enum"])
    match spec["type"]:
        case "integer":
            return source.whole()
        case "number":
            return source.decimal() if source.chance(0.8) else source.whole()
        case "boolean":
            return source.chance(0.5)
        case "array":
            count = source.integer(1, 4)
            return source.words(count) if spec["items"]["type"] == "string" else [source.whole() for _ in range(count)]
        case _:
            return source.text().replace('"', "'")


def shown(source: Source, value: object, *, quoted: bool) -> str:
    """A value as a user writes it; text that would blend into the sentence is always quoted."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        items = [str(item) for item in value]
        if len(items) > 1 and source.chance(0.5):
            return ", ".join(items[:-1]) + f" and {items[-1]}"
        return f"[{', '.join(items)}]"
    if not isinstance(value, str):
        return str(value)
    plain = all(character.isalnum() or character in " -_/@" for character in value)
    mark = source.pick(('"', '"', "'")) if "'" not in value else '"'
    return f"{mark}{value}{mark}" if quoted or not plain else value


def arguments_text(source: Source, arguments: Json) -> str:
    """The arguments in one of the ways in which people give them, in any order."""
    keys = source.sample(list(arguments), len(arguments))
    quoted = source.chance(0.35)
    spoken = source.chance(0.4)
    style = source.pick(("{k} is {v}", "{k}={v}", "{k}: {v}", "{k} {v}", "{v} as {k}", "{k} = {v}"))
    parts = [
        style.format(
            k=key.replace("_", " ") if spoken and "=" not in style else key,
            v=shown(source, arguments[key], quoted=quoted),
        )
        for key in keys
    ]
    if style == "{k}: {v}" and source.chance(0.5):
        return "\n" + "\n".join(parts)
    if len(parts) > 1 and source.chance(0.5) and not any(isinstance(value, list) for value in arguments.values()):
        return ", ".join(parts[:-1]) + f" and {parts[-1]}"
    return ("; " if any(isinstance(value, list) for value in arguments.values()) else ", ").join(parts)


def tool(source: Source, count: int | None = None) -> Json:
    """A made-up tool with `count` parameters, the last of them perhaps optional."""
    name = (
        f"{source.pick(_VERBS)}_{source.identifier(source.integer(1, 2))}"
        if source.chance(0.4)
        else source.identifier()
    )
    described = " ".join(source.words(source.integer(2, 6))).capitalize()
    count = source.pick((0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5)) if count is None else count
    keys = ["_".join(source.words(2)) if source.chance(0.2) else word for word in source.words(count)]
    properties = {key: parameter(source, source.pick(_KINDS)) for key in keys}
    schema: Json = {"type": "object", "properties": properties}
    required = [key for key in keys if source.chance(0.75)]
    if required or source.chance(0.5):
        schema["required"] = required
    if source.chance(0.1):
        schema["additionalProperties"] = False
    return {"name": name, "description": described + source.pick((".", "")), "parameters": schema}


def call(source: Source, offered: Json, *, by_name: bool = False) -> Call:
    """A request for `offered` with values for the required and some of the optional parameters, in schema order."""
    properties: Json = offered["parameters"]["properties"]
    required = offered["parameters"].get("required", [])
    arguments = {
        key: value_for(source, spec) for key, spec in properties.items() if key in required or source.chance(0.6)
    }
    described = offered["description"].rstrip(".")
    if by_name or source.chance(0.55) or not described:
        lead = source.pick(
            (
                "Use {n}",
                "Call {n}",
                "Run {n}",
                "Please use {n}",
                "Please call {n}",
                "Use the tool {n}",
                "Can you run {n}",
                "Call the {n} tool",
                "use {n}",
                "I want you to call {n}",
            )
        ).format(n=offered["name"])
    else:
        lead = source.pick(("{d}", "Please {l}", "I need to {l}", "Can you {l}", "Help me {l}", "{d} for me")).format(
            d=described, l=described[0].lower() + described[1:]
        )
    if not arguments:
        return Call(offered, {}, lead + source.pick((".", "", "!", "?")))
    text = arguments_text(source, arguments)
    if text.startswith("\n"):
        return Call(offered, arguments, f"{lead} with:{text}")
    joint = source.pick((" with ", ": ", " with ", ", "))
    return Call(offered, arguments, f"{lead}{joint}{text}{source.pick(('.', '.', ''))}")


# Name, description, parameters (a trailing ? marks an optional one), requests.
_EVERYDAY: tuple[tuple[str, str, dict[str, str], tuple[str, ...]], ...] = (
    ("get_weather", "Get the current weather for a city.", {"city": "place"}, ("What is the weather in {city}?", "What's the weather like in {city}?", "How is the weather in {city}?", "weather in {city}", "Is it raining in {city}?", "Tell me the weather in {city}.")),
    ("get_current_weather", "Get the weather.", {"location": "place", "unit": "celsius fahrenheit"}, ("What is the weather in {location} in {unit}?", "How warm is it in {location} in {unit}?")),
    ("get_forecast", "Get the forecast for some days.", {"city": "place", "days": "small"}, ("What is the forecast for {city} for {days} days?", "Give me the {days} day forecast for {city}.")),
    ("get_time", "Get the current time in a city.", {"city": "place"}, ("What time is it in {city}?", "What is the time in {city}?", "Tell me the time in {city}.")),
    ("get_current_time", "Get the current time.", {}, ("What time is it?", "What is the time?", "Tell me the time.", "what time is it")),
    ("get_date", "Get today's date.", {}, ("What is the date today?", "What day is it today?", "What is today's date?")),
    ("add", "Add two numbers.", {"a": "whole", "b": "whole"}, ("What is {a} plus {b}?", "Add {a} and {b}.", "What is {a} + {b}?", "{a} + {b}", "Add {a} and {b} with the tool.")),
    ("add_numbers", "Add two integers and return the sum.", {"a": "whole", "b": "whole"}, ("What is {a} plus {b}?", "Add {a} and {b}.", "What is {a} + {b}?")),
    ("multiply", "Multiply two numbers.", {"a": "whole", "b": "whole"}, ("What is {a} times {b}?", "Multiply {a} by {b}.", "Multiply {a} and {b}.")),
    ("read_file", "Read a text file.", {"path": "path"}, ("Read {path}.", "Read the file {path}.", "What is in {path}?", "Show me {path}", "Open {path}.")),
    ("write_file", "Write text to a file.", {"path": "path", "content": "words"}, ('Write "{content}" to {path}.', 'Write "{content}" to the file {path}.', "Create {path} with the text '{content}'.")),
    ("list_files", "List the files in a folder.", {"path": "path"}, ("List the files in {path}.", "Which files are in {path}?", "What is in the folder {path}?")),
    ("list_directory", "List the entries of a directory.", {"directory": "path"}, ("List {directory}.", "What is in {directory}?", "List the directory {directory}.")),
    ("run_shell", "Run a shell command.", {"command": "words"}, ('Run "{command}".', "Run the command `{command}`.", "Run `{command}` in the shell.")),
    ("search_web", "Search the web.", {"query": "words"}, ("Search the web for {query}.", "Look up {query}.", "Search for {query}")),
    ("search", "Search documents.", {"query": "words", "limit?": "small"}, ("Search for {query}.", "Find {limit} results for {query}.")),
    ("send_email", "Send an email.", {"to": "name", "subject": "words"}, ('Send an email to {to} with the subject "{subject}".', "Email {to} about '{subject}'.")),
    ("send_message", "Send a message to someone.", {"recipient": "name", "text": "words"}, ('Send "{text}" to {recipient}.', "Tell {recipient}: '{text}'", "Message {recipient} \"{text}\".")),
    ("get_stock_price", "Get the price of a stock.", {"symbol": "symbol"}, ("What is the stock price of {symbol}?", "What is the price of {symbol}?", "How much is {symbol}?", "stock price of {symbol}")),
    ("get_stock_fundamentals", "Get fundamental data for a given stock symbol using yfinance API.", {"symbol": "symbol"}, ("Fetch the stock fundamentals data for {symbol}.", "Get the fundamentals of {symbol}.", "Fetch the stock fundamentals data for Tesla ({symbol})")),
    ("roll_dice", "Roll dice.", {"sides": "small"}, ("Roll a {sides} sided die.", "Roll a die with {sides} sides.", "Roll a d{sides}.")),
    ("flip_coin", "Flip a coin.", {}, ("Flip a coin.", "Toss a coin.")),
    ("set_timer", "Set a timer.", {"minutes": "small"}, ("Set a timer for {minutes} minutes.", "Start a {minutes} minute timer.")),
    ("set_light", "Switch a light on or off.", {"room": "word", "on": "flag"}, ("Set the light in the {room} to {on}.", "Light in the {room}: {on}")),
    ("create_event", "Create a calendar event.", {"title": "words", "date": "date"}, ('Create the event "{title}" on {date}.', "Add '{title}' to my calendar on {date}.")),
    ("convert_currency", "Convert an amount of money.", {"amount": "whole", "source": "currency", "target": "currency"}, ("Convert {amount} {source} to {target}.", "How much is {amount} {source} in {target}?")),
    ("get_user", "Get a user by id.", {"user_id": "whole"}, ("Get user {user_id}.", "Who is user {user_id}?", "Look up the user with id {user_id}.")),
    ("translate", "Translate a text.", {"text": "words", "language": "French German Spanish Italian"}, ('Translate "{text}" to {language}.', "Translate '{text}' into {language}.")),
    ("word_count", "Count the words of a text.", {"text": "words"}, ('How many words are in "{text}"?', 'Count the words of "{text}".')),
    ("echo", "Return the text.", {"text": "words"}, ('Echo "{text}".', "Echo {text}")),
    ("greet", "Greet a person.", {"name": "name"}, ("Greet {name}.", "Say hello to {name} with the tool.")),
)  # fmt: skip


def _everyday_value(source: Source, kind: str) -> tuple[Json, object]:
    match kind:
        case "place":
            return {"type": "string"}, source.place()
        case "name":
            return {"type": "string"}, source.name()
        case "word":
            return {"type": "string"}, source.word()
        case "words":
            return {"type": "string"}, " ".join(source.word() for _ in range(source.integer(1, 5)))
        case "path":
            return (
                {"type": "string"},
                f"{source.pick(('', '/', './'))}{source.word()}{source.pick(('.txt', '.md', '.py', '', '/' + source.word()))}",
            )
        case "symbol":
            return {"type": "string"}, source.letters(source.integer(2, 5)).upper()
        case "date":
            return {
                "type": "string"
            }, f"20{source.integer(20, 35)}-{source.integer(1, 12):02}-{source.integer(1, 28):02}"
        case "currency":
            return {"type": "string"}, source.pick(
                ("EUR", "USD", "GBP", "JPY", "CHF", "NOK", source.letters(3).upper())
            )
        case "small":
            return {"type": "integer"}, source.integer(2, 30)
        case "whole":
            return {"type": source.pick(("integer", "integer", "number"))}, source.integer(
                0, 10 ** source.integer(1, 4)
            )
        case "flag":
            return {"type": "boolean"}, source.chance(0.5)
        case _:
            return {"type": "string", "enum": kind.split()}, source.pick(kind.split())


def everyday_call(source: Source) -> Call:
    """A call of a tool that people really try, asked for in plain words."""
    name, description, kinds, requests = source.pick(_EVERYDAY)
    request = source.pick(requests)
    properties: Json = {}
    arguments: Json = {}
    required = []
    for marked, kind in kinds.items():
        key = marked.rstrip("?")
        properties[key], value = _everyday_value(source, kind)
        if source.chance(0.5):
            properties[key]["description"] = source.pick(
                (f"The {key}.", f"The {key} to use.", " ".join(source.words(3)).capitalize() + ".")
            )
        if "{" + key + "}" in request:
            arguments[key] = value
        if key == marked:
            required.append(key)
    text = request.format(**{key: shown(source, value, quoted=False).strip("\"'") for key, value in arguments.items()})
    return Call(
        {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": properties, "required": required},
        },
        arguments,
        text,
    )
