"""A group topic and a direct topic: the caller asks a group, and each member answers the caller alone.

The caller publishes a question on the topic of the group. Each member answers on the topic of the caller. At last the caller
publishes the number of answers to the group. Run it: ``python examples/group_and_direct.py``. It uses the private server, or
$NOTIFY_URL.
"""

import threading

import notify

GROUP = "crew"
MEMBERS = ("ada", "grace", "linus")


def member(bus: notify.Bus, name: str, ready: threading.Barrier, results: list[str]) -> None:
    """Receive the question, answer the caller directly, and wait for the number of answers."""
    with bus.subscribe(GROUP) as group:
        ready.wait()
        for event in group:
            match event.contents if isinstance(event, notify.Event) else None:
                case {"question": str(question), "answer_to": str(topic)}:
                    bus.publish(topic, {"from": name, "answer": f"{name} received: {question}"})
                case {"answers": int(count)}:
                    results.append(f"{name}: {count} members answered")
                    return


def main() -> None:
    with notify.connect() as bus:
        ready = threading.Barrier(len(MEMBERS) + 1)
        results: list[str] = []
        threads = [threading.Thread(target=member, args=(bus, name, ready, results)) for name in MEMBERS]
        for thread in threads:
            thread.start()
        with bus.subscribe("direct.caller") as direct:
            ready.wait()
            bus.publish(GROUP, {"question": "who is there?", "answer_to": "direct.caller"})
            answers = [direct.get(timeout_s=5.0) for _ in MEMBERS]
        for text in sorted(str(answer.contents["answer"]) for answer in answers if isinstance(answer, notify.Event)):
            print(text)
        bus.publish(GROUP, {"answers": len(answers)})
        for thread in threads:
            thread.join()
        for text in sorted(results):
            print(text)


if __name__ == "__main__":
    main()
