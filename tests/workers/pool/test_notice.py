"""What worker processes tell their pool through a pipe."""

import os

from workers.pool.notice import MAX_LETTERS, Notice, NoticeReader, NoticeWriter


def test_notices_arrive_in_their_order_and_reading_never_blocks() -> None:
    reading, writing = os.pipe()
    reader, writer = NoticeReader(reading), NoticeWriter(writing)
    reader.read()
    assert (reader.busy, reader.end) == ({}, None)
    writer.write(Notice("busy", worker="one"))
    writer.write(Notice("idle", worker="two"))
    writer.write(Notice("left", worker="two"))
    writer.write(Notice("failed", "no server", "x" * 10_000))
    reader.read()
    assert (reader.busy, reader.left) == ({"one": True, "two": False}, ["two"])
    assert reader.end == Notice("failed", "no server", "x" * MAX_LETTERS)
    os.close(writing)
    reader.close()
    reader.close()
    reader.read()


def test_what_a_job_writes_into_the_pipe_is_ignored() -> None:
    reading, writing = os.pipe()
    reader = NoticeReader(reading)
    os.write(writing, b'garbage\n{"kind":"slow"}\n')
    NoticeWriter(writing).write(Notice("ended"))
    os.close(writing)
    reader.close()
    assert reader.end == Notice("ended")


def test_a_pool_that_is_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    NoticeWriter(writing).write(Notice("idle"))
    os.close(writing)
