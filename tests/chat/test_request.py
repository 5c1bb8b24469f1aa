"""The token that cancels a generation: from any thread, once, and also before the generation starts."""

import pytest

from hermes_cli.chat.request import CancelToken


def test_new_token_is_not_cancelled() -> None:
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


def test_earlier_cancel_is_reported_at_once() -> None:
    token, calls = CancelToken(), list[str]()
    token.cancel("interrupt")
    with token.calling(lambda: calls.append("stop")):
        assert calls == ["stop"]


def test_after_the_block_nothing_is_called_even_if_it_failed() -> None:
    token, calls = CancelToken(), list[str]()
    with pytest.raises(ZeroDivisionError), token.calling(lambda: calls.append("stop")):
        _ = 1 // 0
    token.cancel("interrupt")
    assert calls == []


def test_every_callback_is_called() -> None:
    token, calls = CancelToken(), list[str]()
    with token.calling(lambda: calls.append("inner")), token.calling(lambda: calls.append("outer")):
        token.cancel("interrupt")
    assert sorted(calls) == ["inner", "outer"]
