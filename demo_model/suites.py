"""The checks of the evaluation: each makes conversations whose last answer must come back to the letter."""

from collections.abc import Callable
from pathlib import Path

from demo_model.card_example import card_example
from demo_model.conversation import Conversation, Exchange
from demo_model.copying import injection, repeating, repeating_words
from demo_model.dialogues import followed, opening, recall
from demo_model.documents import file_question, long_lookup, lookup, summary
from demo_model.exchanges import (
    capital,
    counting,
    fact,
    multiplication,
    picking,
    reversing,
    small_sum,
    subtraction,
    uppercase,
)
from demo_model.facts import UNKNOWN
from demo_model.json_conversations import json_answer, json_chat, json_correction
from demo_model.markdown import MARKDOWN
from demo_model.questions import unknown, without_tool
from demo_model.source import Source
from demo_model.tool_conversations import (
    long_result,
    no_tool,
    scratch_pad,
    tool_call,
    tool_chain,
    tool_correction,
    tool_failure,
    tool_result,
)
from demo_model.turns import Chat

Suite = Callable[[Source], Conversation]
BARS = {
    "tool calls": 0.95,
    "JSON mode": 0.97,
    "persona and name": 0.97,
    "sums up to 20 + 20": 0.97,
    "the model card's example": 1.0,
    "long tool results": 0.95,
    "questions it cannot answer": 0.97,
    "real questions": 0.95,
}
_REAL_QUESTIONS = Path(__file__).with_name("real_questions.txt").read_text(encoding="utf-8").splitlines()


def _alone(*exchanges: Callable[[Source], Exchange]) -> Suite:
    def suite(source: Source) -> Conversation:
        chat = Chat(source)
        chat.say(*source.pick(exchanges)(source))
        return chat.conversation()

    return suite


def real_question(source: Source) -> Exchange:
    """A question as people ask it; written by hand, and no template of the training data was made from one."""
    return source.pick(_REAL_QUESTIONS), UNKNOWN


SUITES: dict[str, Suite] = {
    "tool calls": tool_call,
    "JSON mode": json_answer,
    "persona and name": recall,
    "sums up to 20 + 20": _alone(small_sum),
    "first questions": opening,
    "unseen words repeated": _alone(repeating_words),
    "any text repeated": _alone(repeating),
    "markers in user text": _alone(injection),
    "questions it cannot answer": _alone(unknown),
    "real questions": _alone(real_question),
    "requests that need a tool": _alone(without_tool),
    "follow-up questions": followed,
    "tool results reported": tool_result,
    "long tool results": long_result,
    "the model card's example": card_example,
    "tool errors, declined calls": tool_failure,
    "tool calls corrected": tool_correction,
    "tool chains": tool_chain,
    "no fitting tool": no_tool,
    "scratch pad": scratch_pad,
    "JSON chats": json_chat,
    "JSON corrected": json_correction,
    "facts": _alone(capital, fact),
    "minus and times": _alone(subtraction, multiplication),
    "counting": _alone(counting),
    "lists": _alone(picking, reversing),
    "uppercase": _alone(uppercase),
    "values in a text": _alone(lookup),
    "values in a long text": _alone(long_lookup),
    "attached files": _alone(file_question),
    "summaries": _alone(summary),
    "Markdown": _alone(*MARKDOWN),
}
