"""Topics and patterns: which names are valid, and that globs match as in the server."""

import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import notify
from notify import InvalidTopicError
from notify.events.topic import MAX_TOPIC_BYTES, Glob, check_topic, check_topic_or_pattern, is_pattern

BAD_TOPICS = [None, 5, b"bytes", "", "x" * 513, "é" * 257, "\ud800"]


@pytest.mark.parametrize("topic", ["t", "job.mail", "a b\nc", "é" * 256, "x" * MAX_TOPIC_BYTES, "]", "\\", "^-"])
def test_a_topic_is_any_text_of_at_most_512_bytes(topic):
    assert check_topic(topic) == topic


@pytest.mark.parametrize("topic", BAD_TOPICS)
def test_an_invalid_topic_can_neither_be_published_on_nor_subscribed_to(topic):
    with pytest.raises(InvalidTopicError):
        check_topic(topic)
    with pytest.raises(InvalidTopicError):
        check_topic_or_pattern(topic)


@pytest.mark.parametrize("pattern", ["*", "a?", "[ab]", "lab.*"])
def test_a_pattern_can_be_subscribed_to_but_not_published_on(pattern):
    assert is_pattern(pattern)
    assert check_topic_or_pattern(pattern) == pattern
    with pytest.raises(InvalidTopicError, match=re.escape(pattern)):
        check_topic(pattern)


@pytest.mark.parametrize(
    ("pattern", "topic", "matches"),
    [
        ("system.*", "system.ctime", True),
        ("system.*", "system.", True),
        ("system.*", "system", False),
        ("system.*", "System.ctime", False),
        ("?at", "cat", True),
        ("?at", "at", False),
        ("*", "anything\nat all", True),
        ("a?b", "a\nb", True),
    ],
)
def test_N11_a_star_is_any_text_a_question_mark_one_byte_and_case_counts(pattern, topic, matches):
    assert Glob(pattern).matches(topic) is matches


glob_text = st.text(alphabet="ab*?[]^-\\é", max_size=8)
topic_text = st.text(alphabet="ab*?[]^-\\é", min_size=1, max_size=6)


@given(glob_text, st.lists(topic_text, min_size=1, max_size=20))
@settings(max_examples=400)
@example("[^]", ["a"])
@example("[]a]", ["a", "a]"])
@example("[\\]]", ["]", "\\]"])
@example("[z-a]", ["b", "z", "-"])
@example("[a-]", ["a", "-", "]"])
@example("[a", ["a", "[a"])
@example("[", ["[", "a"])
@example("a[^", ["a", "ab", "a["])
@example("a\\", ["a", "a\\"])
@example("??", ["é", "a", "ab"])
def test_globs_match_the_same_names_as_in_the_server(bus, pattern, topics):
    """`KEYS` and `PSUBSCRIBE` use the same matcher in the server."""
    assume("-" not in pattern or "é" not in pattern)  # where a range over bytes above 127 ends depends on the server's machine
    bus.redis.flushall()
    bus.redis.mset(dict.fromkeys(topics, "0"))
    matched_by_the_server = {key.decode() for key in bus.redis.keys(pattern)}
    bus.redis.flushall()
    assert {topic for topic in topics if Glob(pattern).matches(topic)} == matched_by_the_server


def test_a_pattern_with_many_stars_is_matched_quickly():
    """With plain backtracking this match would practically never end."""
    assert not Glob("*a" * 100 + "b").matches("a" * 512)


def test_an_unusual_pattern_can_be_subscribed_to(bus, collect):
    with bus.subscribe("[z-a]1") as events:
        bus.publish("q1", "in the range")
        bus.publish("-1", "not in it")
        (event,) = collect(events, 1)
    assert isinstance(event, notify.Event)
    assert event.topic == "q1"
