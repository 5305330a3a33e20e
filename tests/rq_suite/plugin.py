"""A plugin for pytest that runs RQ's tests with our worker in place of RQ's, on a private server."""

import multiprocessing
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import adapted
import pytest
import redis
import rq
from deviations import deviations, left_out

from notify.testing import private_server

HANGS_AFTER_S = 8
MAJOR = int(rq.VERSION.partition(".")[0])

_server = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None):
        return  # each process of xdist has its own server, and this one runs no test
    with ExitStack() as stack:
        server = stack.enter_context(private_server())
        port = _open_port(server.url)
        config.stash[_server] = stack.pop_all()
    adapted.connect_to(port)
    multiprocessing.set_start_method("fork", force=True)  # a spawned process would not be adapted
    os.environ.update(
        {
            adapted.PORT_VARIABLE: str(port),
            "RQ_WORKER_CLASS": "adapted.Worker",
            "RUN_SLOW_TESTS_TOO": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",  # RQ's tests start its programs
        }
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    if _server in config.stash:
        config.stash[_server].close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Expect the listed tests to fail, and no others. A listed test that passes is an error: take it off the list."""
    adapted.adapt(sys.modules)
    names = {item.nodeid.removeprefix("tests/"): item for item in items}
    for name, why in deviations(MAJOR).items():
        if name in names:
            names[name].add_marker(pytest.mark.xfail(reason=why, strict=True))
            names[name].add_marker(pytest.mark.timeout(HANGS_AFTER_S))
    out = tuple(left_out(MAJOR))
    config.hook.pytest_deselected(items=[item for name, item in names.items() if name.startswith(out)])
    items[:] = [item for name, item in names.items() if not name.startswith(out)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    before = adapted.Worker.made
    try:
        return (yield)
    finally:
        if adapted.Worker.made > before:
            item.user_properties.append(("ours", True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for outcome in ("passed", "xfailed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    ours = sum(("ours", True) in report.user_properties for report in reports)
    terminalreporter.write_line(f"{ours} of {len(reports)} tests made a worker of ours in their own process")


def _open_port(url: str) -> int:
    """Make a server that listens on a socket file listen on a local port as well. Returns the port."""
    with redis.Redis.from_url(url) as client:
        client.config_set("bind", "127.0.0.1")
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            try:
                client.config_set("port", port)
            except redis.ResponseError:
                continue  # another process took the port
            return port
