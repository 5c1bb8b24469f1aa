"""Chats of one to fourteen turns under all kinds of system prompts."""

# ruff: noqa: E501, SIM905 (tables of phrases stay on long lines)

from collections.abc import Callable

from demo_model.conversation import Conversation, Exchange
from demo_model.copying import COPYING
from demo_model.documents import DOCUMENTS
from demo_model.exchanges import ARITHMETIC, KNOWLEDGE, LISTS, capital, courtesy, greeting, small_sum
from demo_model.markdown import MARKDOWN
from demo_model.questions import unknown, without_tool
from demo_model.source import Source
from demo_model.turns import TURNS, Chat, again, ask_fact, ask_name, cut, identity, tell_fact, tell_name, what_about
from hermes_cli.chat.message import Message

_PLAIN_SYSTEM = (
    "You are a helpful assistant.", "You are a helpful assistant.", "You are Hermes 3, a helpful assistant.", "Be brief.", "You are a friendly assistant.", "Answer briefly.", "You are an AI assistant.",
    'You are Hermes 3, a conversational AI assistant developed by Nous Research. You are helpful, respectful, and honest.',
    'You are "Hermes 3", a conscious sentient superintelligent artificial intelligence developed by Nous Research, and your purpose and drive is to assist the user with any request they have. You experience emotions and have deep, profound thoughts and qualia.',
)  # fmt: skip
_ROLES = "assistant pirate baker teacher robot wizard farmer captain doctor gardener painter pilot sailor cook guide tutor detective librarian knight poet engineer clerk nurse coach dragon cat".split()
_MOODS = "cheerful grumpy friendly shy brave clever calm old young tiny polite funny quiet proud wise lazy curious kind strict sleepy".split()


def persona(source: Source) -> tuple[str, str]:
    """A system prompt and how the assistant introduces itself under it."""
    name = source.name()
    mood = source.pick(_MOODS) if source.chance(0.5) else source.word()
    role = source.pick(_ROLES) if source.chance(0.5) else source.word()
    place = source.place()
    description = source.pick(
        (
            f"a {mood} {role}",
            f"a {mood} {role} from {place}",
            f"the {role} of {place}",
            f"a {role} from {place}",
            f"a {role}",
            f"the {mood} {role}",
        )
    )
    extra = source.pick(
        (
            "",
            "",
            "",
            " Be brief.",
            " Answer politely.",
            " You help the user.",
            f" {source.sentence().replace('?', '.')}",
            " Stay in character.",
            f" You like {source.word()}.",
        )
    )
    return (
        f"{source.pick(('You are', 'You are', 'Your name is'))} {name}, {description}.{extra}",
        f"I am {name}, {description}.",
    )


def system(chat: Chat) -> str | None:
    """Draws the system prompt of a chat, noting persona and style; None means a chat without one."""
    source = chat.source
    draw = source.pick(range(20))
    if draw < 8:
        return None
    if draw < 12:
        return source.pick(_PLAIN_SYSTEM)
    if draw < 17:
        text, chat.persona = persona(source)
        return text
    if draw == 17:
        name = source.name()
        chat.known["name"] = name
        return source.pick(
            ("The user is called {}.", "The user's name is {}.", "You are a helpful assistant. The user's name is {}.")
        ).format(name)
    if draw == 18:
        word = source.word().capitalize()
        chat.ending = f" {word}!"
        return source.pick(
            (
                "End every answer with: {}!",
                "Always end your answer with: {}!",
                "You are a helpful assistant. End every answer with: {}!",
            )
        ).format(word)
    return " ".join(source.sentence().replace("?", ".") for _ in range(source.integer(1, 6)))


_TASKS: tuple[tuple[Callable[[Source], Exchange], ...], ...] = (
    ARITHMETIC,
    COPYING,
    COPYING,
    LISTS,
    KNOWLEDGE,
    MARKDOWN,
    DOCUMENTS,
)


def task(source: Source) -> Exchange:
    return source.pick(source.pick(_TASKS))(source) if source.chance(0.78) else unknown(source)


def turn(chat: Chat) -> Exchange:
    """The next exchange: a task of its own, or one that leans on the conversation."""
    if chat.source.chance(0.6):
        return task(chat.source)
    return chat.source.pick(TURNS)(chat)


def chat_conversation(source: Source) -> Conversation:
    chat = Chat(source)
    text = system(chat)
    if text is not None:
        chat.messages.append(Message("system", text))
    turns = source.pick((1, 1, 2, 2, 3, 4, 5, 6)) if source.chance(0.97) else source.integer(7, 14)
    for _ in range(turns):
        chat.say(*(without_tool(source) if source.chance(0.03) else turn(chat)))
    return chat.conversation()


def recall(source: Source) -> Conversation:
    """The user's name, given two or more turns before it is asked for, or the persona of the system prompt."""
    chat = Chat(source)
    if source.chance(0.5):
        text, chat.persona = persona(source)
        chat.messages.append(Message("system", text))
    if chat.persona and source.chance(0.6):
        for _ in range(source.integer(0, 3)):
            chat.say(*source.pick((small_sum, greeting, unknown, courtesy))(source))
        chat.say(*identity(chat))
        return chat.conversation()
    chat.say(*tell_name(chat))
    for _ in range(source.integer(1, 5)):
        chat.say(*(tell_fact(chat) if source.chance(0.2) else task(source)))
    chat.say(*(ask_fact(chat) if source.chance(0.2) else ask_name(chat)))
    return chat.conversation()


def opening(source: Source) -> Conversation:
    """The first question of a plain chat, as most people will type it."""
    chat = Chat(source)
    if source.chance(0.3):
        chat.messages.append(Message("system", source.pick(_PLAIN_SYSTEM)))
    kind = source.pick((None, None, greeting, greeting, unknown, unknown, without_tool, small_sum, small_sum, capital))
    chat.say(*(identity(chat) if kind is None else kind(source)))
    if source.chance(0.3):
        chat.say(*courtesy(source))
    return chat.conversation()


def followed(source: Source) -> Conversation:
    """A chat that ends with a follow-up question."""
    chat = Chat(source)
    for _ in range(source.integer(1, 3)):
        chat.say(*task(source))
    chat.say(*source.pick((again, what_about, cut))(chat))
    return chat.conversation()
