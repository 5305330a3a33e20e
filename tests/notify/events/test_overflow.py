"""The policies for a full queue, and the check of their choice."""

import pytest

import notify
from notify.events.overflow import LISTENER_POLICIES, PUBLISHER_POLICIES, check_overflow


def test_a_listener_has_the_policies_of_a_publisher_but_for_raising():
    assert {*PUBLISHER_POLICIES} - {*LISTENER_POLICIES} == {"raise"}
    assert {*LISTENER_POLICIES} < {*PUBLISHER_POLICIES}


@pytest.mark.parametrize("policy", PUBLISHER_POLICIES)
def test_a_known_policy_is_accepted(policy):
    check_overflow(1, policy, PUBLISHER_POLICIES)


@pytest.mark.parametrize(
    ("max_items", "when_full", "problem"), [(0, "block", "max_items is 0"), (1, "raise", "choose one of block, drop_oldest")]
)
def test_an_invalid_limit_or_policy_is_refused_by_its_name(max_items, when_full, problem):
    with pytest.raises(notify.SettingsError, match=problem):
        check_overflow(max_items, when_full, LISTENER_POLICIES)
