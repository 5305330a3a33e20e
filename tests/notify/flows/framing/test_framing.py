"""Framings: any cut of the stream gives the same items; what is no frame is a failure with a remedy, and never lost."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify import Event, FrameError, WiringError
from notify.flows import Failed
from notify.flows.framing import Decoder, Framing, JsonFraming, LengthFraming, LineFraming, framing_of

pytestmark = pytest.mark.any_server

TEXTS = st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=20), max_size=20)
JSON = st.lists(st.one_of(st.integers(-(2**40), 2**40), st.text(), st.dictionaries(st.text(), st.integers(0, 9))), max_size=20)
CUTS = st.lists(st.integers(1, 9), max_size=200)


def fed(decoder: Decoder, data: bytes, cuts: list[int]) -> list[Any]:
    """Feed data to a decoder in pieces of these sizes, then the rest."""
    items, start = [], 0
    for cut in cuts:
        items += decoder.feed(data[start : start + cut])
        start += cut
    return items + (decoder.feed(data[start:]) if start < len(data) else [])


@given(TEXTS, CUTS)
def test_K5_lines_survive_any_cut_of_the_stream(texts: list[str], cuts: list[int]) -> None:
    framing = LineFraming()
    assert fed(framing.decoder(), b"".join(map(framing.encode, texts)), cuts) == texts


def test_K5_without_a_memory_between_reads_a_cut_line_is_two() -> None:
    """The twin: what a reader does that takes each read for whole lines."""
    reads = [b"one\ntw", b"o\n"]
    assert [line for read in reads for line in read.decode().splitlines()] == ["one", "tw", "o"]
    decoder = LineFraming().decoder()
    assert [line for read in reads for line in decoder.feed(read)] == ["one", "two"]


@given(JSON, CUTS)
def test_json_lines_survive_any_cut_of_the_stream(values: list[Any], cuts: list[int]) -> None:
    framing = JsonFraming()
    assert fed(framing.decoder(), b"".join(map(framing.encode, values)), cuts) == values


@given(TEXTS, CUTS, st.sampled_from([1, 2, 4, 8]))
def test_frames_behind_their_lengths_survive_any_cut_of_the_stream(texts: list[str], cuts: list[int], size: int) -> None:
    framing = LengthFraming(size=size)
    assert fed(framing.decoder(), b"".join(map(framing.encode, texts)), cuts) == texts


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line and not line.endswith(b"\r"))), CUTS)
def test_bytes_that_are_no_utf8_come_back_whole_by_base64(lines: list[bytes], cuts: list[int]) -> None:
    framing = LineFraming(non_utf8="base64")
    items = fed(framing.decoder(), b"".join(line + b"\n" for line in lines), cuts)
    assert b"".join(map(framing.encode, items)) == b"".join(line + b"\n" for line in lines)


def test_a_line_may_end_as_on_windows() -> None:
    assert LineFraming().decoder().feed(b"one\r\ntwo\n\r\n") == ["one", "two", ""]


@pytest.mark.parametrize(
    ("non_utf8", "item"), [("replace", "caf\ufffd"), ("base64", {"base64": "Y2Fm6Q=="}), ("refuse", Failed(b"caf\xe9", FrameError()))]
)
def test_what_becomes_of_bytes_that_are_no_utf8(non_utf8: Any, item: Any) -> None:
    one, bad, two = LineFraming(non_utf8=non_utf8).decoder().feed(b"one\ncaf\xe9\ntwo\n")
    assert (one, two) == ("one", "two")
    if isinstance(item, Failed):
        assert bad.item == item.item
        assert "byte 3 is no UTF-8: send UTF-8, or choose non_utf8=" in str(bad.error)
    else:
        assert bad == item


@pytest.mark.parametrize("cuts", [[], [4], [1] * 30])
def test_a_line_above_the_limit_ends_the_stream_after_the_lines_before_it(cuts: list[int]) -> None:
    decoder = LineFraming(max_bytes=10).decoder()
    *good, bad = fed(decoder, b"one\n" + b"x" * 10 + b"\n" + b"y" * 50 + b"\nnever\n", cuts)
    assert good == ["one", "x" * 10]
    assert isinstance(bad, Failed)
    assert bad.item.startswith(b"yyyyyyyyyyyy")
    assert "more than 10 bytes: send shorter lines, or give the framing more max_bytes" in str(decoder.problem)
    assert decoder.feed(b"late\n") == []
    assert decoder.end() == []


def test_a_stream_without_an_end_of_line_takes_no_more_memory_than_a_line() -> None:
    decoder = LineFraming(max_bytes=100).decoder()
    found = [item for _ in range(1_000) for item in decoder.feed(b"x" * 1_000)]
    assert len(found) == 1
    assert len(found[0].item) <= 200


def test_a_length_above_the_limit_ends_the_stream() -> None:
    decoder = LengthFraming(max_bytes=10).decoder()
    good, bad = decoder.feed(b"\0\0\0\x03one\xff\xff\xff\xffnever")
    assert good == "one"
    assert bad.item.startswith(b"\xff\xff\xff\xff")
    assert "a frame of 4294967295 bytes, more than 10" in str(decoder.problem)


@pytest.mark.parametrize(("framing", "half"), [(LineFraming(), b"20."), (JsonFraming(), b'{"a":'), (LengthFraming(), b"\0\0\0\x05on")])
def test_half_a_frame_at_the_end_is_a_failure_and_no_item(framing: Framing, half: bytes) -> None:
    decoder = framing.decoder()
    assert decoder.feed(half) == []
    (failed,) = decoder.end()
    assert failed.item == half
    assert "the stream ended within a frame" in str(failed.error)
    assert decoder.end() == []


def test_half_a_line_at_the_end_may_be_kept() -> None:
    decoder = LineFraming(partial="keep").decoder()
    assert decoder.feed(b"one\ntwo") == ["one"]
    assert decoder.end() == ["two"]


@pytest.mark.parametrize("line", ["{", "nothing", "null", "[" * 5_000, "1 2"])
def test_a_line_that_is_no_json_is_a_failure_and_the_next_one_is_read(line: str) -> None:
    failed, value = JsonFraming().decoder().feed(f'{line}\n\n{{"a": [1]}}\n'.encode())
    assert isinstance(failed.error, FrameError)
    assert failed.item == line.encode()
    assert value == {"a": [1]}


def test_items_that_are_sent_may_be_values_and_events() -> None:
    event = Event(topic="t", contents={"celsius": 20.5}, source=None, time=datetime.now(UTC))
    sent = b"".join(map(LineFraming().encode, ("é", b"\xff", 1.5, [1], event)))
    assert sent == b'\xc3\xa9\n\xff\n1.5\n[1]\n{"celsius":20.5}\n'
    assert JsonFraming().encode(event) == b'{"celsius":20.5}\n'
    assert JsonFraming().encode("a") == b'"a"\n'
    assert LengthFraming(size=2, text=False).decoder().feed(b"\0\1\xff") == [b"\xff"]


@pytest.mark.parametrize(
    ("framing", "item", "problem"),
    [
        (LineFraming(), "a\nb", "has a line break, and would be two lines"),
        (LineFraming(max_bytes=3), "four", "longer than 3: shorten it"),
        (LineFraming(), "\ud800", "no text that has bytes"),
        (LineFraming(), object(), "object"),
        (JsonFraming(), {"a": object()}, "object"),
        (LengthFraming(size=1), "x" * 256, "has no room in 1 bytes"),
    ],
)
def test_an_item_that_is_no_frame_is_refused(framing: Framing, item: Any, problem: str) -> None:
    with pytest.raises(FrameError, match=problem):
        framing.encode(item)


def test_notices_are_frames() -> None:
    assert LineFraming().notice("gap", "3 frames") == b"# gap: 3 frames\n"
    for framing in (JsonFraming(), LengthFraming()):
        (notice,) = framing.decoder().feed(framing.notice("gap", "3 frames"))
        assert notice in ({"gap": "3 frames"}, '{"gap":"3 frames"}')


@pytest.mark.parametrize(
    "make",
    [
        lambda: framing_of("tabs"),
        lambda: framing_of(None),
        lambda: LineFraming(0),
        lambda: LineFraming(True),
        lambda: LineFraming(non_utf8="drop"),  # type: ignore[arg-type]  # a wrong value is refused
        lambda: LineFraming(partial="drop"),  # type: ignore[arg-type]  # a wrong value is refused
        lambda: LengthFraming(size=3),
    ],
)
def test_wrong_arguments_of_framings_are_refused(make: Any) -> None:
    with pytest.raises(WiringError, match="give"):
        make()
