"""
What the servers on asyncio publish by.
"""

import asyncio

import pytest

from benchmarks.servers import WAITING
from benchmarks.servers.feed import Feed, Follower


def test_a_follower_gets_what_is_published_after_it_came_in_order() -> None:
    async def follow() -> list[int]:
        feed: Feed[int] = Feed()
        feed.publish(0)
        follower = feed.follow()
        feed.publish(1)
        feed.publish(2)
        waiting = asyncio.ensure_future(_take(feed.follow(), 1))
        found = [await anext(follower), await anext(follower)]
        feed.publish(3)
        return [*found, await anext(follower), *await waiting]

    assert asyncio.run(follow()) == [1, 2, 3, 3]


def test_each_of_those_who_wait_gets_each_message() -> None:
    async def follow() -> list[list[int]]:
        feed: Feed[int] = Feed()
        waiting = [asyncio.ensure_future(_take(feed.follow(), 3)) for _ in range(3)]
        for number in range(3):
            await asyncio.sleep(0)
            feed.publish(number)
        return await asyncio.gather(*waiting)

    assert asyncio.run(follow()) == [[0, 1, 2]] * 3


def test_a_follower_that_is_further_behind_than_what_is_kept_is_at_its_end() -> None:
    async def follow() -> list[int]:
        feed: Feed[int] = Feed()
        follower, slower = feed.follow(), feed.follow()
        for number in range(WAITING):
            feed.publish(number)
        found = await _take(follower, WAITING)
        assert await anext(slower) == 0
        for number in range(WAITING):
            feed.publish(number)
        with pytest.raises(StopAsyncIteration):
            await anext(slower)
        assert len(feed.latest) == WAITING
        return found

    assert asyncio.run(follow()) == list(range(WAITING))


def test_a_follower_that_is_cancelled_takes_nothing_from_the_others() -> None:
    async def follow() -> list[int]:
        feed: Feed[int] = Feed()
        first, second = (asyncio.ensure_future(_take(feed.follow(), 1)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        feed.publish(7)
        return await second

    assert asyncio.run(follow()) == [7]


def test_a_follower_may_begin_with_what_is_still_kept() -> None:
    async def follow() -> list[int]:
        feed: Feed[int] = Feed(kept=3)
        for number in range(1, 6):
            feed.publish(number)
        follower = feed.follow(2)
        feed.publish(6)
        with pytest.raises(StopAsyncIteration):
            await anext(follower)
        return await _take(feed.follow(3), 3)

    assert asyncio.run(follow()) == [4, 5, 6]


async def _take(follower: Follower[int], count: int) -> list[int]:
    return [await anext(follower) for _ in range(count)]
