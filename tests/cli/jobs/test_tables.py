"""``notify queues`` and ``notify jobs`` on terminals of 80 and 120 columns, in a pipe, and under ``watch``."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

import notify
from cli.app import app
from cli.jobs.listing import SHOWN_JOB_COLUMNS, SPARE_JOB_COLUMNS, advice
from cli.jobs.queue_list import SHOWN_QUEUE_COLUMNS, SPARE_QUEUE_COLUMNS
from cli.jobs.select import filter_of
from cli.output.tables import grid
from notify.testing import PrivateServer
from tests.cli.conftest import Shell
from tests.support.commands import NOTIFY, on_terminal
from tests.support.sample_jobs import add, add_with_svc
from workers import Queue

NONE_OF_RQ_3 = {"paused": "", "ready_to_enqueue": 0, "rate_limited": 0}
QUEUES: list[dict[str, Any]] = [
    {
        **{
            "queue": "orders.europe.invoices",
            "queued": 12345,
            "latency": "12m",
            "started": 8,
            "held": 210,
            "deferred": 3,
            "scheduled": 44,
            **NONE_OF_RQ_3,
        },
        **{"failed": 17, "stopped": 2, "canceled": 1400, "finished": 98765, "workers": 8},
    },
    {
        **{"queue": "mail", "queued": 0, "latency": "", "started": 0, "held": 0, "deferred": 0, "scheduled": 0, **NONE_OF_RQ_3},
        **{"failed": 0, "stopped": 0, "canceled": 0, "finished": 3, "workers": 2},
    },
]
JOBS: list[dict[str, Any]] = [
    {
        **{"id": "8c0d1f2e-5f0b-4f43-9f0f-3a3f6a1f7c55", "status": "failed", "age": "12m", "queue": "orders", "worker": "w1"},
        **{
            "function": "shop.orders.invoices.print_one",
            "why": "ValueError: no such customer: 4711",
            "needs": ["printer"],
            "runtime": "0.3s",
        },
    },
    {
        **{"id": "0b6e7a70-19d8-46c5-a7a6-d6e8bd4b9d11", "status": "queued", "age": "4.0s", "queue": "orders", "worker": ""},
        **{"function": "shop.orders.place", "why": "", "needs": [], "runtime": ""},
    },
]


QUEUES_AT_80 = """\
queue         queued  latency  started  held  failed  stopped  canceled  workers
orders.europ  12345   12m      8        210   17      2        1400      8
e.invoices
mail          0                0        0     0       0        0         2
no room for deferred, scheduled, finished: widen the terminal, or use --json"""
QUEUES_AT_120 = """\
queue                  queued  latency  started  held  deferred  scheduled  failed  stopped  canceled  finished  workers
orders.europe.invoice  12345   12m      8        210   3         44         17      2        1400      98765     8
s
mail                   0                0        0     0         0          0       0        0         3         2"""
JOBS_AT_80 = """\
id                                    status  age   function      why
8c0d1f2e-5f0b-4f43-9f0f-3a3f6a1f7c55  failed  12m   shop.orders.  ValueError: no
                                                    invoices.pri  such customer:
                                                    nt_one        4711
0b6e7a70-19d8-46c5-a7a6-d6e8bd4b9d11  queued  4.0s  shop.orders.
                                                    place
no room for queue, needs, runtime, worker: widen the terminal, or use --json"""
JOBS_AT_120 = """\
id                                    status  age   queue   function          why               needs    runtime  worker
8c0d1f2e-5f0b-4f43-9f0f-3a3f6a1f7c55  failed  12m   orders  shop.orders.invo  ValueError: no    printer  0.3s     w1
                                                            ices.print_one    such customer:
                                                                              4711
0b6e7a70-19d8-46c5-a7a6-d6e8bd4b9d11  queued  4.0s  orders  shop.orders.plac
                                                            e"""


def rendered(columns: tuple[str, ...], rows: list[dict[str, Any]], *, width: int, spare: tuple[str, ...]) -> str:
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(grid(columns, rows, width=width, spare=spare))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


@pytest.mark.parametrize(("width", "expected"), [(80, QUEUES_AT_80), (120, QUEUES_AT_120)])
def test_queues_show_all_that_matters(width: int, expected: str) -> None:
    assert rendered(SHOWN_QUEUE_COLUMNS, QUEUES, width=width, spare=SPARE_QUEUE_COLUMNS) == expected


@pytest.mark.parametrize(("width", "expected"), [(80, JOBS_AT_80), (120, JOBS_AT_120)])
def test_jobs_show_all_that_matters(width: int, expected: str) -> None:
    assert rendered(SHOWN_JOB_COLUMNS, JOBS, width=width, spare=SPARE_JOB_COLUMNS) == expected


def test_columns_without_any_value_give_way_first_and_are_not_missed() -> None:
    shown = rendered(SHOWN_JOB_COLUMNS, JOBS[1:], width=80, spare=SPARE_JOB_COLUMNS)
    assert shown.splitlines()[0].split() == ["id", "status", "age", "queue", "function", "why"]
    assert "no room" not in shown


@pytest.mark.parametrize("width", [1, 10, 39])
def test_on_a_very_narrow_terminal_a_column_is_left(width: int) -> None:
    assert rendered(SHOWN_QUEUE_COLUMNS, QUEUES, width=width, spare=SPARE_QUEUE_COLUMNS)


@pytest.mark.parametrize("command", ["queues", "jobs"])
@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_terminal(shell: Shell, bus: notify.Bus, command: str, columns: int) -> None:
    queue = Queue("orders.europe.invoices.of.this.year", connection=bus.redis)
    for _ in range(2):
        queue.enqueue(add_with_svc)
        queue.enqueue(add)
    code, shown = shell.show(command, columns=columns)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    assert code == 0
    assert plain[0].split()[0] in ("queue", "id")
    assert max(map(len, plain)) <= columns


def test_a_pipe_gets_lines_with_tabs_and_a_header_if_it_is_asked_for(shell: Shell, bus: notify.Bus) -> None:
    Queue("work", connection=bus.redis).enqueue(add)
    sized = {"COLUMNS": "80", "LINES": "24"}  # other programs than watch export these, too
    plain = shell.run("queues", **sized)
    with_header = shell.run("queues", "--header")
    assert plain.lines[0].split("\t")[:2] == ["work", "1"]
    assert with_header.lines[0].split("\t")[:3] == ["queue", "queued", "latency_s"]
    assert len(with_header.lines) == len(plain.lines) + 1
    assert "queued" not in shell.show("queues", "--no-header")[1]


@pytest.mark.skipif(shutil.which("watch") is None, reason="needs watch, of procps")
def test_under_watch_there_is_a_table_with_a_header(shell: Shell, bus: notify.Bus) -> None:
    """It ends by itself, when the latency has changed (-g)."""
    Queue("work", connection=bus.redis).enqueue(add)
    command = ["watch", "-t", "-g", "-n", "0.1", *NOTIFY, "queues"]
    code, shown = on_terminal(command, environ=shell.environ, cwd=Path(shell.folder), columns=80)
    assert code == 0
    assert re.search(r"queue +queued +latency +started +held", shown)


def test_tabs_line_breaks_and_control_characters_in_a_cell_are_escaped(server: PrivateServer, bus: notify.Bus) -> None:
    job = Queue("work", connection=bus.redis).enqueue(add, needs="nobody")
    bus.redis.hset(job.key, "outcome", '{"status": "cancelled", "reason": "a\\u001b[31m\\tb\\nc"}')
    done = CliRunner().invoke(app, ["jobs", "--url", server.url])
    assert done.exit_code == 0
    assert done.stdout.count("\n") == 1
    assert r"a\x1b[31m\tb\nc" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--sort", "size"], 2, "the order is 'size'"),
        (["--sort", ""], 2, "choose one of age"),
        (["--sort", "queued", "--reverse"], 2, "leave one of them out"),
        (["--since", "soon"], 2, "is no time"),
        (["--since", ""], 2, "is no time"),
        (["--since", "99999999999999w"], 2, "is no time"),
        (["--function", ""], 2, "function is empty"),
        (["--limit", "0"], 2, "--limit"),
        (["--sort", "age", "--function", "nope"], 0, ""),
        (["--sort", "queued"], 0, ""),
        (["--since", "2026-01-01"], 0, ""),
        (["--since", "1.5 h"], 0, ""),
    ],
)
def test_what_is_wrong_about_a_list_is_told(server: PrivateServer, bus: notify.Bus, arguments: list[str], code: int, said: str) -> None:
    Queue("work", connection=bus.redis).enqueue(add)
    done = CliRunner().invoke(app, ["jobs", "--url", server.url, *arguments])
    assert done.exit_code == code, done.output
    assert said in re.sub(r"[│\s]+", " ", done.stderr)
    assert "Traceback" not in done.stderr


def test_jobs_of_a_function_and_a_time_are_listed_newest_first(server: PrivateServer, bus: notify.Bus) -> None:
    queue = Queue("work", connection=bus.redis)
    made = [queue.enqueue(function).id for function in (add, add_with_svc, add)]

    def listed(*arguments: str) -> list[str]:
        return [line.split("\t")[0] for line in CliRunner().invoke(app, ["jobs", "--url", server.url, *arguments]).stdout.splitlines()]

    assert listed() == made[::-1]
    assert listed("--reverse") == made
    assert listed("--function", "add") == [made[2], made[0]]
    assert listed("--since", "1h", "--status", "queued", "--limit", "1") == [made[2]]
    assert listed("--sort", "queued", "--status", "queued") == [made[0], made[2]]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "narrow it by --queue or --status, or raise --limit"),
        ({"queue": "mail"}, "narrow it by --status, or raise --limit"),
        ({"queue": "mail", "status": "failed"}, "raise --limit to look at more"),
    ],
    ids=str,
)
def test_a_list_that_is_cut_off_advises_only_what_was_not_given(given: dict[str, str], words: str) -> None:
    assert advice(filter_of(**given)) == words
