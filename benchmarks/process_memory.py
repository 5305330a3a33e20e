"""Memory of a process with all its children, as Linux accounts for it."""

from pathlib import Path

__all__ = ["family_of", "pss_mib"]


def family_of(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += family_of(int(child))
    except OSError:  # it has ended meanwhile
        return found
    return found


def pss_mib(pid: int) -> float:
    """The proportional set size of a process and all that descend from it: a page that n processes share counts 1/n for each."""
    total = 0
    for member in family_of(pid):
        try:
            lines = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024
