"""``python -m tests.chaos``: runs the chaos for one seed or several, and prints a report of each. The exit code is 1 if one was wrong."""

import argparse
import logging
import signal
import sys

from tests.chaos.mixed import run_mixed
from tests.chaos.run import Report, run_chaos
from workers.line import MOST_AHEAD

MOST_SHOWN = 20


def main() -> int:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--faults", type=int, default=150, help="at most; they end with the jobs")
    parser.add_argument("--window", type=int, help="jobs claimed ahead; by default 32 for even seeds, as workers choose for odd ones")
    parser.add_argument(
        "--mixed", action="store_true", help="short and long jobs without needs, cancels, and the order of queues of one worker"
    )
    chosen = parser.parse_args()
    logging.disable()  # of the subscribers, about each fault
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the workers and the server end as well
    is_well = True
    for seed in chosen.seed:
        window = chosen.window or (None if seed % 2 else MOST_AHEAD)
        if chosen.mixed:
            report = run_mixed(seed=seed, jobs=chosen.jobs, horses=chosen.workers, faults=chosen.faults, window=chosen.window or MOST_AHEAD)
        else:
            report = run_chaos(seed=seed, jobs=chosen.jobs, workers=chosen.workers, faults=chosen.faults, window=window)
        sys.stdout.write(_text(seed, report))
        sys.stdout.flush()
        is_well &= report.is_well
    return not is_well


def _text(seed: int, report: Report) -> str:
    account, faults = report.account, ", ".join(f"{count} {kind}" for kind, count in sorted(report.faults.items()))
    wrong = [*account.faults, *(fault for delivery in report.deliveries for fault in delivery.faults)]
    lines = [
        f"seed {seed}: {report.jobs} jobs, {report.faults.total()} faults ({faults}), {report.seconds:.0f} s",
        f"  jobs: {', '.join(f'{count} {name}' for name, count in sorted(account.outcomes.items()))}",
        f"  runs: {account.runs}, {account.reruns} jobs ran more than once, {account.refused} writes of superseded runs refused",
        *(f"  subscriber: {each.events} of {each.published} events, {len(each.gaps)} gaps, {each.cuts} cuts" for each in report.deliveries),
        f"  {'all accounted for' if not wrong else f'{len(wrong)} WRONG'}",
        *(f"    {each}" for each in wrong[:MOST_SHOWN]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
