"""Run every benchmark on a private server and print what was measured."""

import platform
import sys

import notify
from benchmarks.events import publish_one_by_one, receive_and_decode
from benchmarks.jobs import no_op_jobs, stop_latency
from notify.testing import private_server

with private_server() as server, notify.connect(server.url) as bus:
    version = bus.redis.info("server")
    print(f"Python {platform.python_version()}, server {version.get('valkey_version') or version['redis_version']} on a unix socket")
    for benchmark in (publish_one_by_one, receive_and_decode, no_op_jobs, stop_latency):
        print(benchmark(bus), flush=True)
sys.exit(0)
