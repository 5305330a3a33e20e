"""An inbox of a horse in this process, and the worker's ends of what leads to it."""

import socket

from workers.horse import Inbox, Task
from workers.horse.bell import Bell
from workers.horse.board import Board
from workers.horse.channel import Channel
from workers.horse.tokens import Tokens


class InboxDesk:
    """The ends of a worker and of its horse, over a pair of sockets that belongs to the caller."""

    def __init__(self, worker: socket.socket, horse: socket.socket) -> None:
        self.channel, self.tokens, self.bell, self.board = Channel(worker), Tokens(), Bell(), Board()
        self.tokens.open()
        self.bell.open()
        self.inbox = Inbox(Channel(horse), self.tokens, self.bell, self.board)

    def send(self, *tasks: Task) -> None:
        """Send tasks, each with its token."""
        self.channel.send(*tasks)
        self.tokens.give(*(task.number for task in tasks))
