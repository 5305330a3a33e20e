"""A device on a serial line, TCP, a classifier, and three ports: all in one process, with a pseudo-terminal as the device."""

import os
import pty
import queue
import tty

from notify.flows import TCPClient, TCPServer, demux, graph, pipeline
from notify.flows.lines import serial_lines

LINES = ("all is well", "WARN the door is open", "ALARM the cellar is under water")


def classify(line: str) -> str:
    return {"ALARM": "critical", "WARN": "important"}.get(line.split()[0], "normal")


def main() -> None:
    device, line = pty.openpty()
    tty.setraw(line)
    incoming = TCPServer(0)
    ports = {name: TCPServer(0) for name in ("normal", "important", "critical")}
    machine_b = graph(
        nodes={"in": incoming, "sort": demux(classify, outlets=ports), **ports, "refused": print},
        links=[("in", "sort"), *((("sort", name), name) for name in ports), (("sort", "error"), "refused")],
    )
    heard: queue.Queue[str] = queue.Queue()
    with machine_b:
        clients = [pipeline(TCPClient(port=port.port), lambda got, name=name: heard.put(f"{name}: {got}")) for name, port in ports.items()]
        for client in clients:
            client.start()
        while not all(port.counts().clients for port in ports.values()):
            os.sched_yield()  # the servers accept in their own time
        with pipeline(serial_lines(os.ttyname(line)), TCPClient(port=incoming.port)):
            os.write(device, "".join(f"{each}\n" for each in LINES).encode())
            for _ in LINES:
                print(heard.get(timeout=20))
        for client in clients:
            client.close()
    os.close(device)
    os.close(line)
    print("the machines have ended")


if __name__ == "__main__":
    main()
