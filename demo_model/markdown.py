"""Exchanges whose answers are Markdown: lists, tables, headings, emphasis and fenced code."""

# ruff: noqa: E501 (tables of phrases stay on long lines)

from collections.abc import Callable

from demo_model.conversation import Exchange
from demo_model.facts import GROUPS
from demo_model.source import Source

SAMPLE = """# Markdown

Text can be **bold**, *italic* or `code`.

## A list

- apples
- pears
  - green ones

1. first
2. second

## A table

| Name | Age |
| --- | --- |
| Mira | 31 |
| Tom | 27 |

> A quote.

```python
def add(a, b):
    return a + b
```"""

# Question, language, code; `{f}` is a name chosen by the user.
_CODE = (
    ("a Python function named {f} that adds two numbers", "python", "def {f}(a, b):\n    return a + b"),
    ("a Python function named {f} that multiplies two numbers", "python", "def {f}(a, b):\n    return a * b"),
    ("a Python function named {f} that says hello", "python", 'def {f}(name):\n    print(f"Hello, {{name}}!")'),
    ("a Python function named {f} that reverses a string", "python", "def {f}(text):\n    return text[::-1]"),
    (
        "a Python function named {f} that checks if a number is even",
        "python",
        "def {f}(number):\n    return number % 2 == 0",
    ),
    ("a Python class named {f}", "python", "class {f}:\n    def __init__(self):\n        pass"),
    (
        "a Python function named {f} that finds the largest number",
        "python",
        "def {f}(numbers):\n    return max(numbers)",
    ),
    ("a Python program that prints {f}", "python", 'print("{f}")'),
    ("a Python loop that prints {f} five times", "python", 'for _ in range(5):\n    print("{f}")'),
    ("a shell command that prints {f}", "sh", "echo {f}"),
    ("a shell command that makes a folder named {f}", "sh", "mkdir {f}"),
    ("a shell command that deletes the file {f}", "sh", "rm {f}"),
    (
        "a JavaScript function named {f} that adds two numbers",
        "javascript",
        "function {f}(a, b) {{\n  return a + b;\n}}",
    ),
)
_GENERIC = (
    ("a Python function that adds two numbers", "python", "def add(a, b):\n    return a + b"),
    ("a hello world program in Python", "python", 'print("Hello, world!")'),
    ("hello world in Python", "python", 'print("Hello, world!")'),
    ("a Python function", "python", "def add(a, b):\n    return a + b"),
    ("some Python code", "python", "def add(a, b):\n    return a + b"),
    ("a shell command that lists files", "sh", "ls -l"),
    ("some JSON", "json", '{"name": "Mira", "age": 31}'),
    (
        "a hello world program in C",
        "c",
        '#include <stdio.h>\n\nint main(void) {\n    printf("Hello, world!\\n");\n    return 0;\n}',
    ),
)


def _series(items: list[str]) -> str:
    return ", ".join(items[:-1]) + f" and {items[-1]}"


def bullets(source: Source) -> Exchange:
    items = source.words(source.integer(2, 8))
    if source.chance(0.4):
        question = source.pick(("Write a numbered list of {}.", "Make a numbered list: {}", "Number these: {}"))
        return question.format(_series(items)), "\n".join(f"{number}. {item}" for number, item in enumerate(items, 1))
    question = source.pick(
        (
            "Write a bullet list of {}.",
            "Make a list of {}.",
            "Make a bullet list: {}",
            "List {} with bullets.",
            "Write a list with {}.",
        )
    )
    return question.format(_series(items)), "\n".join(f"- {item}" for item in items)


def group(source: Source) -> Exchange:
    kind, items = source.pick(tuple(GROUPS.items()))
    count = source.integer(2, 6)
    number = ("two", "three", "four", "five", "six")[count - 2] if source.chance(0.6) else str(count)
    question = source.pick(
        (
            "Name {n} {k}.",
            "List {n} {k}.",
            "Give me {n} {k}.",
            "Write a list of {n} {k}.",
            "Give me a list of {n} {k}.",
            "Tell me {n} {k}.",
            "Make a bullet list of {n} {k}.",
        )
    )
    return question.format(n=number, k=kind), "\n".join(f"- {item}" for item in items[:count])


def table(source: Source) -> Exchange:
    columns = [word.capitalize() if source.chance(0.5) else word for word in source.words(source.integer(2, 4))]
    rows = [
        [str(source.whole()) if source.chance(0.4) else source.word() for _ in columns]
        for _ in range(source.integer(1, 5))
    ]
    lines = [columns, ["---"] * len(columns), *rows]
    shown = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    if source.chance(0.5):
        return (
            f"Make a table with the columns {_series(columns)} and the rows {'; '.join(', '.join(row) for row in rows)}.",
            shown,
        )
    data = "\n".join(",".join(line) for line in [columns, *rows])
    return source.pick(("Turn this CSV into a Markdown table:\n{}", "Make a table from this:\n{}")).format(data), shown


def emphasis(source: Source) -> Exchange:
    text = " ".join(source.words(source.integer(1, 4)))
    style, shown = source.pick(
        (
            ("bold", f"**{text}**"),
            ("italics", f"*{text}*"),
            ("inline code", f"`{text}`"),
            ("a heading", f"# {text}"),
            ("a quote", f"> {text}"),
            ("a level 2 heading", f"## {text}"),
        )
    )
    return source.pick(("Write {t} in {s}.", "Write {t} as {s}.", "Format {t} as {s}.", "Put {t} in {s}.")).format(
        t=text, s=style
    ), shown


def code(source: Source) -> Exchange:
    if source.chance(0.25):
        what, language, shown = source.pick(_GENERIC)
    else:
        what, language, shown = source.pick(_CODE)
        name = source.identifier()
        what, shown = what.format(f=name), shown.format(f=name)
    return source.pick(
        ("Write {}.", "Show me {}.", "Give me {}.", "Please write {}.", "Can you write {}?", "I need {}.")
    ).format(what), f"```{language}\n{shown}\n```"


def sample(source: Source) -> Exchange:
    question = source.pick(
        (
            "Show me some Markdown.",
            "Show me what Markdown looks like.",
            "Show me all Markdown elements.",
            "Write a Markdown sample.",
            "Show Markdown.",
            "Show me a Markdown document.",
            "Give me a Markdown example.",
            "Write some Markdown.",
        )
    )
    return question, SAMPLE


MARKDOWN: tuple[Callable[[Source], Exchange], ...] = (
    bullets,
    bullets,
    bullets,
    group,
    table,
    table,
    emphasis,
    code,
    code,
    sample,
)
