"""Run RQ's own tests with our worker: ``python -m tests.rq_suite [options of pytest]``. It fetches them with pip first."""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import rq

from tests.rq_suite.deviations import README, deviations, left_out

RQ = rq.VERSION
MAJOR = int(RQ.partition(".")[0])
HERE = Path(__file__).parent


def main() -> int:
    source = fetch(Path(sys.prefix, "rq-suite"))
    unknown = [name for name in (*deviations(MAJOR), *left_out(MAJOR)) if not has_test(source, name)]
    if unknown:
        raise SystemExit(f"{README} lists what RQ {RQ} does not have: {', '.join(unknown)}")
    paths = [str(source), str(HERE), os.environ.get("PYTHONPATH", "")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    # In the order of RQ, on which its tests depend. Their warnings are about RQ.
    options = ["-p", "plugin", "-p", "no:randomly", "--timeout=30", "--dist=loadfile", "-q", "--disable-warnings"]
    command = [sys.executable, "-m", "pytest", *options, *sys.argv[1:]]
    # In a process group of its own: some of the tests have RQ kill the one it is in.
    return subprocess.run(command, cwd=source, env=environ, check=False, process_group=0).returncode


def has_test(source: Path, name: str) -> bool:
    """Return whether a file, class or test exists: ``test_worker.py::TestWorker::test_it``."""
    file, *parts = name.split("::")
    path = source / "tests" / file
    return path.exists() and all(re.search(rf"^ *(class|def) {part}\b", path.read_text(), re.MULTILINE) for part in parts)


def fetch(folder: Path) -> Path:
    """Return the folder of RQ's sources, below the given one. They are downloaded if they are missing."""
    source = folder / f"rq-{RQ}"
    if not source.exists():
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as below:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            subprocess.run([*pip, "--no-binary=rq", "--no-build-isolation", f"--dest={below}", f"rq=={RQ}"], check=True)
            (archive,) = Path(below).glob("*.tar.gz")
            with tarfile.open(archive) as opened:
                if hasattr(tarfile, "data_filter"):  # Python 3.11.4
                    opened.extraction_filter = tarfile.data_filter
                opened.extractall(below)  # noqa: S202  # filtered where Python can
            Path(below, source.name).rename(source)
    return source


if __name__ == "__main__":
    sys.exit(main())
