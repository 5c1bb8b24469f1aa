"""An attachment, and its text in the prompt."""

from collections.abc import Sequence

from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text and the name of its source. `wrapped` is the text in the prompt.

    `tag` is file, page or command, or empty for a text without tags; `more` holds further attributes of the tag.
    """

    name: str
    text: str
    tag: str = "file"
    more: str = ""

    @property
    def wrapped(self) -> str:
        """The text between tags that name its source."""
        if not self.tag:
            return self.text
        from html import escape

        key = "command" if self.tag == "command" else "url" if self.tag == "page" else "name"
        attributes = f'{key}="{escape(" ".join(self.name.split()))}" {self.more}'.rstrip()
        return f"<{self.tag} {attributes}>\n{self.text}\n</{self.tag}>"


def joined(text: str, attachments: Sequence[Attachment]) -> str:
    """A message with its attachments after it, a blank line between each."""
    return "\n\n".join(filter(None, (text, *(one.wrapped for one in attachments))))
