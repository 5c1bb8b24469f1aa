"""Exchanges that lean on the conversation: who the assistant is, what the user said, follow-up questions, cut answers."""

# ruff: noqa: E501 (tables of phrases stay on long lines)

from collections.abc import Callable
from dataclasses import dataclass, field

from demo_model.conversation import Conversation, Exchange
from demo_model.exchanges import ORDINALS, capital, counting, small_sum
from demo_model.facts import CAPITALS, WHO
from demo_model.questions import unknown
from demo_model.source import Source
from hermes_cli.chat.message import Message

_WHO_ARE_YOU = (
    "Who are you?", "who are you?", "who are you", "Hello, who are you?", "Hi, who are you?", "Hello! Who are you?", "Hey, who are you?", "What are you?", "What is your name?",
    "What's your name?", "Tell me about yourself.", "Introduce yourself.", "Please introduce yourself.", "And who are you?", "Who am I talking to?", "Who is this?", "Are you Hermes?",
    "Are you a robot?", "Are you an AI?", "Are you human?", "What model are you?", "Which model is this?", "hello who are you", "May I ask who you are?", "Who made you?", "What is Hermes?",
)  # fmt: skip


@dataclass(slots=True)
class Chat:
    """A conversation in the making. `known` maps what the user said (`name`, `favourite fruit`) to its value."""

    source: Source
    persona: str | None = None
    ending: str = ""
    known: dict[str, str] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    learned_from: int = 0

    def say(self, question: str, answer: str) -> None:
        self.messages += [Message("user", question), Message("assistant", answer + self.ending)]

    def conversation(self) -> Conversation:
        return Conversation(tuple(self.messages), self.learned_from)

    @property
    def last_answer(self) -> str | None:
        return self.messages[-1].content if self.messages and self.messages[-1].role == "assistant" else None


def identity(chat: Chat) -> Exchange:
    return chat.source.pick(_WHO_ARE_YOU), f"Hello! {chat.persona or WHO}"


def tell_name(chat: Chat) -> Exchange:
    name = chat.source.name()
    chat.known["name"] = name
    question = chat.source.pick(
        (
            "My name is {}.",
            "I am {}.",
            "I'm {}.",
            "Hello, my name is {}.",
            "Hi, I am {}.",
            "Hi, I'm {}.",
            "Call me {}.",
            "my name is {}",
            "Hello! I'm {}.",
            "You can call me {}.",
            "Hi there, my name is {}.",
        )
    )
    return question.format(name), f"Nice to meet you, {name}!"


def ask_name(chat: Chat) -> Exchange:
    question = chat.source.pick(
        (
            "What is my name?",
            "What's my name?",
            "what is my name",
            "Do you remember my name?",
            "Who am I?",
            "Do you know my name?",
            "Tell me my name.",
            "What was my name?",
            "What is my name again?",
            "And what is my name?",
        )
    )
    name = chat.known.get("name")
    return question, f"Your name is {name}." if name else "You have not told me your name."


def tell_fact(chat: Chat) -> Exchange:
    source = chat.source
    thing = (
        f"favourite {source.word()}"
        if source.chance(0.5)
        else source.pick(
            ("lucky number", "dog", "cat", "town", "job", "password", "sister", "car", "age", "hobby", "team", "code")
        )
    )
    value = source.word() if source.chance(0.6) else str(source.whole()) if source.chance(0.5) else source.name()
    chat.known[thing] = value
    return source.pick(
        ("My {} is {}.", "Remember that my {} is {}.", "Remember: my {} is {}.", "Please remember that my {} is {}.")
    ).format(thing, value), f"I will remember that your {thing} is {value}."


def ask_fact(chat: Chat) -> Exchange:
    things = [thing for thing in chat.known if thing != "name"]
    if not things:
        return ask_name(chat)
    thing = chat.source.pick(things)
    return chat.source.pick(
        ("What is my {}?", "What's my {}?", "Do you remember my {}?", "Tell me my {}.", "what is my {}")
    ).format(thing), f"Your {thing} is {chat.known[thing]}."


def again(chat: Chat) -> Exchange:
    question = chat.source.pick(
        (
            "Say that again.",
            "Say that again, please.",
            "Repeat that.",
            "Can you repeat that?",
            "Again, please.",
            "Once more.",
            "What did you say?",
            "Repeat your last answer.",
            "Pardon?",
        )
    )
    return question, (chat.last_answer or "I have not said anything yet.").removesuffix(chat.ending or "\0")


def what_about(chat: Chat) -> Exchange:
    """A follow-up that leans on the question before it: another capital, another sum, another position in a list."""
    source = chat.source
    question, answer = capital(source), small_sum(source)
    lead = source.pick(("And", "And what about", "What about", "And what is", "and", "How about"))
    draw = source.pick(range(3))
    if draw == 0:
        chat.say(*question)
        country = source.pick(tuple(CAPITALS))
        return (
            f"{lead if lead != 'And what is' else 'And'} {country}?",
            f"The capital of {country} is {CAPITALS[country]}.",
        )
    if draw == 1:
        chat.say(*answer)
        a, b = source.integer(0, 20), source.integer(0, 20)
        return f"{lead} {a} {source.pick(('+', 'plus'))} {b}?", f"{a} plus {b} is {a + b}."
    items = source.words(source.integer(3, 7))
    first, second = source.sample(range(len(items)), 2)
    chat.say(
        f"What is the {ORDINALS[first]} item of this list: {', '.join(items)}?",
        f"The {ORDINALS[first]} item is {items[first]}.",
    )
    return (
        f"{lead if lead != 'And what is' else 'And'} the {ORDINALS[second]}?",
        f"The {ORDINALS[second]} item is {items[second]}.",
    )


def cut(chat: Chat) -> Exchange:
    """An answer that stopped in the middle and continues where it stopped."""
    source = chat.source
    words = source.words(source.integer(6, 14))
    question, answer = source.pick(
        (
            counting(source),
            (f"Repeat after me: {' '.join(words)}", " ".join(words)),
            (
                f"Write a bullet list of {', '.join(words[:-1])} and {words[-1]}.",
                "\n".join(f"- {word}" for word in words),
            ),
        )
    )
    places = [index for index, character in enumerate(answer) if character in " \n"]
    if len(places) < 3:
        return unknown(source)
    at = source.pick(places[1:])
    chat.messages += [Message("user", question), Message("assistant", answer[:at])]
    chat.learned_from = len(chat.messages)
    return source.pick(
        (
            "Continue.",
            "continue",
            "Go on.",
            "go on",
            "Continue",
            "Please continue.",
            "Keep going.",
            "Continue your answer.",
            "Continue where you stopped.",
        )
    ), answer[at + 1 :]


TURNS: tuple[Callable[[Chat], Exchange], ...] = (
    identity,
    tell_name,
    ask_name,
    tell_fact,
    ask_fact,
    again,
    what_about,
    cut,
)
