"""A sensor that measures only while a recorder listens, and sends a direct report to each recorder that joins.

Two recorders come and go. Each listens to the readings, and on a direct channel under its own name. Run it:
``python examples/on_demand.py``. It uses the private server, or $NOTIFY_URL.
"""

import threading

import notify

RECORDERS = ("ada", "grace")


def sensor(demand: notify.Demand, bus: notify.Bus) -> None:
    """Greet each recorder that joins; measure while there is one; end when the last one has left."""
    for change in demand:
        if isinstance(change, notify.Left) and change.listeners == 0:
            print("nobody listens: the sensor rests")
            return
        if isinstance(change, notify.Joined):
            bus.publish(f"direct.{change.name}", {"unit": "°C", "listeners": change.listeners})
            bus.publish("readings", 21.5)


def recorder(url: str | None, name: str) -> None:
    """Stay for the greeting and one reading."""
    with notify.connect(url, name=name) as bus, bus.subscribe("readings", f"direct.{name}") as events:
        two = [events.get(timeout_s=10.0) for _ in range(2)]
        heard = {event.topic for event in two if event is not None}
        print(f"{name} heard {', '.join(sorted(heard))}")


def main() -> None:
    with notify.connect(name="sensor") as bus, bus.demand("readings") as demand:
        for name in RECORDERS:  # one after the other
            coming = threading.Thread(target=recorder, args=(bus.settings.url, name))
            coming.start()
            sensor(demand, bus)
            coming.join()


if __name__ == "__main__":
    main()
