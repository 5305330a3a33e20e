"""A distributed vote: the teller publishes a motion, each voter answers with a ballot, and the teller publishes the result.

Each voter is a process of its own. A ballot has an idempotency key, so that it counts once, however often it is sent.
Run it: ``python examples/vote.py``. It uses the private server, or $NOTIFY_URL.
"""

import subprocess
import sys
from collections import Counter
from typing import Any

import notify

MOTION = "vote.motion"
BALLOTS = "vote.ballots"
RESULT = "vote.result"
VOTERS = {"ada": "aye", "grace": "aye", "linus": "nay"}


def voter(name: str, choice: str) -> None:
    """Receive the motion, send the ballot twice (the second one does not count), and receive the result."""
    with notify.connect(name=name) as bus, bus.subscribe(MOTION, RESULT) as events:
        bus.publish(BALLOTS, {"voter": name, "present": True})
        for event in events:
            if not isinstance(event, notify.Event):
                continue
            contents: Any = event.contents
            if event.topic == MOTION:
                for _ in range(2):
                    bus.publish(BALLOTS, {"voter": name, "choice": choice}, key=f"{event.id}:{name}")
            elif event.topic == RESULT:
                # The newline is part of the same write, because the other voters write to the same terminal.
                print(f"{name} voted {choice}; the motion is {'carried' if contents['carried'] else 'lost'}\n", end="", flush=True)
                return


def main() -> None:
    with notify.connect(name="teller") as bus, bus.subscribe(BALLOTS) as ballots:
        voters = [subprocess.Popen([sys.executable, __file__, name, choice]) for name, choice in VOTERS.items()]
        for _ in voters:
            ballots.get(timeout_s=30.0)  # wait until every voter is present
        motion = bus.publish(MOTION, {"motion": "tea at four", "seconded": True})
        votes: Counter[str] = Counter()
        while votes.total() < len(voters):
            ballot = ballots.get(timeout_s=10.0)
            if ballot is None:
                sys.exit("no ballot was received for 10 s: a voter is missing")
            if isinstance(ballot, notify.Event) and isinstance(ballot.contents, dict) and "choice" in ballot.contents:
                votes[str(ballot.contents["choice"])] += 1
        bus.publish(RESULT, {"motion": motion, "carried": votes["aye"] > votes["nay"], **votes})
        for process in voters:
            process.wait()
        print(", ".join(f"{choice} {count}" for choice, count in sorted(votes.items())))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        voter(sys.argv[1], sys.argv[2])
    else:
        main()
