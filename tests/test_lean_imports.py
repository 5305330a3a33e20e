"""The processes of Notify import redis-py and RQ without what only other programs need: asyncio, OpenTelemetry, metadata, HTTP."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import notify
from notify.testing import PrivateServer
from workers import Queue

pytestmark = pytest.mark.any_server

LEAN = "import notify_workers; notify_workers._secure()\n"
SHOW = "import json, sys; print(json.dumps(sorted(sys.modules)))"
HEAVY = ("redis.asyncio", "opentelemetry", "importlib.metadata", "urllib.request", "http", "email")
COUNTED = """
import sys
import redis
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from redis.observability import OTelConfig, get_observability_instance
from redis.observability.config import MetricGroup

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
get_observability_instance().init(OTelConfig(metric_groups=[MetricGroup.COMMAND]))
redis.Redis.from_url(sys.argv[1]).ping()
print(reader.get_metrics_data().to_json())
"""
CALLED = """
import sys, threading
from rq.webhook import Webhook
assert not {"urllib.request", "http.client"} & set(sys.modules)
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        paths.append(self.path)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

paths = []
with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.handle_request, daemon=True).start()
    Webhook(f"http://127.0.0.1:{server.server_port}/told", "finished").send(None)
print(paths == ["/told"])
"""
JOBS = """
import sys
from workers import job

@job("yard")
def modules() -> list[str]:
    return sorted(sys.modules)
"""


def run(program: str, *arguments: str, path: Path | None = None) -> str:
    """What a program prints in a process of its own."""
    environ = {} if path is None else {"PYTHONPATH": str(path)}
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=30, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def heavy_of(modules: list[str]) -> set[str]:
    return {heavy for heavy in HEAVY if any(f"{name}.".startswith(f"{heavy}.") for name in modules)}


@pytest.mark.parametrize("module", ["notify", "cli.services", "workers", "workers.worker"])
def test_nothing_that_only_other_programs_need_is_imported(module: str) -> None:
    assert heavy_of(json.loads(run(f"{LEAN}import {module}\n{SHOW}"))) == set()


def test_twin_redis_py_and_rq_alone_import_all_of_it() -> None:
    assert heavy_of(json.loads(run(f"import redis, rq\n{SHOW}"))) == set(HEAVY)


def test_a_worker_has_opentelemetry_only_if_its_modules_import_it(bus: notify.Bus, tmp_path: Path) -> None:
    (tmp_path / "yard_jobs.py").write_text(JOBS)
    (tmp_path / "traced_yard_jobs.py").write_text("import opentelemetry.sdk.trace\n" + JOBS)
    found = []
    for name in ("yard_jobs", "traced_yard_jobs"):
        job = Queue("yard", connection=bus.redis).enqueue(f"{name}.modules")
        command = [str(Path(sys.executable).with_name("notify")), "worker", "--import", name, "--burst", "-n", "1"]
        environ = {"NOTIFY_URL": str(bus.settings.url), "NOTIFY_NAMESPACE": bus.settings.namespace, "PYTHONPATH": str(tmp_path)}
        subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60)
        found.append("opentelemetry" in heavy_of(job.return_value()))
    assert found == [False, True]
    assert not any(name.startswith("notify.flows") for name in job.return_value())


@pytest.mark.parametrize(
    "use",
    [
        "import redis; print(redis.asyncio.Redis is __import__('redis.asyncio.client').asyncio.client.Redis)",
        "from redis import asyncio; import redis.asyncio.client; print(asyncio.Redis is redis.asyncio.client.Redis)",
        "import redis.asyncio.client as client; from redis.asyncio import Redis; print(client.Redis is Redis)",
        "import notify, redis.asyncio.cluster as cluster, redis; print(redis.asyncio.RedisCluster is cluster.RedisCluster)",
        "import asyncio; from redis.commands.core import async_record_streaming_lag as f; print(asyncio.run(f([])) is None)",
        "import redis.utils as u, importlib.metadata as m; print(u.get_lib_version() == m.version('redis'))",
        "import redis.utils as u, importlib.metadata as m; print(u.metadata.version('rq') == m.version('rq'))",
        "import redis, sys; redis.Redis().connection_pool.make_connection(); print('importlib.metadata' not in sys.modules)",
        "import redis, inspect; print('StrictRedis' in inspect.getsource(redis) and not hasattr(redis, 'asyncia'))",
    ],
)
def test_what_was_left_out_is_there_when_a_program_uses_it(use: str) -> None:
    assert run(LEAN + use) == "True\n"


def test_rq_still_calls_the_webhook_of_a_job() -> None:
    assert run(LEAN + CALLED) == "True\n"


@pytest.mark.parametrize("start", ["", LEAN])
def test_redis_py_counts_its_commands_if_a_program_asks_for_that(server: PrivateServer, start: str) -> None:
    assert "db.client.operation.duration" in run(start + COUNTED, server.url)


def test_a_program_that_has_imported_opentelemetry_before_keeps_it() -> None:
    imported = json.loads(run(f"import opentelemetry.sdk.metrics\n{LEAN}import notify\n{SHOW}"))
    assert {"opentelemetry.metrics", "opentelemetry.sdk.metrics"} < set(imported)


@pytest.mark.parametrize(
    "use",
    [
        "from redis.asyncio.other import found",
        "import redis.asyncio as half; found = half.found",
        "from redis.asyncio import found",
        "from redis.asyncio import other; found = other.found",
        "from importlib.metadata import entry_points; found = 'as usual'",
        "import importlib.metadata as m; m.version('redis'); found = 'as usual'",
    ],
)
def test_a_redis_py_that_needs_more_of_what_is_left_out_is_imported_as_usual(tmp_path: Path, use: str) -> None:
    package = tmp_path / "redis"
    (package / "asyncio").mkdir(parents=True)
    (package / "asyncio" / "__init__.py").write_text("found = 'as usual'")
    (package / "asyncio" / "other.py").write_text("found = 'as usual'")
    (package / "core.py").write_text(use)
    (package / "__init__.py").write_text("from redis import asyncio\nfrom redis.core import found")
    assert (
        run(f"{LEAN}import redis, sys; print(redis.found, redis.asyncio is sys.modules['redis.asyncio'])", path=tmp_path)
        == "as usual True\n"
    )


def test_a_redis_py_without_an_asyncio_half_is_imported_too(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "__init__.py").write_text("found = 'as usual'")
    assert run(f"{LEAN}import redis; print(redis.found, hasattr(redis, 'asyncio'))", path=tmp_path) == "as usual False\n"


def test_a_tool_that_watches_imports_is_asked_first() -> None:
    """Tracers put a finder in front, which asks those behind it."""
    watch = (
        "import sys, importlib.machinery as m\nsys.meta_path.insert(0, type('Watch', (), {'find_spec': staticmethod(lambda *_: None)}))\n"
    )
    place = "[type(f).__name__ if not isinstance(f, type) else f.__name__ for f in sys.meta_path]"
    found = run(f"{watch}{LEAN}names = {place}\nprint(names.index('Watch') < names.index('_Lean') < names.index('PathFinder'))")
    assert found == "True\n"
