"""The metrics, scraped over HTTP and read by the parser of prometheus-client."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import notify
from notify.history import History, HistoryReader, Moment
from notify.testing import PrivateServer, wait_until
from tests.support.sample_jobs import add, add_when_svc_is_there, fail
from tests.workers.conftest import StartWorkers
from workers import Queue
from workers.overview.metrics import MetricsServer
from workers.overview.metrics import totals as totals_module
from workers.overview.metrics.totals import Totals

DEPLOY = Path(__file__).parents[4] / "deploy" / "grafana"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def metrics(bus: notify.Bus) -> Iterator[MetricsServer]:
    with MetricsServer(bus) as serving:
        scrape(serving)  # counters begin at the first scrape
        yield serving


def get(serving: MetricsServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{serving.address}{path}", timeout=10) as answer:  # it is our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def scrape(serving: MetricsServer) -> Samples:
    status, text = get(serving, "/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, metric: str, /, **labels: str) -> float | None:
    return samples.get((metric, frozenset(labels.items())))


def test_jobs_workers_and_queues_have_the_names_of_rq_exporter(
    bus: notify.Bus, queue: Queue, start_workers: StartWorkers, metrics: MetricsServer
) -> None:
    pool = start_workers()
    done, failed = queue.enqueue(add), queue.enqueue(fail)
    assert done.wait(15).status == "finished"
    assert failed.wait(15).status == "failed"
    queue.enqueue(add_when_svc_is_there)
    (name,) = pool.names
    wait_until(lambda: value(scrape(metrics), "rq_jobs", queue="work", status="finished") == 1, timeout_s=10)
    # A worker that has another job at once counts the end of this one with its next claim.
    wait_until(lambda: value(scrape(metrics), "rq_workers_success_total", name=name, queues="work") == 1, timeout_s=10)
    wait_until(lambda: value(scrape(metrics), "rq_workers", name=name, state="idle", queues="work") == 1, timeout_s=10)
    samples = scrape(metrics)
    assert value(samples, "rq_workers", name=name, state="idle", queues="work") == 1
    assert value(samples, "rq_workers_success_total", name=name, queues="work") == 1
    assert value(samples, "rq_workers_failed_total", name=name, queues="work") == 1
    assert (value(samples, "rq_workers_working_time_total", name=name, queues="work") or 0) >= 0
    for status, count in {"queued": 0, "started": 0, "finished": 1, "failed": 1, "deferred": 0, "scheduled": 0, "held": 1}.items():
        assert value(samples, "rq_jobs", queue="work", status=status) == count, status
    assert (value(samples, "rq_request_processing_seconds_count") or 0) > 0
    assert value(samples, "notify_held_jobs", queue="work") == 1
    assert value(samples, "notify_queue_latency_seconds", queue="work") == 0
    assert value(samples, "notify_workers", state="idle") == 1
    assert value(samples, "notify_leader") == 1
    assert (value(samples, "notify_lease_age_seconds") or 0) < 10
    assert (value(samples, "notify_leader_age_seconds") or 0) < 10
    assert 0 < (value(samples, "notify_leader_lease_seconds") or 0) <= 60
    path = f"{add.__module__}.add"
    assert value(samples, "notify_jobs_total", queue="work", function=path, event="finished") == 1
    assert value(samples, "notify_job_duration_seconds_count", queue="work", function=path) == 1
    assert value(samples, "notify_job_wait_seconds_count", queue="work", function=path) == 1


def count(bus: notify.Bus, counts: dict[str, int]) -> None:
    """Count in the present minute, as the scripts do."""
    key = bus.keys.history("m", str(int(bus.redis.time()[0]) // 60))
    for field, number in counts.items():
        bus.redis.hincrby(key, field, number)
    bus.redis.expire(key, 3600)


def test_counters_and_histograms_come_from_the_history(bus: notify.Bus, queue: Queue, metrics: MetricsServer) -> None:
    for _ in range(5):
        queue.enqueue(add)
    path = f"{add.__module__}.add"
    count(bus, {f"job started work {path} wait<=0.005": 4, f"job started work {path} wait<=1": 1, f"job wait_us work {path}": 700_000})
    count(bus, {f"job finished work {path} work<=0.05": 5, f"job work_us work {path}": 100_000})
    samples = scrape(metrics)
    labels = {"queue": "work", "function": path}
    assert value(samples, "notify_jobs_total", event="enqueued", **labels) == 5
    assert value(samples, "notify_jobs_total", event="finished", **labels) == 5
    assert value(samples, "notify_job_duration_seconds_count", **labels) == 5
    assert value(samples, "notify_job_duration_seconds_bucket", le="0.025", **labels) == 0
    assert value(samples, "notify_job_duration_seconds_bucket", le="0.05", **labels) == 5
    assert value(samples, "notify_job_duration_seconds_sum", **labels) == pytest.approx(0.1)
    assert value(samples, "notify_job_wait_seconds_bucket", le="0.5", **labels) == 4
    assert value(samples, "notify_job_wait_seconds_bucket", le="+Inf", **labels) == 5
    of_jobs = {key: number for key, number in samples.items() if key[0].startswith("notify_job")}
    assert scrape(metrics).items() >= of_jobs.items(), "nothing counts twice"


def test_the_leader_has_a_lease_and_an_age(bus: notify.Bus, metrics: MetricsServer) -> None:
    samples = scrape(metrics)
    assert (value(samples, "notify_leader"), value(samples, "notify_leader_lease_seconds")) == (0, 0)
    assert value(samples, "notify_leader_age_seconds") is None
    now_s, _ = bus.redis.time()
    bus.redis.set(bus.keys.leader, "w1", px=20_000)
    bus.redis.hset(bus.keys.clock, "cron_ms", (now_s - 90) * 1000)
    bus.redis.expire(bus.keys.clock, 60)
    samples = scrape(metrics)
    assert value(samples, "notify_leader") == 1
    assert 10 < (value(samples, "notify_leader_lease_seconds") or 0) <= 20
    assert 90 <= (value(samples, "notify_leader_age_seconds") or 0) < 100


def test_services_events_requests_and_losses(bus: notify.Bus, queue: Queue, metrics: MetricsServer) -> None:
    class Adder:
        def sum(self, a: int, b: int) -> int:
            return a + b

    with bus.service("svc", exports=Adder()) as service:
        assert bus.call("svc", "sum", 1, 2) == 3
        bus.publish("yard", 1)
        queue.enqueue(add, needs="svc", on_loss="cancel")
        samples = scrape(metrics)
        assert value(samples, "notify_services", state="alive") == 1
        assert value(samples, "notify_services", state="overdue") == 0
        assert value(samples, "notify_events_total", topic="yard") == 1
        assert value(samples, "notify_requests_seconds_count", service="svc", method="sum") == 1
        assert (value(samples, "notify_sweep_age_seconds") or 0) < 30
        service.kill("test")
    count(bus, {"loss cancel svc": 3, "topic gaps yard": 2})
    samples = scrape(metrics)
    assert value(samples, "notify_jobs_lost_total", need="svc", on_loss="cancel") == 3
    assert value(samples, "notify_gaps_total") == 2
    assert value(samples, "notify_withdrawals_total", reason="killed") == 1
    assert value(samples, "notify_services", state="alive") == 0


def test_what_was_before_the_first_scrape_does_not_count(bus: notify.Bus) -> None:
    bus.publish("yard", 1)
    totals = Totals(bus.redis)
    totals.read()
    assert totals.read().moments[0].counts == {}
    bus.publish("yard", 1)
    assert totals.read().moments[0].counts == {("topic", "events", "yard"): 1}
    assert HistoryReader(bus.redis).read(since_s=60).total.counts[("topic", "events", "yard")] == 2


@pytest.mark.parametrize("machine_ahead", [timedelta(hours=-5), timedelta(0), timedelta(hours=5)])
def test_what_a_scrape_missed_counts_by_the_clock_of_the_server(
    bus: notify.Bus, monkeypatch: pytest.MonkeyPatch, machine_ahead: timedelta
) -> None:
    """The reader here stands for a server whose clock is not that of this machine, and on which an event came each minute."""
    at = datetime.now(UTC).replace(second=0, microsecond=0) - machine_ahead
    longest_s = []

    def read(_: HistoryReader, *, since_s: float, step: str = "minute") -> History:
        longest_s.append(since_s)
        minutes = range(-int(since_s) // 60, 1)
        return History("minute", tuple(Moment(at + timedelta(minutes=each), {("topic", "events", "yard"): 1}) for each in minutes))

    monkeypatch.setattr(HistoryReader, "read", read)
    totals = Totals(bus.redis)
    totals.read()
    at += timedelta(minutes=45)
    assert totals.read().moments[0].counts == {("topic", "events", "yard"): 45}
    assert max(longest_s) < 3_600
    at += timedelta(minutes=1)
    assert totals.read().moments[0].counts == {("topic", "events", "yard"): 46}


def test_the_number_of_names_is_bounded(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals_module, "MOST_NAMES", 3)
    totals = Totals(bus.redis)
    totals.read()
    for number in range(10):
        bus.publish(f"topic{number}", 1)
    counts = totals.read().moments[0].counts
    assert len(counts) == 4
    assert counts[("topic", "events", "(other)")] == 7


def test_a_server_that_is_away_shows_as_not_up_and_not_ready(own_server: PrivateServer) -> None:
    with notify.connect(own_server.url) as bus, MetricsServer(bus) as serving:
        assert value(scrape(serving), "notify_up") == 1
        assert get(serving, "/readyz") == (200, "ok\n")
        own_server.kill()
        samples = scrape(serving)
        assert value(samples, "notify_up") == 0
        assert value(samples, "notify_leader") is None
        status, text = get(serving, "/readyz")
        assert (status, "no answer from" in text) == (503, True)
        assert get(serving, "/healthz") == (200, "ok\n")
        own_server.restart()
        wait_until(lambda: value(scrape(serving), "notify_up") == 1, timeout_s=10)


def test_a_process_that_is_not_ready_says_why(bus: notify.Bus) -> None:
    with MetricsServer(bus, not_ready=lambda: "1 of 2 workers hold no lease") as serving:
        assert get(serving, "/readyz") == (503, "1 of 2 workers hold no lease\n")
        assert get(serving, "/nothing")[0] == 404


def test_a_minute_that_begins_between_the_two_reads_of_a_scrape_hides_nothing(bus: notify.Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = datetime(2026, 11, 27, 12, tzinfo=UTC)
    present, counts = 0, {-2: 1}

    def read(_: HistoryReader, *, since_s: float, step: str = "minute") -> History:
        nonlocal present
        minutes = range(present - int(since_s) // 60, present + 1)
        present += 1
        words = ("topic", "events", "yard")
        return History("minute", tuple(Moment(begin + timedelta(minutes=each), {words: counts.get(each, 0)}) for each in minutes))

    monkeypatch.setattr(HistoryReader, "read", read)
    totals = Totals(bus.redis)
    totals.read()
    present, counts = 10, {-2: 3}  # two came after the first scrape into the oldest minute that was open
    assert totals.read().moments[0].counts == {("topic", "events", "yard"): 2}


def test_an_error_that_nobody_expected_is_logged(bus: notify.Bus, caplog: pytest.LogCaptureFixture) -> None:
    def fault() -> str:
        raise ZeroDivisionError

    with MetricsServer(bus, not_ready=fault) as serving, pytest.raises(OSError, match="closed connection"):
        get(serving, "/readyz")
    assert "ZeroDivisionError" in caplog.text


def test_a_port_in_use_is_told(metrics: MetricsServer, bus: notify.Bus) -> None:
    port = int(metrics.address.rpartition(":")[2])
    with pytest.raises(notify.SettingsError, match="choose another port"):
        MetricsServer(bus, port=port).open()


def names_in(tree: object, found: set[str]) -> set[str]:
    """The metrics of a PromQL expression."""
    if isinstance(tree, promql_parser.VectorSelector):
        found.add(tree.name)
    for attribute in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (below := getattr(tree, attribute, None)) is not None:
            names_in(below, found)
    for argument in getattr(tree, "args", None) or ():
        names_in(argument, found)
    return found


def expressions() -> dict[str, str]:
    board = json.loads((DEPLOY / "notify.json").read_text())
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())
    found = {f"panel {panel['title']}": target["expr"] for panel in board["panels"] for target in panel["targets"]}
    return found | {rule["alert"]: rule["expr"] for group in rules["groups"] for rule in group["rules"]}


def test_the_board_and_the_alerts_ask_for_metrics_that_exist(bus: notify.Bus, metrics: MetricsServer) -> None:
    bus.redis.set(bus.keys.renewed, 1, ex=60)
    bus.redis.hset(bus.keys.clock, "cron_ms", 1)
    bus.redis.expire(bus.keys.clock, 60)
    with bus.service("svc"):
        wait_until(lambda: "notify_sweep_age_seconds" in get(metrics, "/metrics")[1])
        _, text = get(metrics, "/metrics")
    families = {family.name: family.type for family in text_string_to_metric_families(text)}
    existing = {name for name, kind in families.items() if kind == "gauge"}
    existing |= {f"{name}_total" for name, kind in families.items() if kind == "counter"}
    existing |= {f"{name}_{part}" for name, kind in families.items() if kind == "histogram" for part in ("bucket", "sum", "count")}
    for where, expression in expressions().items():
        tree = promql_parser.parse(expression.replace("$__rate_interval", "5m"))
        names = names_in(tree, set())
        assert names, where
        assert names <= existing, where


def test_each_alert_says_what_to_do_and_each_panel_has_a_place() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
    assert all(rule["annotations"]["summary"] and rule["annotations"]["description"] and rule["labels"]["severity"] for rule in rules)
    panels = json.loads((DEPLOY / "notify.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
