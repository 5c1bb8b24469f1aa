"""Text that MCP servers send, made visible and harmless: whatever they send is untrusted."""

import json
import re
import unicodedata
from typing import Any

_TAG = re.compile(r"<(/?)(tools?|tool_call|tool_response|schema|\|[a-z_]+\|)>", re.IGNORECASE)
# Control, format, surrogate and private characters; joiners belong to emoji and scripts.
_HIDDEN = ("Cc", "Cf", "Cs", "Co")
_KEPT_HIDDEN = "\n\t\u200c\u200d\ufe0e\ufe0f"


def visible(value: Any) -> Any:
    """`value` with hidden and control characters in its texts as escapes, which the model and the user can see."""
    match value:
        case str():
            return value if value.isprintable() else "".join(map(_seen, value))
        case list():
            return [visible(one) for one in value]
        case dict():
            return {visible(key): visible(one) for key, one in value.items()}
    return value


def _seen(character: str) -> str:
    if character in _KEPT_HIDDEN or unicodedata.category(character) not in _HIDDEN:
        return character
    return json.dumps(character)[1:-1]


def harmless(value: Any) -> Any:
    """Text of a server's definition that cannot close the list of tools in the prompt, nor hide in it."""
    match value:
        case str():
            return _TAG.sub(r"[\1\2]", visible(value))
        case list():
            return [harmless(one) for one in value]
        case dict():
            return {harmless(key): harmless(one) for key, one in value.items()}
    return value
