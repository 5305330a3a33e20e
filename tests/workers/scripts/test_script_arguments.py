"""Each typed method hands its script the KEYS and ARGV in the order that the first lines of the script bind to names."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import notify
from notify.keys import Keys
from tests.support.lua import TAIL, Holding, ScriptCall, lua_files, script_call
from workers import rq_keys
from workers.scripts import ClaimScripts
from workers.scripts.callbacks import MOST, CallbackScripts, OwedCallback
from workers.scripts.dependents import DependentScripts
from workers.scripts.enqueue import EnqueueScripts, NewJob
from workers.scripts.fences import Fences
from workers.scripts.jobs import COMPACT_AT_ONCE, JobScripts
from workers.scripts.lease import LeaseScripts
from workers.scripts.plain import FAILURE_TTL
from workers.scripts.records import COUNT_AT_ONCE, RecordScripts
from workers.scripts.refill import AHEAD_BYTES, RefillCall
from workers.scripts.run import DEFAULT_TIMEOUT_S, Ended, Run
from workers.scripts.runner import KEEP_CANCELLED_MS
from workers.scripts.runs import KEEP_S, RunScripts
from workers.scripts.schedule import LoadedJob, ScheduleScripts

K = Keys("notify")
COMMON = {"NOW_AT": Holding("T"), "BODY": Holding(',"')}
LEASES = {"leases": K.leases, "renewed": K.renewed, "leader": K.leader, "clock": K.clock}
NEW_JOB = NewJob("j", {"origin": "q"}, "new", at_front=True, ttl_s=4, needs='{"svc":0}')
PLAIN_FIELDS = {b"enqueued_at": b"now", b"data": b"[]", b"description": b"f()", b"origin": b"q", b"timeout": b"180"}
PLAIN_JOB = NewJob("j", PLAIN_FIELDS, "new")
TOPIC = K.job_topic("q")
FENCES = Fences()
MAX_BYTES = notify.Settings().max_payload_bytes


def owe(scripts: CallbackScripts) -> None:
    """Have a callback called in a transaction, which gets the text of the script: it cannot load that."""

    def run_eval(_source: str, key_count: int, *values: Any) -> None:
        scripts.run("owe_callback", values[:key_count], values[key_count:], action="")

    owed = OwedCallback(job="j", fence="f", function="m.f", reason="why")
    scripts.owe("q", owed, pipeline=SimpleNamespace(eval=run_eval))


CASES: dict[str, tuple[Callable[[Any], object], dict[str, Any], dict[str, Any]]] = {
    "claim": (
        lambda client: ClaimScripts(client, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500).claim(
            ["rq:queue:q"],
            fence="new",
            ended=Ended(Run("j", "old"), 1.0, 2.5, b"result"),
            again=True,
            line=[Run("i", "f")],
            rooms={"m.f": 2},
        ),
        {"worker_key": rq_keys.worker("w"), "suspended": rq_keys.suspended(), "paused": K.paused, TAIL: ["rq:queue:q"]},
        {
            **COMMON,
            **{"fence": "new", "worker": "w", "asked": "again", "heartbeat_s": 30, "idle_s": 480, "default_timeout_s": DEFAULT_TIMEOUT_S},
            **{"ended_id": "j", "ended_fence": "old", "announced": "1", "started_s": "1.000000", "ended_s": "2.500000"},
            **{
                "started_at": "1970-01-01T00:00:01.000000Z",
                "ended_at": "1970-01-01T00:00:02.500000Z",
                "result": b"result",
                "result_ttl_s": 500,
                "max_bytes": MAX_BYTES,
            },
            **{"skips_foreign": "", "from": 0, "line": "i:f", "rooms": b'{"m.f":2}'},
        },
    ),
    "refill": (
        lambda client: ClaimScripts(client, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500).refill(
            RefillCall(
                ["rq:queue:q"],
                ended=[Ended(Run("j", "old"), 1.0, 2.5, b"result", is_announced=False)],
                line=[Run("i", "f"), Run("h", "e")],
                wanted=5,
                fences=FENCES,
                number=7,
                rooms={"m.f": 2},
                beside=True,
                was_made=True,
            )
        ),
        {"worker_key": rq_keys.worker("w"), "suspended": rq_keys.suspended(), "paused": K.paused, TAIL: ["rq:queue:q"]},
        {
            **{**COMMON, "worker": "w", "asked": "again", "call": FENCES.fence(7), "heartbeat_s": 30, "idle_s": 480},
            **{"default_timeout_s": DEFAULT_TIMEOUT_S, "result_ttl_s": 500, "max_bytes": MAX_BYTES, "most_bytes": AHEAD_BYTES},
            **{"json_only": "", "line": "i:f h:e", "base": FENCES.base, "number": 7, "wanted": 5},
            **{"rooms": b'{"m.f":2}', "beside": "1", "served": "", "counts": "1", "count": 0, "seconds": "0.000000"},
            TAIL: ["j", "old", "", "1.000000", "2.500000", "1970-01-01T00:00:01.000000Z", "1970-01-01T00:00:02.500000Z", b"result"],
        },
    ),
    "giveback": (
        lambda client: ClaimScripts(client, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500).give_back(
            [Run("j", "f"), Run("k", "g")], line=[Run("i", "e")], goes_on=Run("i", "e"), ttl_s=90
        ),
        {"worker_key": rq_keys.worker("w")},
        {**COMMON, "worker": "w", "id": "i", "fence": "e", "ttl_s": 90, "line": "i:e", TAIL: ["j", "f", "k", "g"]},
    ),
    "announce_run": (
        lambda client: RunScripts(client).announce_run("w", Run("j", "f"), ttl_s=90),
        {},
        {**COMMON, "worker": "w", "id": "j", "fence": "f", "ttl_s": 90},
    ),
    "enqueue": (
        lambda client: EnqueueScripts(client)._enqueue("q", [NEW_JOB], again="again"),
        {"queues": rq_keys.QUEUES},
        {
            **{**COMMON, "queue": "q", "asked": "again", "common_count": 0},
            TAIL: ["j", "new", "front", 4000, '{"svc":0}', 2, "origin", "q"],
        },
    ),
    "enqueue_plain": (
        lambda client: EnqueueScripts(client).enqueue("q", [PLAIN_JOB]),
        {
            **{"list": rq_keys.queue("q"), "served": K.served("q"), "tokens": K.wake("q")},
            **{"log": K.log(TOPIC), "head": K.topic(TOPIC)},
        },
        {
            **{"id": "j", "event": Holding('"contents":{"job":"'), "at": b"now", "data": b"[]", "description": b"f()"},
            **{"origin": b"q", "timeout": b"180"},
        },
    ),
    "enqueue_plain_many": (
        lambda client: EnqueueScripts(client).enqueue_many("q", [PLAIN_JOB, PLAIN_JOB]),
        {"queues": rq_keys.QUEUES},
        {
            **{**COMMON, "NOW_AT": Holding("now"), "queue": "q", "timeout": b"180", "failure_ttl": FAILURE_TTL},
            TAIL: ["j", b"[]", b"f()"] * 2,
        },
    ),
    "mark_call": (
        lambda client: ClaimScripts(client, "w", heartbeat_s=30, idle_s=480, result_ttl_s=500).mark_call("j", "pickled"),
        {"job": rq_keys.job("j")},
        {"call": "pickled"},
    ),
    "wake_idle": (
        lambda client: JobScripts(client).wake_idle(["q", "p"], is_leaving=True),
        {},
        {**COMMON, "leaving": "1", TAIL: ["q", "p"]},
    ),
    "check_waiting": (lambda client: EnqueueScripts(client).check_waiting(["j", "i"]), {}, {**COMMON, TAIL: ["j", "i"]}),
    "index_needs": (lambda client: EnqueueScripts(client).index_needs("j"), {}, {**COMMON, "id": "j"}),
    "cancel": (
        lambda client: JobScripts(client).cancel(["j", "i"], reason="why", queue="q", from_list=False),
        {},
        {**COMMON, "reason": "why", "from_list": 0, "queue": "q", TAIL: ["j", "i"]},
    ),
    "apply_loss": (
        lambda client: JobScripts(client).apply_loss("svc", passed=3, count=4),
        {},
        {**COMMON, "need": "svc", "passed": 3, "count": 4},
    ),
    "count_jobs": (
        lambda client: RecordScripts(client).count_jobs("rq:failed:q", first=3),
        {"jobs": "rq:failed:q"},
        {"first": 3, "count": COUNT_AT_ONCE, "prefix": rq_keys.job("")},
    ),
    "delete": (lambda client: RecordScripts(client).delete(["j", "i"]), {}, {**COMMON, TAIL: ["j", "i"]}),
    "report_progress": (
        lambda client: RunScripts(client).report_progress(Run("j", "f"), {"done": 1, "total": 2}),
        {},
        {**COMMON, "id": "j", "fence": "f", "ttl_s": 90, "members": b'"done":1,"total":2'},
    ),
    "publish_event": (
        lambda client: RecordScripts(client).publish_event("q", "j", {"status": "retried", "reason": "why"}, worker="w", seconds=1.5),
        {},
        {
            **COMMON,
            "queue": "q",
            "id": "j",
            "status": "retried",
            "more": b'"reason":"why"',
            "worker": "w",
            "at_ms": "",
            "seconds": "1.500000",
        },
    ),
    "compact_queue": (
        lambda client: JobScripts(client).compact_queue("q"),
        {"queue": rq_keys.queue("q")},
        {"stay": 0, "count": COMPACT_AT_ONCE, "prefix": rq_keys.job("")},
    ),
    "hold_run": (lambda client: JobScripts(client).hold_run("j", fence="f"), {}, {**COMMON, "id": "j", "fence": "f"}),
    "release_held": (
        lambda client: JobScripts(client).release_held("q", "svc", first=8, most=512),
        {},
        {**COMMON, "queue": "q", "need": "svc", "first": 8, "most": 512},
    ),
    "expire_holds": (
        lambda client: JobScripts(client).expire_holds(6),
        {},
        {**COMMON, "count": 6, "before_ms": "", "elapsed_ms": 0},
    ),
    "check_run": (lambda client: JobScripts(client).check_run("j", fence="f"), {}, {**COMMON, "id": "j", "fence": "f"}),
    "check_error": (
        lambda client: JobScripts(client).check_error(
            Run("j", "f"), notify.RequestTimeoutError("late").about("svc", incarnation=2, capabilities=["work"]), heard="5"
        ),
        {},
        {
            **{**COMMON, "id": "j", "fence": "f", "service": "svc", "incarnation": 2, "timed_out": "1", "heard": "5"},
            TAIL: ["svc", "any work"],
        },
    ),
    "stop_run": (
        lambda client: JobScripts(client).stop_run("j", reason="why"),
        {"job": rq_keys.job("j")},
        {"reason": "why", "keep_ms": KEEP_CANCELLED_MS},
    ),
    "seal_run": (lambda client: JobScripts(client).seal_run("j", fence="f"), {"job": rq_keys.job("j")}, {"fence": "f"}),
    "renew_lease": (
        lambda client: LeaseScripts(client).renew_lease("w", birth="then", lease_ms=5, away_ms=6, memory_kib=7, queues=["q"]),
        {**LEASES, TAIL: [K.callbacks("q")]},
        {
            "worker": "w",
            "birth": "then",
            "lease_ms": 5,
            "away_ms": 6,
            "prefix": rq_keys.worker(""),
            "memory_kib": 7,
            "before_ms": "",
            "elapsed_ms": 0,
        },
    ),
    "heartbeat": (
        lambda client: RunScripts(client).heartbeat("w", "q", Run("j", "f"), working_s=1.5, ttl_s=90, worker_ttl_s=91),
        {
            **{"worker_key": rq_keys.worker("w"), "job": rq_keys.job("j"), "execution": rq_keys.execution("j:f")},
            **{"executions": rq_keys.executions("j"), "started": rq_keys.started("q")},
        },
        {
            **{"worker": "w", "id": "j", "fence": "f", "now_at": Holding("T"), "working_s": "1.500000", "ttl_s": 90},
            **{"worker_ttl_s": 91},
        },
    ),
    "keep_runs": (
        lambda client: RunScripts(client).keep_runs("q"),
        {"started": rq_keys.started("q"), "leases": K.leases},
        {"keep_s": KEEP_S},
    ),
    "release_lease": (
        lambda client: LeaseScripts(client).release_lease("w", birth="then"),
        {"leases": K.leases, "leader": K.leader, "cron_workers": K.cron_workers},
        {"worker": "w", "birth": "then", "prefix": rq_keys.worker("")},
    ),
    "await_success": (lambda client: DependentScripts(client).await_success("j"), {"dependents": K.dependents}, {"id": "j"}),
    "cancel_dependents": (
        lambda client: DependentScripts(client).check_all(passed=3, count=4),
        {"dependents": K.dependents},
        {**COMMON, "parent": "", "new": "", "first": 3, "count": 4},
    ),
    "cron_register": (
        lambda client: ScheduleScripts(client).cron_register("w", ["n", "m"], [LoadedJob("n", b"spec", 7)]),
        {"cron": K.cron, "cron_due": K.cron_due, "cron_workers": K.cron_workers},
        {"worker": "w", "names": b'["n","m"]', TAIL: ["n", b"spec", 7]},
    ),
    "cron_due": (
        lambda client: ScheduleScripts(client).cron_due(longest_wait_ms=9),
        {
            **{"cron": K.cron, "cron_due": K.cron_due, "cron_workers": K.cron_workers, "cron_last": K.cron_last, "leases": K.leases},
            **{"clock": K.clock},
        },
        {"longest_wait_ms": 9},
    ),
    "cron_plan": (
        lambda client: ScheduleScripts(client).cron_plan([("n", 7, 6)]),
        {"cron_due": K.cron_due, "clock": K.clock},
        {TAIL: ["n", 7, 6]},
    ),
    "cron_enqueue": (
        lambda client: ScheduleScripts(client).cron_enqueue("n", NEW_JOB, queue="q", due_ms=7, next_ms=8, overlap="queue"),
        {
            **{"cron_due": K.cron_due, "cron_last": K.cron_last, "alarms": K.cron_alarms, "queues": rq_keys.QUEUES},
            **{"list": rq_keys.queue("q"), "workers": rq_keys.workers("q"), "leases": K.leases, "job": rq_keys.job("j")},
            "paused": K.cron_paused,
        },
        {
            **{**COMMON, "name": "n", "due_ms": 7, "next_ms": 8, "id": "j", "queue": "q", "overlap": "queue", "needs": '{"svc":0}'},
            TAIL: ["origin", "q"],
        },
    ),
    "enqueue_due": (
        lambda client: ScheduleScripts(client).enqueue_due("we", lock_ms=5, count=6, longest_wait_ms=7, timeout_s=8),
        {"queues": rq_keys.QUEUES},
        {**COMMON, "scheduler": "we", "lock_ms": 5, "count": 6, "longest_wait_ms": 7, "default_timeout_s": 8},
    ),
    "begin_callback": (lambda client: CallbackScripts(client).begin(Run("j", "f")), {"job": rq_keys.job("j")}, {"fence": "f"}),
    "owe_callback": (
        lambda client: owe(CallbackScripts(client)),
        {"callbacks": K.callbacks("q"), "job": rq_keys.job("j")},
        {"fence": "f", "owed": Holding('"why"'), "most": MOST},
    ),
    "take_callback": (
        lambda client: CallbackScripts(client).take("q", b"owed", "j"),
        {"callbacks": K.callbacks("q"), "job": rq_keys.job("j")},
        {"owed": b"owed"},
    ),
}


@pytest.mark.parametrize("script", CASES)
def test_each_value_has_the_name_that_its_script_binds_it_to(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    call, keys, args = CASES[script]
    assert script_call(monkeypatch, lambda: call(bus.redis)) == ScriptCall(f"workers.scripts.{script}", keys, args)


def test_every_script_has_a_typed_method_in_this_test() -> None:
    scripts = [file.name for file in lua_files() if file.name.startswith("workers.") and not file.is_part]
    assert sorted(f"workers.scripts.{script}" for script in CASES) == scripts
