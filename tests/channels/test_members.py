"""
Who is there: members by their metadata, and the channel that publishes who joins and leaves.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.channels.case import Busy, ChannelTest
from tests.harness import Client
from twistream import Channel, ChannelClosed, Context, EncodeError, Hub, StreamResource
from twistream.channels import presence as presence_module

ANN, BOB = {"name": "Ann"}, {"name": "Bob"}


class MembersTest(ChannelTest):
    """
    The base: a room, and what its companion channel publishes.
    """

    def setUp(self) -> None:
        super().setUp()
        self.room = self.hub.channel("room", presence_grace=8.0)
        self.changes: list[tuple[str, Any]] = []
        self.watch(self.room)

    def watch(self, room: Channel) -> None:
        def passes(message: Any) -> bool:
            self.changes.append((message.event, message.data))
            return True

        async def feed(ctx: Context) -> None:
            await ctx.sse(ping=None).subscribe(room.presence_channel, filter=passes)

        self.client(StreamResource(feed, clock=self.clock))

    def enter(self, metadata: Any, *channels: Channel) -> Client:
        async def feed(ctx: Context) -> None:
            await ctx.sse(ping=None).subscribe(*(channels or (self.room,)), presence=metadata)

        return self.client(StreamResource(feed, clock=self.clock))

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.clock.advance(0.25)

    def seen(self) -> list[tuple[str, Any]]:
        """
        The changes that were published since the last look.
        """
        self.settle()
        changes, self.changes = self.changes, []
        return changes


class PresenceTests(MembersTest):
    def test_a_member_is_there_once_its_joining_is_published(self) -> None:
        self.enter(ANN)
        self.assertEqual(list(self.room.presence()), [])
        self.assertEqual(self.seen(), [("joined", ANN)])
        self.assertEqual(list(self.room.presence()), [ANN])

    def test_it_has_left_after_the_grace_time(self) -> None:
        client = self.enter(ANN)
        self.seen()
        client.disconnect()
        self.wait(7.75)
        self.assertEqual((self.seen(), list(self.room.presence())), ([], [ANN]))
        self.wait(1.5)
        self.assertEqual((self.seen(), list(self.room.presence())), ([("left", ANN)], []))

    def test_who_comes_back_in_time_has_not_left(self) -> None:
        self.enter(ANN).disconnect()
        for _ in range(10):
            self.wait(7)
            self.enter(ANN).disconnect()
        self.assertEqual(self.seen(), [("joined", ANN)])
        self.wait(10)
        self.assertEqual(self.seen(), [("left", ANN)])

    def test_a_client_that_flaps_in_one_turn_has_not_been_there_without_a_grace_time(self) -> None:
        room = self.hub.channel("other", presence_grace=0)
        self.watch(room)
        for _ in range(5):
            self.enter(ANN, room).disconnect()
        self.assertEqual(self.seen(), [])
        client = self.enter(ANN, room)
        self.assertEqual(self.seen(), [("joined", ANN)])
        client.disconnect()
        self.assertEqual(self.seen(), [("left", ANN)])

    def test_streams_with_equal_objects_are_one_member(self) -> None:
        first = self.enter({"name": "Ann", "age": 5})
        second = self.enter({"age": 5, "name": "Ann"})
        self.enter(BOB)
        self.assertEqual([event for event, _ in self.seen()], ["joined", "joined"])
        first.disconnect()
        self.wait(20)
        self.assertEqual((self.seen(), len(self.room.presence())), ([], 2))
        second.disconnect()
        self.wait(20)
        self.assertEqual(self.seen(), [("left", {"name": "Ann", "age": 5})])

    def test_a_stream_without_metadata_is_no_member(self) -> None:
        self.join(self.room)
        self.assertEqual((self.seen(), list(self.room.presence())), ([], []))

    def test_presence_callbacks_are_called_when_the_members_change(self) -> None:
        seen: list[tuple[int, list[str]]] = []
        self.room.on_presence(
            lambda room, count: seen.append((count, [each["name"] for each in room.presence()]))
        )
        ann = self.enter(ANN)
        self.settle()
        self.enter(BOB)
        self.settle()
        self.assertEqual(seen[-1], (2, ["Ann", "Bob"]))
        ann.disconnect()
        self.settle()
        self.assertEqual(seen[-1], (1, ["Ann", "Bob"]))
        self.wait(10)
        self.assertEqual(seen[-1], (1, ["Bob"]))
        told = len(seen)
        self.wait(20)
        self.assertEqual(len(seen), told)

    def test_one_stream_follows_the_room_and_its_changes(self) -> None:
        client = self.enter(ANN, self.room, self.room.presence_channel)
        self.settle()
        self.room.publish("hello")
        self.enter(BOB)
        self.settle()
        events = client.read_events()
        self.assertEqual(
            [(event.event, event.data) for event in events],
            [("joined", '{"name":"Ann"}'), (None, "hello"), ("joined", '{"name":"Bob"}')],
        )
        # The companion has no members, so no companion of its own.
        self.assertEqual(
            sorted(channel.name for channel in self.hub.channels), ["room", "room#presence"]
        )

    def test_who_reconnects_receives_the_changes_that_it_missed(self) -> None:
        reader = self.client(self.resource(self.room.presence_channel))
        self.enter(ANN)
        self.settle()
        [event] = reader.read_events()
        reader.disconnect()
        self.enter(BOB)
        self.settle()
        again = self.client(
            self.resource(self.room.presence_channel), headers={"Last-Event-ID": str(event.id)}
        )
        self.settle()
        self.assertEqual([each.data for each in again.read_events()], ['{"name":"Bob"}'])

    def test_closing_the_room_closes_its_companion_and_waits_for_nobody(self) -> None:
        self.enter(ANN)
        self.enter(BOB).disconnect()
        companion = self.room.presence_channel
        self.room.close()
        self.settle()
        self.assertTrue(companion.closed)
        self.assertEqual(list(self.room.presence()), [])
        self.assertRaises(ChannelClosed, lambda: self.room.presence_channel)
        self.assertEqual(
            [call for call in self.clock.getDelayedCalls() if 5 < call.getTime() < 20], []
        )

    def test_closing_a_room_without_members_closes_its_companion(self) -> None:
        companion = self.room.presence_channel
        self.room.close()
        self.settle()
        self.assertTrue(companion.closed)
        self.assertEqual(self.hub.channels, ())

    def test_a_companion_that_was_closed_is_made_again(self) -> None:
        self.enter(ANN)
        self.settle()
        self.room.presence_channel.close()
        bob, eve = self.enter(BOB), self.enter({"name": "Eve"})
        self.settle()
        self.assertEqual(self.room.presence_channel.published, 2)
        bob.disconnect()
        eve.disconnect()
        self.wait(10)
        self.assertEqual(self.room.presence_channel.published, 4)
        self.assertEqual(self.room.presence(), [ANN])

    def test_a_companion_that_exists_with_other_limits_is_used(self) -> None:
        taken = self.hub.channel("other#presence", history=5)
        other = self.hub.channel("other")
        self.enter(ANN, other)
        self.settle()
        self.assertIs(other.presence_channel, taken)
        self.assertEqual((taken.published, other.presence()), (1, [ANN]))

    def test_head_makes_no_member(self) -> None:
        async def feed(ctx: Context) -> None:
            await ctx.sse().subscribe(self.room, presence=ANN)

        self.client(StreamResource(feed, clock=self.clock), method="HEAD")
        self.assertEqual(self.seen(), [])

    def test_lines_of_json_can_be_members(self) -> None:
        async def feed(ctx: Context) -> None:
            await ctx.subscribe(self.room, presence=ANN)

        self.client(StreamResource(feed, clock=self.clock))
        self.assertEqual(self.seen(), [("joined", ANN)])

    def test_members_that_are_waited_for_are_limited(self) -> None:
        self.patch(presence_module, "MAX_ABSENT", 3)
        for n in range(5):
            self.enter({"n": n}).disconnect()
            self.settle()
        changes = [(event, data["n"]) for event, data in self.seen()]
        self.assertEqual([n for event, n in changes if event == "joined"], [0, 1, 2, 3, 4])
        self.assertEqual([n for event, n in changes if event == "left"], [0, 1])

    def test_wrong_metadata_is_refused_before_anything_is_sent(self) -> None:
        errors: list[type[BaseException]] = []

        async def feed(ctx: Context) -> None:
            wrong: Any
            for wrong in (5, "Ann", [ANN], {"a": float("nan")}, {"a": object()}, {"a": "x" * 5000}):
                try:
                    await ctx.subscribe(self.room, presence=wrong)
                except (TypeError, ValueError) as err:
                    errors.append(type(err))
                    self.assertIn("presence", str(err))

        self.client(StreamResource(feed, clock=self.clock))
        self.assertEqual(
            errors, [TypeError, TypeError, TypeError, EncodeError, EncodeError, ValueError]
        )
        self.assertEqual(self.room.subscriber_count, 0)

    def test_the_first_caller_sets_the_grace_time(self) -> None:
        self.assertIs(self.hub.channel("room", presence_grace=8), self.room)
        with self.assertRaisesRegex(ValueError, "history=0, presence_grace=8; pass the same"):
            self.hub.channel("room", presence_grace=9)
        self.assertEqual(self.hub.channel("other").presence_grace, presence_module.GRACE)

    @settings(max_examples=60)
    @given(
        st.lists(st.tuples(st.sampled_from("ABC"), st.booleans(), st.integers(0, 12)), max_size=25)
    )
    def test_published_changes_always_add_up_to_who_is_there(
        self, steps: list[tuple[str, bool, int]]
    ) -> None:
        self.clock = Busy()
        self.hub = Hub(clock=self.clock)
        self.room = self.hub.channel("room", presence_grace=2.0)
        self.changes = []
        self.watch(self.room)
        there: dict[str, list[Client]] = {name: [] for name in "ABC"}
        listed: set[str] = set()
        last_seen = dict.fromkeys("ABC", -100.0)
        for name, enters, quarters in steps:
            if enters:
                there[name].append(self.enter({"name": name}))
            elif there[name]:
                there[name].pop().disconnect()
                last_seen[name] = self.clock.seconds()
            self.wait(quarters / 4)
            for event, data in self.seen():
                (self.assertNotIn if event == "joined" else self.assertIn)(data["name"], listed)
                (listed.add if event == "joined" else listed.discard)(data["name"])
            self.assertEqual({each["name"] for each in self.room.presence()}, listed)
            for each in "ABC":
                if there[each]:
                    self.assertIn(each, listed)
                elif self.clock.seconds() - last_seen[each] > 2.6:
                    self.assertNotIn(each, listed)
