"""Pages of jobs: the next ones behind a cursor, however many there are. What a page reads is bounded."""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import redis

from notify.server import Client
from workers import rq_keys
from workers.errors import JobDefinitionError
from workers.jobs import Job, read_job_rows
from workers.overview.job_filter import JobFilter, ListedJob, is_called
from workers.overview.listing import Source, sources_of
from workers.overview.reasons import reasons_of

__all__ = ["JobPage", "page_of_jobs"]

LOOKED_AT: Final = 1_000
"""Jobs that are read for one page, at most. Where few of them match, the page is short, and the next one goes on behind them."""
CHUNK: Final = 100
LOOKED_S: Final = 0.05
"""Seconds after which no more jobs are read for a page: calls with letters beyond ASCII, and reasons, take up to 0.3 ms for each job."""
MOST_MARK: Final = 2**53
"""Places and scores in a cursor, at most: Redis takes no larger places, and JSON no infinite score, as jobs have that are kept for ever."""
HOMES: Final = {
    **{status: status for status in ("started", "scheduled", "ready_to_enqueue", "rate_limited", "finished", "failed", "canceled")},
    **{"queued": "queue", "held": "deferred", "deferred": "deferred", "stopped": "failed"},
}
"""Status of a job → the kind of key that it is in."""


class JobPage(msgspec.Struct, frozen=True):
    """Some jobs, the newest first: first the running jobs, then the waiting and the ended ones, queue by queue.

    Args:
        jobs: the jobs, with the reason of those that ended badly.
        next: the cursor of the next page; ``None`` if there is none.
        looked_at: how many jobs were read for this page.
        of: how many jobs there are, on these queues and with this status.
        moved: whether the job is gone behind which the page was to begin, so that it begins near its place.
    """

    jobs: list[ListedJob]
    next: str | None
    looked_at: int
    of: int
    moved: bool = False


class _Mark(msgspec.Struct, frozen=True, array_like=True):
    """A place in a key: behind a member, and where to go on if that is gone: its score, or how many members stood behind it."""

    key: str
    member: str
    otherwise: float


def page_of_jobs(connection: redis.Redis, chosen: JobFilter | None = None, *, after: str | None = None, size: int = 50) -> JobPage:
    """Return the next jobs that match.

    Args:
        connection: ``bus.redis``; any other ``redis.Redis`` stands for the default namespace.
        chosen: which jobs; by default all.
        after: `JobPage.next` of the page before, however old; by default the first page.
        size: jobs of a page, at most.

    Raises:
        QueueNotFoundError, JobDefinitionError: as for `find_jobs`, or ``after`` is no cursor.
        ServerError: Redis did not answer, or refused.
    """
    chosen = (chosen or JobFilter()).checked()
    client, until = Client.of(connection), time.monotonic() + LOOKED_S
    with client.translating("reading a page of jobs"):
        sources = sorted(sources_of(client, chosen), key=lambda source: source.kind != "started")
        first, skipped, moved = _begin(client, sources, after)
        found: list[ListedJob] = []
        mark, marked = None, sources[0] if sources else None
        looked_at, seen = 0, set[str]()
        for source, start, members in _chunks(sources[first:], skipped, min(CHUNK, max(size, 1) + 1) if _is_plain(chosen) else CHUNK):
            if mark is not None and time.monotonic() > until:
                return JobPage(found, _encode(client, marked, mark), looked_at, _size(sources), moved)
            rows = {job.id: (job, fields) for job, fields in _rows(client, [source.id_of(member) for member in members], chosen)}
            reasons = reasons_of(client, list(rows.values()))
            for place, member in enumerate(members):
                job_id = source.id_of(member)
                if len(found) == size or looked_at == LOOKED_AT:
                    return JobPage(found, _encode(client, marked, mark), looked_at, _size(sources), moved)
                looked_at, marked, mark = looked_at + 1, source, _Mark(source.key, member, start + place + 1)
                if job_id in rows and job_id not in seen:
                    listed = ListedJob.of(*rows[job_id], reason=reasons.get(job_id, ""))
                    if chosen.matches(listed) and _belongs(listed, source):
                        seen.add(job_id)
                        found.append(listed)
    return JobPage(found, None, looked_at, _size(sources), moved)


def _rows(client: Client, ids: list[str], chosen: JobFilter) -> Iterator[tuple[Job, Mapping[bytes, bytes]]]:
    """Read jobs. Those whose call shows that they do not match are left out, which takes a tenth of the time."""
    if chosen.text is None and chosen.function is None:
        return read_job_rows(client, ids)
    with client.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hget(rq_keys.job(job_id), "data")
        calls = pipe.execute(raise_on_error=False)
    return read_job_rows(client, [job_id for job_id, call in zip(ids, calls, strict=True) if _may_match(job_id, call, chosen)])


def _may_match(job_id: str, call: object, chosen: JobFilter) -> bool:
    if not isinstance(call, bytes) or not call.startswith(b'["'):
        return True  # compressed, or another program wrote it
    if chosen.function is not None and not is_called(call[2 : call.find(b'"', 2)].decode(errors="replace"), chosen.function):
        return False
    text = chosen.text
    if text is None or not text.isascii() or not call.isascii():
        return True  # letters have more forms than two
    return text.lower().encode() in call.lower() or text.lower() in job_id.lower()


def _is_plain(chosen: JobFilter) -> bool:
    """Return whether the key that a job is in says that it matches, so that no more jobs need be read than are shown."""
    rest = msgspec.structs.replace(chosen, queue=None, status=None)
    return rest == JobFilter() and chosen.status not in ("held", "deferred", "failed", "stopped")


def _belongs(listed: ListedJob, source: Source) -> bool:
    """Return whether a job is shown for this key. A cancelled job, for example, may still be in the list of its queue: it comes later."""
    return source.kind == "needs" or HOMES.get(listed.status, source.kind) == source.kind


def _size(sources: list[Source]) -> int:
    return sum(source.size for source in sources)


def _chunks(sources: list[Source], skipped: int, size: int) -> Iterator[tuple[Source, int, list[str]]]:
    """Yield the members of the keys in chunks, each with the number of members behind it, the newest first."""
    for source in sources:
        start, skipped = skipped, 0
        while members := source.newest(start, size):
            yield source, start, members
            start += len(members)


def _begin(client: Client, sources: list[Source], after: str | None) -> tuple[int, int, bool]:
    """Return the number of the key at which a page begins, how many members to skip, and whether the job of the cursor is gone."""
    if after is None:
        return 0, 0, False
    mark = _decode(after)
    number = next((number for number, source in enumerate(sources) if source.key == mark.key), None)
    if number is None:  # the queue is gone, or the filter is another one
        return 0, 0, True
    source = sources[number]
    if source.kind == "queue":
        index: Any = client.lpos(source.key, mark.member, rank=-1)
        return number, max(0, int(mark.otherwise) if index is None else source.size - int(index)), index is None
    rank: Any = client.zrevrank(source.key, mark.member)
    if rank is not None:
        return number, int(rank) + 1, False
    behind: Any = client.zcount(source.key, f"({mark.otherwise!r}" if mark.otherwise < MOST_MARK else "(inf", "+inf")
    return number, int(behind), True


def _encode(client: Client, source: Source | None, mark: _Mark | None) -> str | None:
    if mark is None or source is None:
        return None
    if source.kind != "queue":
        score: Any = client.zscore(mark.key, mark.member)
        mark = msgspec.structs.replace(mark, otherwise=max(-MOST_MARK, min(float(score or 0), MOST_MARK)))
    return urlsafe_b64encode(msgspec.json.encode(mark)).decode().rstrip("=")


def _decode(cursor: str) -> _Mark:
    try:
        mark = msgspec.json.decode(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=_Mark)
        if abs(mark.otherwise) > MOST_MARK:
            raise ValueError("no place and no score is so large")
        return mark
    except (ValueError, msgspec.DecodeError, RecursionError) as exc:
        raise JobDefinitionError(f"{cursor[:40]!r} is not the cursor of a page of jobs: begin at the first page") from exc
