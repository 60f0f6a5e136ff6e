"""
Mailboxes: in order, within their limit, and nothing is dropped without a hole.
"""

from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream.channels.mailbox import Hole, Mailbox

Taken: TypeAlias = list[int | tuple[int, int]]
"""
What came out: items, and holes by their first and last item.
"""

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 12)),
        st.tuples(st.just("take"), st.integers(0, 25)),
    ),
    max_size=40,
)


def taken(mailbox: Mailbox[int], most: int) -> Taken:
    return [
        (item.first, item.last) if isinstance(item, Hole) else item for item in mailbox.take(most)
    ]


class Naive:
    """
    What a mailbox does, with no regard to time: it remembers for each item whether it is there.

    Attributes:
        items: The numbers of the items that wait, their sizes, and whether they were dropped.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.items: list[tuple[int, int, bool]] = []

    @property
    def size(self) -> int:
        return sum(size for _, size, dropped in self.items if not dropped)

    @property
    def runs(self) -> list[tuple[Taken, int]]:
        """
        What is taken out as one, with its size.
        """
        runs: list[tuple[Taken, int]] = []
        for number, size, dropped in self.items:
            last = runs[-1][0][-1] if runs else None
            if not dropped:
                runs.append(([number], size))
            elif isinstance(last, tuple):
                runs[-1] = ([(last[0], number)], 0)
            else:
                runs.append(([(number, number)], 0))
        return runs

    def put(self, number: int, size: int, policy: str) -> list[int]:
        """
        Add an item, and return what was dropped for it.
        """
        ends_in_a_hole = bool(self.items) and self.items[-1][2]
        if not ends_in_a_hole and self.size + size <= self.limit:
            self.items.append((number, size, False))
            return []
        if policy == "drop":
            self.items.append((number, size, True))
            return [number]
        dropped = [each for each, _, gone in self.items if not gone]
        self.items = [(each, its, True) for each, its, _ in self.items]
        fits = size <= self.limit
        self.items.append((number, size, not fits))
        return dropped if fits else [*dropped, number]

    def take(self, most: int) -> Taken:
        out: Taken = []
        size = 0
        for run, its in self.runs:
            if out and size + its > most:
                break
            out += run
            size += its
        # What went out, holes whole.
        last = out[-1] if out else None
        end = last[1] if isinstance(last, tuple) else last
        self.items = [item for item in self.items if end is not None and item[0] > end]
        return out


class MailboxTests(SynchronousTestCase):
    """
    Items are numbers, and their sizes are what a test says.
    """

    @given(st.integers(0, 20), st.sampled_from(["drop", "latest"]), STEPS)
    def test_it_does_what_a_naive_one_does(
        self, limit: int, policy: str, steps: list[tuple[str, int]]
    ) -> None:
        mailbox: Mailbox[int] = Mailbox(limit)
        naive = Naive(limit)
        for number, (step, size) in enumerate(steps):
            if step == "take":
                assert taken(mailbox, size) == naive.take(size)
            else:
                dropped: list[int] = []
                if not mailbox.put(number, size):
                    if policy == "drop":
                        mailbox.drop(number)
                        dropped = [number]
                    else:
                        dropped = mailbox.replace(number, size)
                assert dropped == naive.put(number, size, policy)
            assert mailbox.size == naive.size <= limit
            assert len(mailbox) == len(naive.runs)
        assert taken(mailbox, 10_000) == naive.take(10_000)
        assert (len(mailbox), mailbox.size) == (0, 0)

    def test_what_has_no_room_changes_nothing(self) -> None:
        mailbox: Mailbox[int] = Mailbox(10)
        self.assertTrue(mailbox.put(1, 6))
        self.assertFalse(mailbox.put(2, 5))
        self.assertTrue(mailbox.put(3, 4))
        self.assertFalse(mailbox.put(4, 1))
        self.assertEqual((mailbox.size, len(mailbox)), (10, 2))
        self.assertEqual(taken(mailbox, 100), [1, 3])

    def test_after_a_hole_nothing_has_room_until_it_is_taken_out(self) -> None:
        mailbox: Mailbox[int] = Mailbox(10)
        mailbox.put(1, 8)
        mailbox.drop(2)
        self.assertFalse(mailbox.put(3, 1))
        mailbox.drop(3)
        self.assertEqual(taken(mailbox, 8), [1, (2, 3)])
        self.assertTrue(mailbox.put(4, 1))
        self.assertEqual(taken(mailbox, 1), [4])

    def test_the_newest_is_kept_behind_a_hole(self) -> None:
        mailbox: Mailbox[int] = Mailbox(10)
        mailbox.put(1, 5)
        mailbox.put(2, 5)
        self.assertEqual(mailbox.replace(3, 10), [1, 2])
        self.assertEqual(mailbox.replace(4, 1), [3])
        self.assertEqual(mailbox.size, 1)
        self.assertEqual(taken(mailbox, 100), [(1, 3), 4])

    def test_one_that_is_larger_than_the_limit_is_dropped_too(self) -> None:
        mailbox: Mailbox[int] = Mailbox(10)
        mailbox.put(1, 5)
        self.assertEqual(mailbox.replace(2, 11), [1, 2])
        self.assertEqual(mailbox.size, 0)
        self.assertEqual(mailbox.replace(3, 10), [])
        self.assertEqual(taken(mailbox, 100), [(1, 2), 3])

    def test_so_much_is_taken_as_may_be_and_at_least_one(self) -> None:
        mailbox: Mailbox[int] = Mailbox(100)
        for number in range(5):
            mailbox.put(number, 10)
        self.assertEqual(taken(mailbox, 0), [0])
        self.assertEqual(taken(mailbox, 29), [1, 2])
        self.assertEqual(mailbox.size, 20)
        self.assertEqual(taken(mailbox, 20), [3, 4])
        self.assertEqual(taken(mailbox, 20), [])
