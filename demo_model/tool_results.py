"""What made-up tools return, and the answer that reports it."""

import json

from demo_model.long_results import nested, records, text, wide
from demo_model.source import Source
from demo_model.tools import Call

MOST_IN_A_SENTENCE = 4


def spoken(value: object) -> str:
    """A result value inside a sentence."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(spoken(item) for item in value)
    return json.dumps(value, ensure_ascii=False)


def stated(content: object) -> str:
    """The answer that reports one result; every value of it is named, many of them as a list."""
    if isinstance(content, dict) and content:
        if len(content) > MOST_IN_A_SENTENCE or any(_has_parts(value) for value in content.values()):
            return f"The result:\n{_fields(content)}"
        return f"The result: {_pairs(content)}."
    if isinstance(content, list) and _has_parts(content):
        return f"The results:\n{_numbered(content)}"
    if isinstance(content, list):
        return f"The results are {spoken(content)}." if content else "The result is empty."
    text = spoken(content)
    if "\n" in text:
        return f"The result is:\n{text}"
    return f"The result is {text}" + ("" if text.endswith((".", "!", "?")) else ".") if text else "The result is empty."


def _has_parts(value: object) -> bool:
    return bool(value) and (isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict)))


def _pairs(content: dict[str, object]) -> str:
    return ", ".join(f"{key} is {spoken(value)}" for key, value in content.items())


def _numbered(items: list[object], indent: str = "") -> str:
    return "\n".join(
        f"{indent}{number}. {_pairs(item) if isinstance(item, dict) else spoken(item)}"
        for number, item in enumerate(items, 1)
    )


def _fields(content: dict[str, object], indent: str = "") -> str:
    """One line for each field, as in the model card's example answer; a missing value is `N/A` there."""
    lines = []
    for key, value in content.items():
        if not indent and isinstance(value, dict) and value:
            lines.append(f"- **{key}**:\n{_fields(value, '  ')}")
        elif not indent and isinstance(value, list) and _has_parts(value):
            lines.append(f"- **{key}**:\n{_numbered(value, '  ')}")
        else:
            lines.append(f"{indent}- **{key}**: {'N/A' if value is None else spoken(value)}")
    return "\n".join(lines)


def final_answer(calls: list[Call], contents: list[object]) -> str:
    if len(calls) == 1:
        return stated(contents[0])
    return "\n".join(f"{one.name}: {stated(content)}" for one, content in zip(calls, contents, strict=True))


def result(source: Source) -> object:
    """What a tool returns: mostly an object or a short text, sometimes a list, several lines or something long."""
    draw = source.pick(range(15))
    if draw >= 12:
        return source.pick((wide, wide, nested, records, text))(source)
    if draw < 4:
        return {
            key: source.text()
            if source.chance(0.4)
            else source.whole()
            if source.chance(0.6)
            else source.decimal()
            if source.chance(0.5)
            else source.chance(0.5)
            for key in source.words(source.integer(1, 4))
        }
    if draw < 6:
        return source.whole() if source.chance(0.7) else source.decimal()
    if draw == 6:
        return (
            source.words(source.integer(0, 5))
            if source.chance(0.7)
            else [source.whole() for _ in range(source.integer(1, 5))]
        )
    if draw == 7:
        return "\n".join(
            source.sentence() if source.chance(0.6) else source.text() for _ in range(source.integer(2, 6))
        )
    if draw == 8:
        return source.sentence(source.integer(3, 14))
    if draw == 9:
        return f"{source.integer(-20, 40)} degrees and {source.word()}" if source.chance(0.6) else str(source.whole())
    return source.text()
