"""The board, which processes share and which outlives them."""

import os

import pytest

from workers.horse.board import Board

pytestmark = pytest.mark.any_server


def test_it_holds_what_a_process_wrote_that_is_dead() -> None:
    board = Board()
    assert (board.begun, board.rings_always) == (0, False)
    pid = os.fork()
    if pid == 0:
        board.begun = 2**40 + 3
        board.rings_always = True
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    assert (board.begun, board.rings_always) == (2**40 + 3, True)
    board.rings_always = False
    assert (board.begun, board.rings_always) == (2**40 + 3, False)
