"""A piece of a prompt: either one of the model's markers, or text that can never become a marker."""

from collections.abc import Iterable

from hermes_cli.values import dataclass


@dataclass(frozen=True, slots=True)
class Segment:
    """`special` text is tokenised as a control token; all other text only as ordinary tokens."""

    text: str
    special: bool = False


def joined(segments: Iterable[Segment]) -> str:
    """The prompt as one string, for people to read."""
    return "".join(segment.text for segment in segments)


def merged(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """The same prompt with neighbouring plain text joined, so that it is tokenised as one piece."""
    result: list[Segment] = []
    for segment in segments:
        if not segment.special and result and not result[-1].special:
            result[-1] = Segment(result[-1].text + segment.text)
        elif segment.text:
            result.append(segment)
    return tuple(result)
