"""A sensor that measures only while a recorder subscribes to its readings, and that greets each recorder.

Two recorders run one after the other. Each subscribes to the readings, and to a direct topic with its own name. Run it:
``python examples/on_demand.py``. It uses the private server, or $NOTIFY_URL.
"""

import threading

import notify

RECORDERS = ("ada", "grace")


def sensor(demand: notify.Demand, bus: notify.Bus) -> None:
    """Send a greeting and a reading to each recorder that joins. End when the last recorder has left."""
    for change in demand:
        if isinstance(change, notify.Left) and change.listeners == 0:
            print("no recorder is left: the sensor stops")
            return
        if isinstance(change, notify.Joined):
            bus.publish(f"direct.{change.name}", {"unit": "°C", "listeners": change.listeners})
            bus.publish("readings", 21.5)


def recorder(url: str | None, name: str) -> None:
    """Receive the greeting and one reading."""
    with notify.connect(url, name=name) as bus, bus.subscribe("readings", f"direct.{name}") as events:
        received = [events.get(timeout_s=10.0) for _ in range(2)]
        topics = {event.topic for event in received if event is not None}
        print(f"{name} received {', '.join(sorted(topics))}")


def main() -> None:
    with notify.connect(name="sensor") as bus, bus.demand("readings") as demand:
        for name in RECORDERS:  # one after the other
            thread = threading.Thread(target=recorder, args=(bus.settings.url, name))
            thread.start()
            sensor(demand, bus)
            thread.join()


if __name__ == "__main__":
    main()
