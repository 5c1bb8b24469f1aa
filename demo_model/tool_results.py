"""What made-up tools return, and the answer that reports it."""

import json

from demo_model.source import Source
from demo_model.tools import Call


def spoken(value: object) -> str:
    """A result value inside a sentence."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(spoken(item) for item in value)
    return json.dumps(value, ensure_ascii=False)


def stated(content: object) -> str:
    """The sentence that reports one result; every value of it is named."""
    if isinstance(content, dict):
        return "The result: " + ", ".join(f"{key} is {spoken(value)}" for key, value in content.items()) + "."
    if isinstance(content, list):
        return f"The results are {spoken(content)}." if content else "The result is empty."
    text = spoken(content)
    if "\n" in text:
        return f"The result is:\n{text}"
    return f"The result is {text}" + ("" if text.endswith((".", "!", "?")) else ".") if text else "The result is empty."


def final_answer(calls: list[Call], contents: list[object]) -> str:
    if len(calls) == 1:
        return stated(contents[0])
    return "\n".join(f"{one.name}: {stated(content)}" for one, content in zip(calls, contents, strict=True))


def result(source: Source) -> object:
    """What a tool returns: mostly an object or a short text, sometimes a list, several lines or JSON inside a text."""
    draw = source.pick(range(12))
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
