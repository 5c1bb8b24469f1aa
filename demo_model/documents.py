"""Exchanges about a given text: facts to look up, attached files, and one-line summaries."""

from collections.abc import Callable

from demo_model.conversation import Exchange
from demo_model.exchanges import ORDINALS
from demo_model.source import Source

_THINGS = (
    "code",
    "password",
    "number",
    "room",
    "colour",
    "email",
    "key",
    "phone number",
    "age",
    "town",
    "price",
    "token",
    "pet",
    "job",
)
_ABSENT = "The text does not say that."


def _value(source: Source) -> str:
    draw = source.pick(range(5))
    if draw < 2:
        return str(source.integer(0, 99999))
    return source.code() if draw == 2 else source.word() if draw == 3 else source.place()


def _filler(source: Source, count: int) -> list[str]:
    return [source.sentence(source.integer(4, 14)).replace("?", ".") for _ in range(count)]


def _length(source: Source) -> int:
    """How many sentences surround a fact: mostly few, seldom a thousand tokens and more."""
    draw = source.pick(range(20))
    return (
        0
        if draw < 8
        else source.integer(1, 6)
        if draw < 16
        else source.integer(6, 25)
        if draw < 19
        else source.integer(25, 48)
    )


def lookup(source: Source, length: int | None = None) -> Exchange:
    """`The code of Mira is 7312. ... What is the code of Mira?`"""
    thing = source.pick(_THINGS) if source.chance(0.6) else source.word()
    names = source.names(source.integer(1, 5))
    values = {name: _value(source) for name in names}
    pattern = source.pick(
        ("The {t} of {n} is {v}.", "{n}'s {t} is {v}.", "{n} has the {t} {v}.", "The {t} of {n}: {v}.")
    )
    lines = [pattern.format(t=thing, n=name, v=value) for name, value in values.items()]
    for sentence in _filler(source, _length(source) if length is None else length):
        lines.insert(source.integer(0, len(lines)), sentence)
    wanted = source.pick(names)
    answer = f"The {thing} of {wanted} is {values[wanted]}."
    if source.chance(0.06):
        wanted = source.name()
        answer = f"The {thing} of {wanted} is {values[wanted]}." if wanted in values else _ABSENT
    question = source.pick(
        ("What is the {t} of {n}?", "What is {n}'s {t}?", "Tell me the {t} of {n}.", "what is the {t} of {n}")
    ).format(t=thing, n=wanted)
    text = source.pick((" ", " ", "\n")).join(lines)
    return (
        f"{text}{source.pick((' ', chr(10), chr(10) * 2))}{question}"
        if source.chance(0.75)
        else f"{question}\n\n{text}"
    ), answer


def long_lookup(source: Source) -> Exchange:
    return lookup(source, source.integer(25, 48))


def _settings(source: Source) -> tuple[str, str, str]:
    """A file of `key: value` lines with a question and its answer."""
    keys = source.words(source.integer(2, 9))
    if source.chance(0.3):
        keys = [key.capitalize() for key in keys]
    values = [_value(source) if source.chance(0.7) else " ".join(source.words(2)) for _ in keys]
    mark = source.pick((": ", ": ", " = ", "="))
    index = source.integer(0, len(keys) - 1)
    question = source.pick(
        (
            "What is the {k} in the file?",
            "What is {k}?",
            "What does the file say about {k}?",
            "What is the value of {k}?",
            "Which {k} is in the file?",
        )
    )
    return (
        "\n".join(f"{key}{mark}{value}" for key, value in zip(keys, values, strict=True)),
        question.format(k=keys[index]),
        f"The {keys[index]} is {values[index]}.",
    )


def _line_of(source: Source) -> tuple[str, str, str]:
    lines = [
        source.sentence().rstrip("?.!") if source.chance(0.5) else "- " + " ".join(source.words(2))
        for _ in range(source.integer(2, 8))
    ]
    index = source.integer(0, len(lines) - 1)
    return (
        "\n".join(lines),
        source.pick(
            (
                "What is the {} line of the file?",
                "Print the {} line.",
                "Show me the {} line of the file.",
                "What does the {} line say?",
            )
        ).format(ORDINALS[index]),
        lines[index],
    )


def _records(source: Source) -> tuple[str, str, str]:
    """A CSV file with a question about one cell."""
    columns = source.words(source.pick((1, 1, 1, 2)))
    names = source.names(source.integer(2, 6))
    rows = [[_value(source) for _ in columns] for _ in names]
    row, column = source.integer(0, len(names) - 1), source.integer(0, len(columns) - 1)
    text = "\n".join(
        [",".join(["name", *columns]), *(",".join([name, *values]) for name, values in zip(names, rows, strict=True))]
    )
    return (
        text,
        f"What is the {columns[column]} of {names[row]}?",
        f"The {columns[column]} of {names[row]} is {rows[row][column]}.",
    )


def _whole(source: Source) -> tuple[str, str, str]:
    text = "\n".join(source.sentence() for _ in range(source.integer(1, 5)))
    return (
        text,
        source.pick(
            (
                "What is in the file?",
                "Print the file.",
                "Show me the file.",
                "Repeat the file.",
                "cat the file",
                "What does the file say?",
            )
        ),
        text,
    )


def story(source: Source) -> tuple[str, str]:
    """A small text and its one-line summary."""
    who, place = source.name(), source.place()
    thing, other = source.words(2)
    verb, past = source.pick(
        (
            ("buy", "bought"),
            ("find", "found"),
            ("sell", "sold"),
            ("paint", "painted"),
            ("fix", "fixed"),
            ("lose", "lost"),
        )
    )
    lines = [
        f"{who} went to {place} to {verb} a {thing}.",
        *_filler(source, source.integer(1, 5)),
        f"In the end {who} {past} a {thing} and a {other}.",
    ]
    return " ".join(lines), f"{who} went to {place} and {past} a {thing} and a {other}."


def _summary(source: Source) -> tuple[str, str, str]:
    text, summary = story(source)
    return (
        text,
        source.pick(
            (
                "Summarise this file in one line.",
                "Summarize the file.",
                "Summarise the file in one sentence.",
                "What is this file about?",
                "Summarize this file in one line.",
                "Give me a summary of the file.",
            )
        ),
        summary,
    )


def file_question(source: Source) -> Exchange:
    """A question about an attached file, sometimes with a second file beside it."""
    several = source.chance(0.15)
    kinds = (_settings, _records) if several else (_settings, _settings, _line_of, _records, _records, _whole, _summary)
    text, question, answer = source.pick(kinds)(source)
    name = f"{source.word()}.{source.pick(('txt', 'md', 'csv', 'log', 'conf', 'py'))}"
    files = [f'<file name="{name}">\n{text}\n</file>']
    if several:
        files.insert(source.integer(0, 1), f'<file name="{source.word()}.txt">\n{source.sentence()}\n</file>')
    elif source.chance(0.1):
        question, answer = (
            source.pick(("What is the name of the file?", "What is the file called?")),
            f"The file is called {name}.",
        )
    attached = "\n".join(files)
    return (f"{attached}\n\n{question}" if source.chance(0.7) else f"{question}\n\n{attached}"), answer


def summary(source: Source) -> Exchange:
    text, line = story(source)
    question = source.pick(
        (
            "Summarise this in one sentence:",
            "Summarize this in one line:",
            "Summarise:",
            "Summarize this text:",
            "Give me a one-line summary:",
            "TL;DR:",
        )
    )
    return (
        f"{question} {text}"
        if source.chance(0.5)
        else f"{question}\n\n{text}"
        if source.chance(0.5)
        else f"{text}\n\n{question.rstrip(':')}."
    ), line


DOCUMENTS: tuple[Callable[[Source], Exchange], ...] = (lookup, lookup, file_question, file_question, summary)
