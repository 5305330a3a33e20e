"""Tokens: each is taken by the horse or taken back by the worker, never both."""

import os
import select
import threading
from collections.abc import Iterator

import pytest

from workers.horse.tokens import NUMBERS, Tokens

pytestmark = pytest.mark.any_server


@pytest.fixture
def tokens() -> Iterator[Tokens]:
    made = Tokens()
    made.open()
    yield made
    made.close()


def test_they_are_taken_in_the_order_in_which_they_are_given(tokens: Tokens) -> None:
    large = NUMBERS + 300
    tokens.give(7, 8, large)
    taken = [tokens.take() for _ in range(4)]
    assert taken == [7, 8, large % NUMBERS, None]
    assert Tokens.is_of(300, large)
    assert not Tokens.is_of(300, large + 1)


def test_a_look_leaves_the_token_where_it_is(tokens: Tokens) -> None:
    tokens.give(7, 8)
    assert [tokens.look(), tokens.look(), tokens.take(), tokens.take_back(), tokens.look()] == [7, 7, 7, 1, None]


def test_what_is_taken_back_are_the_last_ones(tokens: Tokens) -> None:
    tokens.give(*range(32))
    assert [tokens.take() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert tokens.take_back() == 27
    assert (tokens.take(), tokens.take_back()) == (None, 0)


def test_no_token_is_taken_twice_or_lost_among_two_processes(tokens: Tokens) -> None:
    """The horse takes as fast as it can, and the worker takes back and gives again meanwhile."""
    rounds, each = 300, 8
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        taken = 0
        while taken < 256:  # at last the worker gives enough
            taken += tokens.take() is not None
            os.write(told, b"." if taken == 256 else b"")
        os._exit(0)
    given = back = 0
    for number in range(rounds):
        tokens.give(*range(number, number + each))
        given += each
        back += tokens.take_back()
    tokens.give(*[0] * max(0, 256 - (given - back)))
    readable, _, _ = select.select([heard], [], [], 10)
    _, status = os.waitpid(pid, os.WNOHANG if not readable else 0)
    os.close(heard)
    os.close(told)
    assert readable, f"tokens were lost: {given} given, {back} taken back"
    assert status == 0


def test_they_wake_a_poll(tokens: Tokens) -> None:
    poll = select.poll()
    poll.register(tokens, select.POLLIN)
    assert poll.poll(0) == []
    threading.Timer(0.01, tokens.give, (1,)).start()
    assert poll.poll(5_000)


def test_closed_tokens_give_and_take_nothing() -> None:
    tokens = Tokens()
    tokens.give(1)
    assert (tokens.take(), tokens.take_back(), tokens.fileno()) == (None, 0, -1)
