"""The token that stops a generation: once, from anywhere, also before there is anything to stop."""

import pytest

from hermes_cli.chat.request import CancelToken


def test_a_token_is_not_cancelled_until_somebody_does_it() -> None:
    token = CancelToken()
    assert not token.cancelled
    token.cancel("timeout")
    assert (token.cancelled, token.reason) == (True, "timeout")


def test_the_first_reason_stays_and_calls_only_once() -> None:
    token, calls = CancelToken(), list[str]()
    with token.calling(lambda: calls.append("stop")):
        token.cancel("interrupt")
        token.cancel("timeout")
    assert (token.reason, calls) == ("interrupt", ["stop"])


def test_a_cancel_that_came_before_is_reported_at_once() -> None:
    token, calls = CancelToken(), list[str]()
    token.cancel("interrupt")
    with token.calling(lambda: calls.append("stop")):
        assert calls == ["stop"]


def test_after_the_block_no_one_is_called_even_if_it_failed() -> None:
    token, calls = CancelToken(), list[str]()
    with pytest.raises(ZeroDivisionError), token.calling(lambda: calls.append("stop")):
        _ = 1 // 0
    token.cancel("interrupt")
    assert calls == []


def test_everybody_who_asked_is_called() -> None:
    token, calls = CancelToken(), list[str]()
    with token.calling(lambda: calls.append("inner")), token.calling(lambda: calls.append("outer")):
        token.cancel("interrupt")
    assert sorted(calls) == ["inner", "outer"]
