"""``notify metrics``, ``--metrics-port`` and ``notify healthcheck``."""

import signal
import socket
import urllib.request
from contextlib import closing

import pytest

import notify
from notify.testing import wait_until
from tests.cli.conftest import Shell

pytestmark = pytest.mark.any_server


def free_port() -> int:
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def get(port: int, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:  # it is our own server
            return str(answer.read().decode())
    except OSError:
        return ""


def test_metrics_are_served_until_ctrl_c(shell: Shell, bus: notify.Bus) -> None:
    port = free_port()
    serving = shell.start("metrics", "--port", str(port))
    assert "notify_up 1.0" in wait_until(lambda: get(port, "/metrics"), timeout_s=20)
    serving.interrupt()
    done = serving.end()
    assert (done.code, f"http://127.0.0.1:{port}/metrics" in done.err) == (130, True)


def test_a_worker_serves_them_beside_its_jobs_and_is_ready_with_its_leases(shell: Shell, bus: notify.Bus) -> None:
    port = free_port()
    worker = shell.start("worker", "yard", "--number", "2", "--metrics-port", f"127.0.0.1:{port}")
    wait_until(lambda: get(port, "/readyz") == "ok\n", timeout_s=30)
    wait_until(lambda: 'notify_workers{state="idle"} 2.0' in get(port, "/metrics"), timeout_s=20)
    assert shell.run("healthcheck", "worker").code == 0
    worker.interrupt()
    assert worker.end().code == 130
    done = shell.run("healthcheck", "worker")
    assert (done.code, "no worker holds a lease on" in done.err) == (1, True)


def test_a_service_and_a_monitor_serve_them_too(shell: Shell, bus: notify.Bus) -> None:
    storage_port, monitor_port = free_port(), free_port()
    storage = shell.start("serve", "storage", "--metrics-port", str(storage_port))
    monitor = shell.start("monitor", "--metrics-port", str(monitor_port))
    for port in (storage_port, monitor_port):
        wait_until(lambda port=port: 'notify_services{state="alive"} 1.0' in get(port, "/metrics"), timeout_s=30)
    assert shell.run("healthcheck", "service", "storage").code == 0
    assert shell.run("healthcheck", "service", "nobody").code == 1
    for command in (storage, monitor):
        command.interrupt()
        assert command.end().code == 130


def test_a_flow_serves_them_while_it_runs(shell: Shell, bus: notify.Bus) -> None:
    port = free_port()
    nodes = 'in = { kind = "subscribe", topics = ["t"] }\nout = { kind = "print" }'
    (shell.folder / "relay.toml").write_text(f'name = "relay"\n[nodes]\n{nodes}\n[links]\nin = "out"\n[service]\nprovides = ["relays"]\n')
    running = shell.start("flow", "run", "relay.toml", "--metrics-port", str(port))
    running.said("running the flow relay")
    assert 'notify_services{state="alive"} 1.0' in get(port, "/metrics")
    running.signal(signal.SIGTERM)
    assert running.end().code == 0
    assert get(port, "/metrics") == ""


@pytest.mark.parametrize(("address", "said"), [("nine", "is no address for metrics"), ("99999", "is no address for metrics")])
def test_an_address_that_is_none_is_wrong_usage(shell: Shell, bus: notify.Bus, address: str, said: str) -> None:
    done = shell.run("monitor", "--metrics-port", address)
    assert (done.code, said in done.err) == (2, True)


def test_without_the_extra_one_line_says_which(shell: Shell, bus: notify.Bus) -> None:
    (shell.folder / "sitecustomize.py").write_text("import sys\nsys.modules['prometheus_client'] = None\n")
    done = shell.run("metrics", "--port", "0", PYTHONPATH=str(shell.folder))
    assert (done.code, done.err.splitlines()) == (2, ["notify: metrics need prometheus-client: pip install 'notify-workers[metrics]'"])
