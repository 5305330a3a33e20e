"""A chat by TCP: a port to talk to, a port to listen at, and two people in one process. `notify chat` is the same as a command."""

import os
import queue

from notify.flows import TCPClient, TCPServer, pipeline


def main() -> None:
    talk, listen = TCPServer(0), TCPServer(0)
    heard: dict[str, queue.Queue[str]] = {"ada": queue.Queue(), "grace": queue.Queue()}
    with pipeline(talk, listen):
        listeners = [pipeline(TCPClient(port=listen.port), lines.put).start() for lines in heard.values()]
        while listen.counts().clients < len(listeners):
            os.sched_yield()  # the server accepts in its own time
        for name in heard:
            pipeline([f"{name}: hello"], TCPClient(port=talk.port)).run()
        for name, lines in heard.items():
            for _ in heard:
                print(f"{name} heard {lines.get(timeout=20)}")
        for listener in listeners:
            listener.close()
    print("the chat is over")


if __name__ == "__main__":
    main()
