"""The lab as a flow: a thermometer publishes what has changed enough, and a recorder, which needs the storage, logs it there."""

import threading

import notify
from notify.flows import FlowProgram, changed_by, contents, pipeline, publish_to, subscribe_to

READINGS = (20.0, 21.0, 27.5, 28.0, 19.5)


def main() -> None:
    with notify.connect() as bus, bus.service("storage") as storage:
        is_last = threading.Event()

        def log(celsius: float) -> None:
            storage.state.append("log", celsius)
            if celsius == READINGS[-1]:
                is_last.set()

        recorder = FlowProgram(bus, pipeline(subscribe_to(bus, "temperature"), contents, log, name="recorder"), needs=["storage"])
        dispatcher = notify.Dispatcher(recorder)
        running = threading.Thread(target=dispatcher.run)
        running.start()
        bus.directory.wait_for("recorder", timeout_s=20)
        pipeline(READINGS, changed_by(5), publish_to(bus, "temperature"), name="thermometer").run()
        is_last.wait(20)
        dispatcher.shutdown()
        running.join()
        print("logged", storage.state["log"])


if __name__ == "__main__":
    main()
