"""What of RQ we rely on beyond its documentation. A test here fails first when a new version of RQ changes it, and says what."""

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
import rq
import rq.executions
import rq.registry
import rq.worker

import workers
from workers import RqVersionError
from workers.queue import RqQueue
from workers.rq import IS_RQ_3, installed
from workers.worker.finish import FinishingWorker

PACKAGE = Path(workers.__file__ or "").parent

PARAMETERS: dict[str, str] = {
    "rq.Worker.handle_job_success": "job queue started_job_registry" + " execution" * IS_RQ_3,
    "rq.Worker.handle_job_failure": "job queue started_job_registry exc_string" + " execution" * IS_RQ_3,
    "rq.Worker.handle_job_retry": "job queue retry started_job_registry execution",
    "rq.Worker.handle_execution_ended": "job queue heartbeat_ttl",
    "rq.Worker.perform_job": "job queue" + " execution" * IS_RQ_3,
    "rq.Worker.prepare_job_execution": "job remove_from_intermediate_queue",
    "rq.Worker.cleanup_execution": "job pipeline" + " execution" * IS_RQ_3,
    "rq.Worker.increment_failed_job_count": "pipeline",
    "rq.Worker.handle_work_horse_killed": "job retpid ret_val rusage",
    "rq.Worker.heartbeat": "timeout pipeline",
    "rq.Worker.kill_horse": "sig",
    "rq.Worker.handle_payload": "message",
    "rq.Worker.request_force_stop": "signum frame",
    "rq.Worker.dequeue_job_and_maintain_ttl": "timeout max_idle_time",
    "rq.Worker.execute_job": "job queue",
    "rq.Worker.check_for_suspension": "burst",
    "rq.Worker._install_signal_handlers": "",
    "rq.Worker._shutdown": "",
    "rq.Worker._set_connection": "connection",
    "rq.Worker._start_scheduler": "burst logging_level date_format log_format",
    "rq.Queue._enqueue_async_job": "job pipeline at_front unique",
    "rq.Queue._prepare_for_queue": "job",
    "rq.Queue._persist_job": "job pipeline status",
    "rq.Queue.enqueue_dependents": ("job " if IS_RQ_3 else "job pipeline ") + "exclude_job_id refresh_job_status",
    "rq.job.Job._execute": "",
    "rq.job.Job._deserialize_data": "",
    "rq.job.Job.restore": "raw_data",
    "rq.job.Job.to_dict": "include_meta include_result",
    "rq.job.Job.retry": "queue pipeline",
    "rq.job.Job.prepare_for_execution": "worker_name pipeline",
    "rq.registry.StartedJobRegistry.cleanup": "timestamp exception_handlers",
    "rq.registry.StartedJobRegistry.get_queue": "",
    "rq.executions.Execution.__init__": "id job_id connection worker_name",
}
"""Methods of RQ that we override or call, with their parameters after ``self``."""
if IS_RQ_3:
    PARAMETERS |= {
        "rq.Queue.move_dependents_to_ready": "job pipeline exclude_job_id refresh_job_status",
        "rq.Queue._enqueue_rate_limited_job": "job pipeline at_front",
        "rq.registry.ReadyJobRegistry.enqueue_jobs": "job_ids",
        "rq.Worker.request_stop_execution": "execution_id",
        "rq.Worker.get_current_executions": "refresh",
    }


def found(path: str) -> Any:
    """The part of RQ at a dotted path."""
    value: Any = rq
    for name in path.split(".")[1:]:
        value = getattr(value, name, None)
    return value


@pytest.mark.any_server
@pytest.mark.parametrize("path", PARAMETERS)
def test_a_method_of_rq_has_the_parameters_that_we_know(path: str) -> None:
    method = found(path)
    assert method is not None, f"RQ {rq.VERSION} has no {path} any more: see who uses it in workers/, and adapt workers/rq"
    parameters = " ".join(name for name in inspect.signature(method).parameters if name != "self")
    assert parameters == PARAMETERS[path], (
        f"{path} takes ({parameters}) in RQ {rq.VERSION}, and workers passes ({PARAMETERS[path]}): adapt workers/rq and its callers"
    )


@pytest.mark.any_server
@pytest.mark.parametrize("ours", [FinishingWorker, workers.Worker, workers.Job, RqQueue, workers.Queue], ids=lambda ours: ours.__name__)
def test_every_private_method_that_we_override_is_one_of_rq_or_ours(ours: type) -> None:
    """RQ would not call a method that it renamed: the override would be dead code, and RQ's own would run."""
    base = next(base for base in ours.__mro__ if base.__module__.startswith("rq."))
    known = {"rq.Worker": rq.Worker, "rq.Queue": rq.Queue, "rq.job.Job": rq.job.Job}
    listed = {path.rpartition(".")[2] for path in PARAMETERS if known.get(path.rpartition(".")[0]) in base.__mro__}
    assert {name for name in listed if not hasattr(base, name)} == set()


@pytest.mark.any_server
def test_rq_sets_the_attributes_of_a_worker_that_we_read() -> None:
    source = inspect.getsource(rq.worker.BaseWorker)
    names = ("_stopped_job_id", "_horse_pid", "_is_horse", "_exc_handlers", "_stop_requested", "job_monitoring_interval", "worker_ttl")
    missing = [name for name in names if f"self.{name}" not in source]
    assert missing == [], f"a worker of RQ {rq.VERSION} has no {missing}: workers/worker reads or sets them"


@pytest.mark.any_server
def test_only_one_folder_imports_rq() -> None:
    for path in (*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "cli").rglob("*.py")):
        if path.parent == PACKAGE / "rq":
            continue
        tree = ast.parse(path.read_text())
        names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert [name for name in names if name.partition(".")[0] == "rq"] == [], f"{path}: import it from workers.rq"


@pytest.mark.any_server
def test_both_adapters_have_the_same_names() -> None:
    exported = {}
    for name in ("v2", "v3"):
        tree = ast.parse((PACKAGE / "rq" / f"{name}.py").read_text())
        (value,) = (node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        exported[name] = ast.literal_eval(value)
    assert exported["v2"] == exported["v3"]


@pytest.mark.any_server
@pytest.mark.parametrize("version", ["1.16.2", "2.11.0", "2.2", "4.0.0", "10.1"])
def test_a_version_of_rq_without_an_adapter_is_refused(version: str) -> None:
    with pytest.raises(RqVersionError, match=rf"RQ {version} is installed, .* pip install 'rq>=2\.12,<4'"):
        installed.check_version(version)


@pytest.mark.any_server
@pytest.mark.parametrize(("version", "major"), [("2.12.0", 2), ("2.13", 2), ("3.0.0", 3), ("3.0.0rc1", 3), ("3.11.4", 3)])
def test_a_version_of_rq_chooses_its_adapter(version: str, major: int) -> None:
    assert installed.check_version(version) == major
