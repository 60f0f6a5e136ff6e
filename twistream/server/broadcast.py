"""
Broadcast: sends the same messages to many responses, at the cost of one send for each.

For all members together, a message is encoded once, and framed once for each framing in use. The
messages of one turn are sent at its end, with one send to each socket that does not go through the
poller. A slow member does not delay the others: its messages go to a function, or it is cut.

A broadcast has no history, no ids and no names. Channels are built on it.

Layer: server.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.errors import BufferOverflow, SlowConsumer, StreamAborted
from twistream.scheduling.turn import Turn
from twistream.server.response.delivery import MessageWriter
from twistream.server.response.response import Response
from twistream.wire.frames import SEND_SIZE, Batch, Frame

_COALESCE_SHARE = 1 / 8
"""
After a round of several messages, the next round waits for this share of the time that the round
took. The messages of a burst are then sent in one round instead of two. An eighth is what
publishers need to answer a round, as measured, and adds little to the round.
"""

_NOTHING = Batch(())

OnFull: TypeAlias = Callable[[Sequence[Frame]], object]
"""
Called with the messages that are not sent to a member, because its connection is full or it is
paused.
"""


_Round: TypeAlias = tuple[Batch, dict[MessageWriter, int], Iterator[MessageWriter]]
"""
While a round is sent: the messages, the indexes of the first ones of late members, and the members
that it has not reached yet.
"""


class Broadcast:
    """
    A set of responses that receive the same messages.
    """

    __slots__ = (
        "_coalesce_for",
        "_frames",
        "_late",
        "_members",
        "_paused",
        "_round",
        "_round_ended",
        "_turn",
    )

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        """
        Args:
            clock: The clock of the responses.
        """
        self._turn = Turn.of(clock)
        # Keyed by the writers: with thousands of members, every object that is touched for each
        # of them costs as much as a call.
        self._members: dict[MessageWriter, _Member] = {}
        self._paused: set[MessageWriter] = set()
        self._frames: list[Frame] = []
        self._round_ended = 0.0
        self._coalesce_for = 0.0
        # For members that joined after the first of these frames: the index of their first.
        self._late: dict[MessageWriter, int] = {}
        self._round: _Round | None = None

    def __len__(self) -> int:
        """
        The number of members.
        """
        return len(self._members)

    def add(self, response: Response, on_full: OnFull | None = None, *, hold: bool = False) -> None:
        """
        Send every message to `response` from now on, until it is over or discarded.

        Its head is sent at the latest at the end of this turn, unless it is held. Each message is a
        chunk of its own. It is sent after everything that the handler has flushed, and before what
        the handler has written and not flushed. Where no body is allowed, this completes the
        response. A message that exceeds a declared ``Content-Length`` aborts the response.

        Args:
            on_full: Called with the messages, which are not sent, while the client's
                connection is full or the member is paused. If it raises, the error is logged
                and the response aborted. Without it, messages are queued up to
                ``max_buffered``. After that, the client is cut with `SlowConsumer`.
            hold: The head is sent with the first message.

        Raises:
            StreamClosed: The response ended early.
            StreamFinished: It ended normally.
            ValueError: It is a member already.
        """
        writer = response.writer
        if writer in self._members:
            msg = "the response is already a member"
            raise ValueError(msg)
        if not response.life.ended and not response.admits_body():
            return
        if not hold:
            response.open_soon()
        member = self._members[writer] = _Member(self, response, on_full)
        if self._frames:
            self._late[writer] = len(self._frames)
        if self._round is not None:
            # The round may still come to it, if it was a member when the round began.
            batch, late, _ = self._round
            late[writer] = len(batch.frames)
        response.observers.attach(member)

    def discard(self, response: Response) -> None:
        """
        Send nothing more to `response`, not even messages of this turn. It need not be a member.
        """
        writer = response.writer
        member = self._members.pop(writer, None)
        if member is not None:
            response.observers.detach(member)
            self._paused.discard(writer)
            self._late.pop(writer, None)

    def withdraw(self, response: Response) -> list[Frame]:
        """
        Discard a member, and return the messages that were not sent to it yet, in order.

        The caller sends them. The list is empty if it is no member.
        """
        writer = response.writer
        if writer not in self._members:
            return []
        unsent = self._frames[self._late.get(writer, 0) :]
        if self._round is not None:
            batch, late, following = self._round
            if writer in copy(following):  # A copy, because the search uses up an iterator.
                unsent = [*batch.frames[late.get(writer, 0) :], *unsent]
        self.discard(response)
        return unsent

    @property
    def has_unsent(self) -> bool:
        """
        Whether there are messages that the next round sends.
        """
        return bool(self._frames)

    def pause(self, response: Response) -> None:
        """
        From now on, pass the messages of this member to its `on_full`.
        """
        self._paused.add(response.writer)

    def resume(self, response: Response) -> None:
        """
        Send the messages to this member again.
        """
        self._paused.discard(response.writer)

    def send(self, frame: Frame) -> None:
        """
        Send one message to all current members.

        It is sent at the end of this turn, or a little later in a burst. A member whose handler
        ends before that does not receive it.
        """
        if self._members:
            self._frames.append(frame)
            if len(self._frames) == 1:
                self._flush_soon()

    def _flush_soon(self) -> None:
        wait = self._round_ended + self._coalesce_for - self._turn.clock.seconds()
        if wait > 0:
            wait = min(wait, self._coalesce_for)  # The clock may have been set back.
            self._turn.clock.callLater(wait, self.flush)
        else:
            self._turn.at_end(self.flush)

    def flush(self) -> None:
        """
        Send all messages since the last round now. An `on_full` function must not call this.
        """
        if not self._frames:
            return  # They were sent early.
        self._turn.enter()
        began = self._turn.clock.seconds()
        batch = Batch(self._frames)
        late, self._frames, self._late = self._late, [], {}
        parts = {start: Batch(batch.frames[start:]) for start in set(late.values())}
        parts[len(batch.frames)] = _NOTHING
        members, paused = self._members, self._paused
        fits = batch.size <= SEND_SIZE
        # A copy, because a member that is cut is discarded.
        following = iter(list(members))
        self._round = batch, late, following
        for writer in following:
            if writer not in members:
                continue  # Discarded by a member that was served before.
            part = batch
            if late and writer in late:
                part = parts[late[writer]]
                if not part.frames:
                    continue
            try:
                if writer in paused or not fits or not writer.send_at_once(part):
                    self._serve_slowly(writer, part)
            except BaseException as err:  # noqa: BLE001 - one member's failure is no other's
                self._failed(writer, err)
        self._round = None
        if len(batch.frames) > 1:
            self._round_ended = self._turn.clock.seconds()
            self._coalesce_for = (self._round_ended - began) * _COALESCE_SHARE

    def _failed(self, writer: MessageWriter, err: BaseException) -> None:
        """
        End the response of a member to which the messages could not be sent.
        """
        member = self._members.get(writer)
        if not isinstance(err, BufferOverflow):
            self._log.failure("sending a broadcast to a member failed", Failure(err))
        # It is no member any more if `on_full` discarded it, or ended its response.
        if member is None:
            return
        if isinstance(err, BufferOverflow):
            member.response.cut(SlowConsumer(err.buffered, err.limit))
        else:
            member.response.abort(StreamAborted(type(err).__name__))

    def _serve_slowly(self, writer: MessageWriter, batch: Batch) -> None:
        """
        Serve a member that is paused or busy, or that may become full within the batch.
        """
        on_full, served = self._members[writer].on_full, 0
        if on_full is None:
            writer.deliver(batch)
            return
        for part in batch.parts:
            if writer in self._paused or writer.full:
                on_full(batch.frames[served:])
                return
            writer.deliver(part)
            served += len(part.frames)


class _Member:
    """
    A member. It is attached to its response until one of the two ends.

    Attributes:
        on_full: See `Broadcast.add`.
        response: The response.
    """

    __slots__ = ("_broadcast", "on_full", "response")

    call = None  # No handler waits for it.
    detached = True

    def __init__(self, broadcast: Broadcast, response: Response, on_full: OnFull | None) -> None:
        self._broadcast = broadcast
        self.response = response
        self.on_full = on_full

    def stop(self, _: BaseException) -> None:
        """
        The response is over.
        """
        self._broadcast.discard(self.response)
