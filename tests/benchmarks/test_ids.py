"""
The ids that servers without channels of their own give to events.
"""

import pytest

from benchmarks.servers.ids import Ids


def test_ids_are_a_name_of_this_life_and_a_number() -> None:
    ids, others = Ids(), Ids()
    name, _, number = ids.of(12).partition("-")
    assert number == "12"
    assert ids.of(13) == f"{name}-13"
    assert ids.of(12) != others.of(12)


@pytest.mark.parametrize(("number", "seen"), [(3000, 3000), (2500, 2500), (2000, 2000), (7, 2000)])
def test_a_client_goes_on_after_what_it_has_or_after_what_is_kept_no_more(
    number: int, seen: int
) -> None:
    ids = Ids()
    assert ids.seen(ids.of(number), 3000, 1000) == seen


@pytest.mark.parametrize("last_event_id", [None, "", "7", "other-7", "other", "-"])
def test_a_client_with_no_id_of_this_channel_gets_what_is_new(last_event_id: str | None) -> None:
    assert Ids().seen(last_event_id, 3000, 1000) == 3000


def test_an_id_that_was_not_given_yet_is_none() -> None:
    ids = Ids()
    assert ids.seen(ids.of(3001), 3000, 1000) == 3000
    assert ids.seen(ids.of(3) + "x", 3000, 1000) == 3000
