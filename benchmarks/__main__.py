"""Run all benchmarks, or the named ones, on a server of their own, and print the results."""

import platform
import sys

import notify
from benchmarks.directory import idle_services, look_up_among_many
from benchmarks.enqueueing import enqueue_many, enqueue_one_by_one
from benchmarks.events import latency, publish_and_handle, publish_in_background, publish_one_by_one, receive_and_decode
from benchmarks.flow_stages import items_through_ten_stages
from benchmarks.flows import latency_of_tcp, memory_of_tcp, million_without_loss, thousand_clients_of_tcp, throughput_of_tcp
from benchmarks.idle_workers import enqueue_beside_idle_workers
from benchmarks.jobs import no_op_jobs, stop_latency
from benchmarks.longest_commands import longest_commands
from benchmarks.losses import loss_of_a_service
from benchmarks.memory import memory_of_a_slow_subscriber
from benchmarks.record_at_pace import record_at_a_pace
from benchmarks.recordings import (
    pace_of_a_replay,
    record_without_loss,
    recorded_events_read,
    recorded_events_written,
    replay_to_a_bus,
)
from benchmarks.requests import call_round_trip
from benchmarks.server import loopback_server
from benchmarks.startup import start_of_commands
from benchmarks.throughput import increments_per_process, moments_side_by_side, no_ops_per_process
from benchmarks.web_viewers import web_viewers
from benchmarks.worker_memory import memory_of_workers

BENCHMARKS = (
    publish_one_by_one,
    publish_in_background,
    receive_and_decode,
    publish_and_handle,
    latency,
    call_round_trip,
    memory_of_a_slow_subscriber,
    throughput_of_tcp,
    latency_of_tcp,
    memory_of_tcp,
    million_without_loss,
    thousand_clients_of_tcp,
    look_up_among_many,
    idle_services,
    enqueue_one_by_one,
    enqueue_many,
    enqueue_beside_idle_workers,
    no_op_jobs,
    no_ops_per_process,
    increments_per_process,
    moments_side_by_side,
    stop_latency,
    loss_of_a_service,
    longest_commands,
    items_through_ten_stages,
    record_without_loss,
    record_at_a_pace,
    recorded_events_written,
    recorded_events_read,
    replay_to_a_bus,
    pace_of_a_replay,
    start_of_commands,
    memory_of_workers,
    web_viewers,
)

with loopback_server() as url, notify.connect(url) as bus:
    info = bus.redis.info("server")
    print(f"Python {platform.python_version()}, server {info.get('valkey_version') or info['redis_version']} on loopback")
    for benchmark in BENCHMARKS:
        if len(sys.argv) == 1 or benchmark.__name__ in sys.argv[1:]:
            print(benchmark(bus), flush=True)
