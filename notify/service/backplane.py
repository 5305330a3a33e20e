"""A backplane: a topic with an owner. While its owner has it open, publishers and subscribers come and go."""

from notify.directory import Directory, ServiceChange, read_change
from notify.events import Event, EventBus, Gap
from notify.keys import SERVICES_TOPIC
from notify.service.service import Service

__all__ = ["Backplane"]


class Backplane:
    """A topic that one process holds open under an exclusive name. Made by `Bus.backplane`.

    ::

        with bus.backplane("readings"):        # the owner
            ...

        pipeline(source, publish_to(bus.backplane("readings"))).run()        # in any process
        pipeline(subscribe_to(bus.backplane("readings")), sink).run()        # ends when the owner closes it, or is killed

    Publishers and subscribers need not wait for the owner. Their end is that of nobody else.

    Args:
        bus: the bus to publish and subscribe on; events need no other part of it.
        service: the service that holds the name while the backplane is open.
        directory: the directory, in which the service is registered.
    """

    def __init__(self, bus: EventBus, service: Service, directory: Directory) -> None:
        self.bus = bus
        self.topic = service.name
        """The topic, which is also the name."""
        self._service, self._directory = service, directory

    @property
    def is_open(self) -> bool:
        """Whether a process holds it open."""
        return self._directory.is_taken(self.topic)

    def open(self) -> "Backplane":
        """Hold it open from now on.

        Raises:
            ServiceNameTakenError: it is open already, here or in another process.
            ClosedError: this object was opened before.
            ServerError: the server did not answer, or refused.
        """
        self._service.open()
        return self

    def close(self) -> bool:
        """End it, and with it its subscribers, after they got all events. Returns ``False`` if it has ended already."""
        return self._service.close()

    def was_closed(self, item: Event | Gap) -> bool:
        """Return whether an event on the topic ``services``, or a gap there, says that the backplane was closed."""
        if item.topic != SERVICES_TOPIC:
            return False
        if isinstance(item, Gap):
            return not self.is_open
        change = read_change(item.contents)
        return isinstance(change, ServiceChange) and change.change == "withdrawn" and change.service == self.topic

    def __enter__(self) -> "Backplane":
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Backplane {self.topic!r}>"
