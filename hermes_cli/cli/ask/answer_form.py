"""Output that is printed only when the answer is complete: the JSON object, the first code block, schema data."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from hermes_cli.errors import AnswerCut, HermesError, SchemaNotSatisfied
from hermes_cli.formats.code_block import code_blocks, is_open
from hermes_cli.formats.json.mode import json_part, parsed
from hermes_cli.terminal import console
from hermes_cli.terminal.answer.turn_view import ShownAnswer, tokens_per_second

if TYPE_CHECKING:
    from hermes_cli.session.session import Session

Form = Literal["text", "json", "code", "data"]


def late_text(shown: ShownAnswer, form: Form, session: "Session", problem: HermesError | None) -> str:
    """The text to print when the answer is complete; plain text has been printed by then."""
    match form:
        case "text":
            return ""
        case "json":
            return json.dumps(envelope(shown, session, problem))
        case "code":
            return code_block(shown.text)
        case "data":
            return final_text(shown, session)


def envelope(shown: ShownAnswer, session: "Session", problem: HermesError | None) -> dict[str, Any]:
    """The answer with its metadata, as `--json` prints it; no data where they have a `problem`."""
    from hermes_cli.store.sessions.fields import result_fields

    finished, info = shown.finished, session.backend.info
    facts: dict[str, Any] = {
        "answer": final_text(shown, session),
        **({"thinking": shown.thinking} if shown.thinking else {}),
        "finish_reason": finished.reason,
        "model": info.model_name,
        **({"lora": [{"path": path, "scale": scale} for path, scale in info.adapters]} if info.adapters else {}),
        "session": session.transcript.name if session.transcript else None,
        "seed": finished.seed,
        "usage": asdict(finished.usage),
        "timings": {
            "load_ms": round(info.load_s * 1000, 1),
            "first_token_ms": round(finished.timings.first_token_s * 1000, 1),
            "tokens_per_second": round(tokens_per_second(finished), 1),
        },
        "tool_calls": [result_fields(result) for result in shown.tool_results],
    }
    if session.schema is not None:
        facts["data"] = None if problem else parsed(final_text(shown, session))
    return facts


def final_text(shown: ShownAnswer, session: "Session") -> str:
    """The answer; with a schema only its JSON, the last one if it was corrected."""
    turns = session.conversation.turns
    return json_part(turns[-1].answer.content) if session.schema is not None and turns and shown.text else shown.text


def problem_with_data(shown: ShownAnswer, session: "Session") -> SchemaNotSatisfied | None:
    """The error of an answer that does not satisfy the schema of the session, if it has one."""
    from hermes_cli.session.turn_loop import schema_faults

    if session.schema is None:
        return None
    found = schema_faults(session.schema, final_text(shown, session))
    if not found:
        return None
    hint = "try again, or use a larger model or a simpler schema"
    if shown.finished.reason == "length":
        full = shown.finished.context_tokens >= session.backend.info.context_length
        hint = f"raise the limit: {'--ctx' if full else '--max-tokens'}"
    return SchemaNotSatisfied(f"the answer does not satisfy the schema: {'; '.join(found)}", hint)


def problem_with_code(shown: ShownAnswer, session: "Session") -> AnswerCut | None:
    """The error for an answer that was cut off before or inside its code block; None if its code is complete."""
    if shown.finished.reason != "length" or (code_blocks(shown.text) and not is_open(shown.text)):
        return None
    full = shown.finished.context_tokens >= session.backend.info.context_length
    return AnswerCut("the code was cut off before its end", f"raise the limit: {'--ctx' if full else '--max-tokens'}")


def tools_failed(shown: ShownAnswer, session: "Session") -> bool:
    """Whether a call failed or was denied, and no later round of calls made up for it."""
    if not session.tools or not shown.tool_results:
        return False
    if shown.finished.reason == "length" and shown.tool_results[-1].error is not None:
        return True  # a call that was cut is not in the messages
    tools, failed = session.tools.toolbox.tools, set[str]()
    for message in session.conversation.turns[-1].messages:
        done = {result.call.name for result in message.tool_results if result.error is None}
        if done:
            # A call that worked makes up for one that could not be parsed or named an unknown tool.
            failed = {name for name in failed - done if name in tools}
        failed |= {result.call.name for result in message.tool_results if result.error is not None}
    return bool(failed)


def code_block(answer: str) -> str:
    """The content of the first fenced code block; without one the whole answer, with a notice."""
    blocks = code_blocks(answer)
    if not blocks:
        console.notice("the answer has no code block; printing all of it")
        return answer
    return blocks[0]
