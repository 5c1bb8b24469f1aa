"""The tags of Hermes 3's prompt formats, spelled in one place."""

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
RESPONSE_START, RESPONSE_END = "<tool_response>", "</tool_response>"
TOOLS_START, TOOLS_END = "<tools>", "</tools>"
SCHEMA_START, SCHEMA_END = "<schema>", "</schema>"
PAD_START, PAD_END = "<scratch_pad>", "</scratch_pad>"
THINK_START, THINK_END = "<think>", "</think>"

ALL_TAGS = (
    *(CALL_START, CALL_END, RESPONSE_START, RESPONSE_END, TOOLS_START, TOOLS_END),
    *(SCHEMA_START, SCHEMA_END, PAD_START, PAD_END, THINK_START, THINK_END),
)
CALL_TAGS = (CALL_START, CALL_END, PAD_START, PAD_END)


def tag_prefix_length(text: str, *tags: str) -> int:
    """The length of the longest end of `text` that begins one of `tags` without being the whole tag."""
    longest = max(map(len, tags)) - 1
    sizes = range(min(longest, len(text)), 0, -1)
    return next((size for size in sizes if any(tag.startswith(text[-size:]) for tag in tags)), 0)
