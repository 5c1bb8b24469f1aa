"""Reads conversations of other programs and data sets, and counts the content that a session cannot hold."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hermes_cli.chat.conversation import Conversation, Turn
from hermes_cli.chat.message import Message, Role
from hermes_cli.formats.function_calling import call_block, response_block
from hermes_cli.formats.thinking import without_thinking

_ROLES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "bot", "function_call"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_response"), "tool"),
}
_SYSTEM = ("system", "system_prompt", "systemPrompt")
# Other content of conversations and messages, and its name in the report if it is left out.
_EXTRAS = {
    "tools": "tool definitions",
    "functions": "tool definitions",
    "images": "images",
    "videos": "videos",
    "audios": "audio",
    "audio": "audio",
    "files": "files",
    "attachments": "files",
    "rejected": "rejected answers",
}
_PARTS = {"image_url": "images", "input_image": "images", "image": "images", "input_audio": "audio", "file": "files"}
_THINKING = ("thinking", "reasoning_content", "reasoning")
_REASONING = re.compile(r'<details type="reasoning"[^>]*>(?:\s*<summary>.*?</summary>)?(.*?)</details>\n*', re.DOTALL)


class Fault(ValueError):
    """An error in a conversation: a phrase that follows its position."""


@dataclass(slots=True)
class Imported:
    """A conversation of another program. `left_out` counts what a session cannot hold, by its name."""

    conversation: Conversation = field(default_factory=Conversation)
    title: str = ""
    left_out: Counter[str] = field(default_factory=Counter)


def imported(value: Any) -> Imported:
    """The conversation in a JSON value; without turns if nothing is said in it. Raises Fault.

    Known are ShareGPT and LLaMA-Factory (`conversations`, `instruction`), OpenAI and Ollama (`messages`, or the list
    alone), the exports of Open WebUI (`chat`), LM Studio (`versions`), ChatGPT (`mapping`) and hermes (`turns`).
    """
    found = Imported()
    system, entries = _entries(value, found)
    messages = list(_messages(entries, found.left_out))
    if messages and messages[0].role == "system":
        first = messages.pop(0).content
        system = first if system in (None, "", first) else f"{system}\n\n{first}"
    found.conversation = Conversation(system, tuple(_turns(messages)))
    return found


def _entries(value: Any, found: Imported) -> tuple[str | None, list[Any]]:
    """The system prompt outside the messages, and the messages in their common form."""
    match value:
        case {"chat": dict(chat)}:
            return _entries({"title": value.get("title"), **chat}, found)
        case {"history": {"messages": dict(nodes), "currentId": str(last)}}:
            entries = _branch(nodes, last, "parentId", found.left_out)
        case {"mapping": dict(nodes), "current_node": str(last)}:
            branch = _branch(nodes, last, "parent", found.left_out)
            entries = [_chatgpt_entry(node["message"]) for node in branch if isinstance(node.get("message"), dict)]
            entries = [entry for entry in entries if entry["role"] != "system" or any(entry["content"] or ())]
        case {"turns": list(turns)}:
            entries = [entry for turn in turns if isinstance(turn, dict) for entry in _list(turn.get("messages"))]
        case {"conversations": list(entries)} | {"messages": list(entries)} | {"conversation": list(entries)}:
            entries = [_current_version(entry) for entry in entries]
        case {"chat_messages": list(entries)}:
            ...  # of claude.ai
        case {"instruction": str(asked), "output": str(answer)}:
            entries = _instruction(value, asked, answer)
        case {"prompt": str(asked), "response": str(answer)} | {"prompt": str(asked), "completion": str(answer)}:
            entries = _instruction(value, asked, answer)
        case list(entries):
            value = {}
        case _:
            raise Fault("has neither `conversations` nor `messages`")
    title = value.get("title") or value.get("name")
    found.title = title if isinstance(title, str) else ""
    found.left_out += _extras(value)
    parameters = value.get("params")
    given = [value.get(name) for name in _SYSTEM] + [parameters.get("system") if isinstance(parameters, dict) else None]
    return next((text for text in given if isinstance(text, str) and text), None), entries


def _branch(nodes: Mapping[str, Any], last: str, parent: str, left_out: Counter[str]) -> list[dict[str, Any]]:
    """The messages that lead to the last one; those of other branches are counted."""
    branch: list[dict[str, Any]] = []
    seen: set[str] = set()
    at: Any = last
    while isinstance(at, str) and at in nodes and at not in seen and isinstance(nodes[at], dict):
        seen.add(at)
        branch.append(nodes[at])
        at = nodes[at].get(parent)
    left_out["messages of other branches"] += len(nodes) - len(seen)
    return branch[::-1]


def _chatgpt_entry(message: dict[str, Any]) -> dict[str, Any]:
    author, content = message.get("author"), message.get("content")
    role = author.get("role") if isinstance(author, dict) else None
    parts = content.get("parts", [content.get("text", "")]) if isinstance(content, dict) else []
    match content:
        case {"content_type": "thoughts", **rest}:
            return {"role": role, "content": None, "thinking": rest.get("thoughts") or parts}
        case {"content_type": "reasoning_recap"}:  # "Thought for 5 seconds"
            return {"role": role, "content": None, "thinking": []}
    return {"role": role, "content": parts}


def _current_version(entry: Any) -> Any:
    """A message of LM Studio, which keeps every version and the steps of each, in the common form; others as given."""
    match entry:
        case {"versions": list(versions), **rest} if versions:
            selected = rest.get("currentlySelected", 0)
            version = versions[selected if type(selected) is int and 0 <= selected < len(versions) else -1]
        case _:
            return entry
    if not isinstance(version, dict) or not isinstance(version.get("steps"), list):
        return version
    parts: list[Any] = []
    thinking: list[Any] = []
    for step in version["steps"]:
        match step:
            case {"type": "contentBlock", "style": {"type": "thinking"}}:
                thinking += _list(step.get("content"))
            case {"type": "contentBlock", "content": list(content)}:
                parts += content
    return {"role": version.get("role"), "content": parts, "thinking": thinking}


def _instruction(value: Mapping[str, Any], asked: str, answer: str) -> list[Any]:
    """LLaMA-Factory's Alpaca form: an instruction with an input, and pairs of earlier questions and answers."""
    more = value.get("input")
    pairs = [pair for pair in _list(value.get("history")) if isinstance(pair, list) and len(pair) == 2]
    pairs.append([f"{asked}\n{more}" if isinstance(more, str) and more else asked, answer])
    return [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _messages(entries: list[Any], left_out: Counter[str]) -> Iterator[Message]:
    names: dict[str, str] = {}  # of the functions called, by the ids of the calls
    last_name, earlier = "", list[str]()  # `earlier`: thinking in messages of its own
    for entry in _without_blocks(entries):
        if not isinstance(entry, dict):
            raise Fault("has a message that is not an object")
        given = entry.get("from", entry.get("role", entry.get("sender")))
        role = _ROLES.get(given) if isinstance(given, str) else None
        if role is None:
            raise Fault(f"has a message from {given!r}")
        left_out += _extras(entry)
        text, thinking = _apart(_text(entry, left_out), role)
        thoughts = list(filter(None, (*earlier, _joined(next(filter(None, map(entry.get, _THINKING)), "")), thinking)))
        calls = list(_calls(entry, given, text))
        for call in calls:
            last_name = str(call.get("name") or "")
            names[str(call.get("id"))] = last_name
        if calls:
            blocks = [call_block(str(call.get("name")), call.get("arguments") or {}) for call in calls]
            text = "\n".join(([text] if text and given != "function_call" else []) + blocks)
        elif role == "tool" and text is not None and _is_bare_result(entry, given, text):
            name = entry.get("name") or names.get(str(entry.get("tool_call_id"))) or last_name
            text = response_block(str(name), _json(text))
        if text is None and "thinking" in entry and role == "assistant":
            earlier = thoughts
        elif text is None:
            left_out["messages without text"] += 1
        else:
            yield Message(role, text, thinking="\n\n".join(thoughts) if role == "assistant" else "")
            earlier = []


def _without_blocks(entries: list[Any]) -> Iterator[Any]:
    """Messages with Anthropic's blocks for calls and results in OpenAI's form; others as given."""
    for entry in entries:
        parts = _list(entry.get("content")) if isinstance(entry, dict) else []
        kinds = [(part.get("type") if isinstance(part, dict) else None, part) for part in parts]
        calls = [{**part, "arguments": part.get("input")} for kind, part in kinds if kind == "tool_use"]
        for part in (part for kind, part in kinds if kind == "tool_result"):
            yield {"role": "tool", "tool_call_id": part.get("tool_use_id"), "content": part.get("content") or ""}
        rest = [part for kind, part in kinds if kind not in ("tool_use", "tool_result")]
        if len(rest) == len(parts):
            yield entry
        elif rest or calls:
            yield {**entry, "content": rest or None, "tool_calls": calls}


def _is_bare_result(entry: Mapping[str, Any], given: object, text: str) -> bool:
    """Whether a tool's result lacks the tags that the model reads it in."""
    named = entry.get("tool_call_id") or entry.get("name")
    return bool(named or given in ("observation", "function_response")) and "<tool_response>" not in text


def _text(entry: Mapping[str, Any], left_out: Counter[str]) -> str | None:
    """The text of a message, of several parts put together; None if it has none. Raises Fault."""
    value = next((entry[key] for key in ("value", "content", "text") if entry.get(key) is not None), None)
    if value is None:
        refusal = entry.get("refusal")
        return refusal if isinstance(refusal, str) else None
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise Fault("has a message whose text is neither a string nor a list of parts")
    texts: list[str] = []
    for part in value:
        words = part.get("text") if isinstance(part, dict) else part
        if isinstance(words, str):
            texts.append(words)
        else:
            kind = part.get("type") or part.get("content_type") if isinstance(part, dict) else None
            left_out[_PARTS.get(str(kind), "images" if "image" in str(kind) else "other parts")] += 1
    return "".join(texts)


def _apart(text: str | None, role: Role) -> tuple[str | None, str]:
    """The text of an answer without the thinking in it, as Open WebUI or the model itself marks it, and that."""
    if text is None or role != "assistant":
        return text, ""
    folded = [re.sub(r"^> ?", "", found, flags=re.MULTILINE).strip() for found in _REASONING.findall(text)]
    rest = _REASONING.sub("", text)
    thinking, answer = without_thinking(rest)
    return answer if thinking else rest, "\n\n".join(filter(None, (*folded, thinking)))


def _joined(value: Any) -> str:
    """Thinking as text: given as such, or in parts."""
    if isinstance(value, str):
        return value.strip()
    words = (part.get("text", part.get("content")) if isinstance(part, dict) else part for part in _list(value))
    return "\n\n".join(one.strip() for one in words if isinstance(one, str) and one.strip())


def _calls(entry: Mapping[str, Any], given: object, text: str | None) -> Iterator[dict[str, Any]]:
    """The tool calls of a message, each with `name`, `arguments` and perhaps `id`."""
    found = entry.get("tool_calls") or [entry.get("function_call")]
    if given == "function_call" and text and "<tool_call>" not in text:
        value = _json(text)
        found = _list(value) or [value]
    for call in _list(found):
        match call:
            case {"function": {"name": str(name), **rest}} | {"name": str(name), **rest}:
                arguments = rest.get("arguments", rest.get("parameters"))
                yield {
                    "name": name,
                    "arguments": _json(arguments) if isinstance(arguments, str) else arguments,
                    "id": call.get("id"),
                }


def _list(value: Any) -> list[Any]:
    """The list, empty for anything else."""
    return value if isinstance(value, list) else []


def _json(text: str) -> Any:
    """The JSON value that a text holds, else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _extras(fields: Mapping[str, Any]) -> Counter[str]:
    """The content other than text, by its name."""
    found: Counter[str] = Counter()
    for key, name in _EXTRAS.items():
        value = fields.get(key)
        if value:
            found[name] += len(value) if isinstance(value, list) and name in ("images", "videos", "files") else 1
    return found


def _turns(messages: list[Message]) -> Iterator[Turn]:
    """A turn begins with a message of the user that follows a message of another role."""
    begins = [
        place
        for place, message in enumerate(messages)
        if place == 0 or (message.role == "user" and messages[place - 1].role != "user")
    ]
    for number, (start, end) in enumerate(pairwise([*begins, len(messages)]), 1):
        yield Turn(number, tuple(messages[start:end]))
