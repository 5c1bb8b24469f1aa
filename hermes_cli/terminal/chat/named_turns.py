"""How turns are named in notices."""

from hermes_cli.chat.conversation import Turn
from hermes_cli.session.session import Session
from hermes_cli.terminal.answer.turn_view import thousands
from hermes_cli.terminal.chat.texts import excerpt, runs


def named(session: Session, turns: tuple[Turn, ...]) -> str:
    """Which turns: `turns 2-5 (1.9k tok, "csv parser...")`."""
    ids = {turn.id for turn in turns}
    numbers = [number for number, turn in enumerate(session.conversation.turns, 1) if turn.id in ids]
    span = f"turn {numbers[0]}" if len(numbers) == 1 else f"turns {runs(numbers)}"
    tokens = sum(session.turn_tokens(turn) for turn in turns)
    return f'{span} ({thousands(tokens)} tok, "{excerpt(turns[0].question)}")'
