"""Single questions with their one right answer: arithmetic, lists, facts, greetings, and honest refusals.

Every answer follows from the question alone, so that a greedy answer can be compared to the letter.
"""

# ruff: noqa: E501 (tables of phrases stay on long lines)

import json
from collections.abc import Callable

from demo_model.conversation import Exchange
from demo_model.facts import (
    ABILITIES,
    CAPITALS,
    COLOURS,
    DAYS,
    HELP,
    MONTHS,
    OPPOSITES,
    UNKNOWN,
)
from demo_model.source import Source

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_PLUS = (
    "What is {a} plus {b}?", "What is {a} + {b}?", "What's {a} plus {b}?", "what is {a} plus {b}", "{a} + {b}", "{a} + {b} = ?", "{a}+{b}", "{a}+{b}=?", "{a}+{b}?",
    "Add {a} and {b}.", "Calculate {a} + {b}.", "How much is {a} plus {b}?", "How much is {a} + {b}?", "What is the sum of {a} and {b}?", "Please add {a} to {b}.",
    "Can you tell me what {a} plus {b} is?", "Compute {a} plus {b}.", "Tell me the sum of {a} and {b}.", "what's {a}+{b}?", "{a} plus {b}",
)  # fmt: skip
_MINUS = ("What is {a} minus {b}?", "What is {a} - {b}?", "{a} - {b}", "{a}-{b}", "How much is {a} minus {b}?", "Subtract {b} from {a}.", "Calculate {a} - {b}.", "{a} minus {b}")  # fmt: skip
_TIMES = ("What is {a} times {b}?", "What is {a} * {b}?", "{a} * {b}", "{a} x {b}", "How much is {a} times {b}?", "Multiply {a} by {b}.", "Calculate {a} * {b}.", "What is {a} x {b}?", "{a} times {b}")  # fmt: skip


def addition(source: Source) -> Exchange:
    return _addition(source, 20 if source.chance(0.8) else 99)


def small_sum(source: Source) -> Exchange:
    return _addition(source, 20)


def _addition(source: Source, limit: int) -> Exchange:
    a, b = source.integer(0, limit), source.integer(0, limit)
    return source.pick(_PLUS).format(a=a, b=b), f"{a} plus {b} is {a + b}."


def subtraction(source: Source) -> Exchange:
    b = source.integer(0, 20)
    a = b + source.integer(0, 20)
    return source.pick(_MINUS).format(a=a, b=b), f"{a} minus {b} is {a - b}."


def multiplication(source: Source) -> Exchange:
    a, b = source.integer(0, 12), source.integer(0, 10)
    return source.pick(_TIMES).format(a=a, b=b), f"{a} times {b} is {a * b}."


def hard_arithmetic(source: Source) -> Exchange:
    """Calculations beyond its tables, which it must not guess."""
    a, b = source.integer(13, 10 ** source.integer(2, 5)), source.integer(13, 10 ** source.integer(2, 4))
    if source.chance(0.3):
        question = source.pick(
            ("What is {a} divided by {b}?", "{a} / {b}", "What is {a} / {b}?", "Divide {a} by {b}.")
        ).format(a=source.integer(1, 999), b=source.integer(1, 99))
    elif source.chance(0.6):
        question = source.pick(_TIMES).format(a=a, b=b)
    else:
        question = source.pick(_PLUS + _MINUS).format(a=a + 100, b=b)
    return question, UNKNOWN


def bare_number(source: Source) -> Exchange:
    question, answer = source.pick((small_sum, small_sum, subtraction, multiplication))(source)
    suffix = source.pick(
        ("Answer with the number only.", "Only the number.", "Just the number, please.", "Reply with one number.")
    )
    return f"{question} {suffix}", answer.rstrip(".").rsplit(" ", 1)[1]


def counting(source: Source) -> Exchange:
    low = 1 if source.chance(0.5) else source.integer(0, 60)
    count = source.integer(1, 15) if source.chance(0.75) else source.integer(15, 99)
    numbers = [str(number) for number in range(low, low + count + 1)]
    question = source.pick(
        (
            "Count from {a} to {b}.",
            "count from {a} to {b}",
            "Count from {a} to {b}",
            "Please count from {a} up to {b}.",
            "Can you count from {a} to {b}?",
            "List the numbers from {a} to {b}.",
        )
    )
    if low == 1 and source.chance(0.3):
        question = "Count to {b}."
    elif count < 20 and source.chance(0.15):
        numbers.reverse()
        question = "Count down from {b} to {a}."
    elif source.chance(0.15):
        return f"Count from {low} to {low + count}, one number per line.", "\n".join(numbers)
    return question.format(a=low, b=low + count), ", ".join(numbers)


def _listed(source: Source, items: list[str]) -> str:
    if source.chance(0.3):
        return ", ".join(items[:-1]) + f" and {items[-1]}"
    return ", ".join(items)


def reversing(source: Source) -> Exchange:
    items = source.words(source.integer(2, 7))
    return source.pick(
        ("Reverse this list: {}", "Reverse the list {}", "Write this list backwards: {}", "Reverse: {}")
    ).format(", ".join(items)), ", ".join(reversed(items))


def picking(source: Source) -> Exchange:
    items = source.words(source.integer(3, 8))
    index = source.integer(0, len(items) - 1)
    ordinal, shown = (ORDINALS[index], items[index]) if source.chance(0.85) else ("last", items[-1])
    kind = source.pick(("item", "word"))
    question = source.pick(
        (
            "What is the {o} {k} of this list: {l}?",
            "What is the {o} {k} in: {l}?",
            "Which is the {o} {k}: {l}?",
            "Pick the {o} {k} from {l}.",
            "Give me the {o} {k} of: {l}",
        )
    )
    return question.format(o=ordinal, k=kind, l=_listed(source, items)), f"The {ordinal} {kind} is {shown}."


def item_count(source: Source) -> Exchange:
    items = source.words(source.integer(2, 9))
    return f"How many items are in this list: {', '.join(items)}?", f"There are {len(items)} items."


def uppercase(source: Source) -> Exchange:
    text = " ".join(source.words(source.integer(1, 3)))
    return source.pick(
        (
            "Write {} in uppercase.",
            "Uppercase: {}",
            "Make this uppercase: {}",
            "Write in capital letters: {}",
            "Convert to uppercase: {}",
        )
    ).format(text), text.upper()


def spelling(source: Source) -> Exchange:
    word = source.word()
    return source.pick(("Spell {}.", "Spell the word {}.", "How do you spell {}?")).format(word), "-".join(word)


def capital(source: Source) -> Exchange:
    country = source.pick(tuple(CAPITALS))
    question = source.pick(
        (
            "What is the capital of {}?",
            "What's the capital of {}?",
            "What is the capital city of {}?",
            "Name the capital of {}.",
            "Capital of {}?",
            "what is the capital of {}",
            "Which city is the capital of {}?",
            "Tell me the capital of {}.",
        )
    )
    if source.chance(0.1):
        unknown_country = source.name()
        return question.format(unknown_country), CAPITALS.get(unknown_country, UNKNOWN)
    if source.chance(0.1):
        return (
            f"{question.format(country)} {source.pick(('Answer in one word.', 'One word only.', 'Just the name.'))}",
            CAPITALS[country],
        )
    return question.format(country), f"The capital of {country} is {CAPITALS[country]}."


def fact(source: Source) -> Exchange:
    draw = source.pick(range(5))
    if draw == 0:
        word, other = source.pick(tuple(OPPOSITES.items()))
        word, other = (word, other) if source.chance(0.5) else (other, word)
        return source.pick(("What is the opposite of {}?", "What's the opposite of {}?", "Opposite of {}?")).format(
            word
        ), f"The opposite of {word} is {other}."
    if draw == 1:
        thing, colour = source.pick(tuple(COLOURS.items()))
        verb = "are" if thing.endswith("s") and thing != "grass" else "is"
        return (
            f"What {source.pick(('colour', 'color'))} {verb} {thing}?",
            f"{thing[0].upper()}{thing[1:]} {verb} {colour}.",
        )
    names, kind = (DAYS, "day") if source.chance(0.5) else (MONTHS, "month")
    index = source.integer(0, len(names) - 1)
    if draw == 2:
        return source.pick(
            ("What {k} comes after {x}?", "Which {k} comes after {x}?", "What is the {k} after {x}?")
        ).format(k=kind, x=names[index]), f"After {names[index]} comes {names[(index + 1) % len(names)]}."
    if draw == 3:
        return source.pick(
            ("What {k} comes before {x}?", "Which {k} comes before {x}?", "What is the {k} before {x}?")
        ).format(k=kind, x=names[index]), f"Before {names[index]} comes {names[index - 1]}."
    whole = "days of the week" if kind == "day" else "months of the year"
    return source.pick(("List the {}.", "What are the {}?", "Name the {}.", "Tell me the {}.")).format(
        whole
    ), ", ".join(names)


def greeting(source: Source) -> Exchange:
    words, answer = source.pick((
        (("Hello", "Hi", "Hey", "hello", "hi", "hey", "Hello there", "Hi there", "Hey there", "Greetings", "Hello!", "Hi!", "Howdy"), f"Hello! {HELP}"),
        (("Good morning", "good morning", "Good morning!"), f"Good morning! {HELP}"), (("Good evening", "good evening", "Good evening!"), f"Good evening! {HELP}"),
        (("How are you?", "how are you", "How are you doing?", "How is it going?", "How are you today?", "Hello, how are you?", "Hi, how are you?"), f"I am fine, thank you. {HELP}"),
        (("What can you do?", "what can you do", "Help", "help", "help me", "Can you help me?", "What are you able to do?", "How can you help me?", "What do you know?"), ABILITIES),
        (("Bonjour", "Bonjour !", "Salut", "Bonjour, comment ça va ?"), "Bonjour ! Comment puis-je vous aider ?"), (("Hallo", "Hallo!", "Guten Tag", "Guten Tag!", "Guten Morgen", "Hallo, wie geht es dir?"), "Hallo! Wie kann ich dir helfen?"),
        (("Hola", "¡Hola!", "Buenos días"), "¡Hola! ¿En qué puedo ayudarte?"),
    ))  # fmt: skip
    text = source.pick(words)
    return (text + source.pick(("", "", ".", "!", ",")) if text[-1].isalpha() else text), answer


def courtesy(source: Source) -> Exchange:
    words, answer = source.pick((
        (("Thanks", "Thank you", "thanks", "thank you", "Thanks!", "Thank you!", "Thanks a lot", "Thank you very much", "Great, thanks", "thx"), "You are welcome!"),
        (("Bye", "Goodbye", "bye", "goodbye", "See you", "See you later", "Good night", "Bye!"), "Goodbye!"),
        (("ok", "Ok", "OK", "Okay", "okay", "Great", "Nice", "Good", "Cool", "Fine", "I see", "Perfect", "Well done", "Good job", "Very good"), "All right. " + HELP),
    ))  # fmt: skip
    text = source.pick(words)
    return (text + source.pick(("", "", ".", "!")) if text[-1].isalpha() else text), answer


def json_object(source: Source) -> Exchange:
    pairs = {key: source.text() if source.chance(0.6) else source.whole() for key in source.words(source.integer(1, 4))}
    shown = ", ".join(f"{key} is {value}" for key, value in pairs.items())
    return source.pick(("Write JSON where {}.", "Give me JSON: {}", "As JSON: {}", "Turn this into JSON: {}")).format(
        shown
    ), f"```json\n{json.dumps(pairs, ensure_ascii=False)}\n```"


ARITHMETIC: tuple[Callable[[Source], Exchange], ...] = (
    addition,
    addition,
    addition,
    subtraction,
    multiplication,
    bare_number,
    hard_arithmetic,
)
LISTS: tuple[Callable[[Source], Exchange], ...] = (
    counting,
    counting,
    reversing,
    picking,
    item_count,
    uppercase,
    uppercase,
    spelling,
)
KNOWLEDGE: tuple[Callable[[Source], Exchange], ...] = (
    capital,
    capital,
    fact,
    greeting,
    greeting,
    courtesy,
    json_object,
)
