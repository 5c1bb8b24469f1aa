"""Every error that users see: one sentence, one hint, and one exit code per class.

HermesError            1    a runtime or model error
├── UsageError         2    the command line or its input is wrong
├── ModelNotFound      3    no such model here
├── DownloadError      3    a model could not be downloaded
├── EndpointError      3    a server could not be reached or failed
├── ContextOverflow    4    the prompt is longer than the context
├── EngineError        1    llama.cpp refused or failed
│   ├── LoadCancelled  1    the load was stopped on request
│   └── OutOfMemory    1    a model, or its context, does not fit into memory
├── SessionError       1    a saved session cannot be read
│   └── SessionBusy    1    it can be read, but not continued
├── SchemaNotSatisfied 5    the answer does not satisfy the schema
├── ToolFailed         6    a tool failed or was not allowed to run
├── AnswerCut          7    the code asked for was cut off before its end
└── OutputError        1    the answer or a file could not be written

Stops that are not errors have exit codes too: 124 timeout, 129 hung up, 130 interrupted, 141 broken pipe,
143 terminated.
"""

from collections.abc import Iterable


class HermesError(Exception):
    """An error: one sentence without a full stop, and a hint.

    `setting` is the key of the setting that was used, where it may be the cause.
    """

    exit_code = 1
    setting: str | None = None

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HermesError):
    """The command line, a setting or the input cannot be used as given."""

    exit_code = 2


class ModelNotFound(HermesError):
    """The requested model is not on this machine."""

    exit_code = 3


class DownloadError(HermesError):
    """A model, or the information about it, could not be downloaded."""

    exit_code = 3


class EndpointError(HermesError):
    """The server at an endpoint could not be reached, refused the request or failed."""

    exit_code = 3
    setting = "endpoint"


class ContextOverflow(HermesError):
    """The prompt does not fit into the context; the two lengths where they are known, in tokens."""

    exit_code = 4

    def __init__(
        self, message: str, hint: str, *, prompt_tokens: int | None = None, context_length: int | None = None
    ) -> None:
        super().__init__(message, hint)
        self.prompt_tokens, self.context_length = prompt_tokens, context_length


class EngineError(HermesError):
    """llama.cpp could not be loaded, or refused the model or a request."""


class LoadCancelled(EngineError):
    """Loading a model or tools was stopped on request."""


class OutOfMemory(EngineError):
    """The model, or the requested context, does not fit into the memory of this machine or its GPUs."""


class SessionError(HermesError):
    """The file of a session cannot be read, or only by a later version."""


class SessionBusy(SessionError):
    """A session cannot be continued in its file; a fork of it can."""


class ToolFailed(HermesError):
    """A tool failed or was not allowed to run."""

    exit_code = 6


class SchemaNotSatisfied(HermesError):
    """The answer does not satisfy the schema."""

    exit_code = 5


class AnswerCut(HermesError):
    """The code that was asked for was cut off before its end."""

    exit_code = 7


class OutputError(HermesError):
    """The answer or a file could not be written."""


EXIT_TIMEOUT = 124
EXIT_HANGUP = 129
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
EXIT_TERMINATED = 143


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """A hint that names what `word` is the beginning of, or a likely misspelling of, else `otherwise`."""
    import difflib

    names = list(known)
    if len(word) > 1 and len(begun := [name for name in names if name.startswith(word)]) == 1:
        return f"did you mean {begun[0]}?"
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.75)
    return f"did you mean {near[0]}?" if near else otherwise


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters: a longer one is cut after a word, with an ellipsis."""
    if len(text) <= most:
        return text
    begun = text[: most - 1]
    end = max(begun.rfind(" "), begun.rfind("\n"))
    return f"{begun[:end] if end > most // 2 else begun}…"
