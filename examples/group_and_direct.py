"""From a group to one, and from one back to the group.

The caller publishes on a group channel. Each member answers on the direct channel of the caller, and the caller sums up
for the group. Run it: ``python examples/group_and_direct.py``. It uses the private server, or $NOTIFY_URL.
"""

import threading

import notify

GROUP = "crew"
MEMBERS = ("ada", "grace", "linus")


def member(bus: notify.Bus, name: str, ready: threading.Barrier, learned: list[str]) -> None:
    """Receive the call, answer the caller directly, and wait for the sum."""
    with bus.subscribe(GROUP) as group:
        ready.wait()
        for event in group:
            match event.contents if isinstance(event, notify.Event) else None:
                case {"call": str(question), "answer_to": str(direct)}:
                    bus.publish(direct, {"from": name, "answer": f"{name} heard: {question}"})
                case {"sum": int(count)}:
                    learned.append(f"{name} learns that {count} answered")
                    return


def main() -> None:
    with notify.connect() as bus:
        ready = threading.Barrier(len(MEMBERS) + 1)
        learned: list[str] = []
        threads = [threading.Thread(target=member, args=(bus, name, ready, learned)) for name in MEMBERS]
        for thread in threads:
            thread.start()
        with bus.subscribe("direct.caller") as direct:
            ready.wait()
            bus.publish(GROUP, {"call": "who is there?", "answer_to": "direct.caller"})
            answers = [direct.get(timeout_s=5.0) for _ in MEMBERS]
        for text in sorted(str(answer.contents["answer"]) for answer in answers if isinstance(answer, notify.Event)):
            print(text)
        bus.publish(GROUP, {"sum": len(answers)})
        for thread in threads:
            thread.join()
        for text in sorted(learned):
            print(text)


if __name__ == "__main__":
    main()
