"""The background parts of a bus: each is started once, when it is first needed."""

import threading

import notify
from notify.directory import upkeep
from notify.directory.monitor import Monitor
from notify.testing import wait_until


def test_one_monitor_is_started_however_many_threads_ask_at_once(server, monkeypatch):
    together = threading.Barrier(8)
    opened = []

    class SlowToStart(Monitor):
        def open(self) -> Monitor:
            opened.append(self)
            wait_until(lambda: together.n_waiting == 0)
            return super().open()

    monkeypatch.setattr(upkeep, "Monitor", SlowToStart)
    with notify.connect(server.url) as bus:

        def ask() -> None:
            together.wait()
            bus.service("s")

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(opened) == 1
