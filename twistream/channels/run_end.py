"""
RunEnd: the last message of a run, which reports how it ended.

Layer: channels, above `run_state`.
"""

from typing import Any

from attrs import frozen

from twistream.channels.run_state import RunState
from twistream.errors import MAX_MESSAGE, HTTPError
from twistream.wire.messages import Message, Payload, encoded
from twistream.wire.render import refuse_bytes

END = "end"
"""
The name of the event that ends a run.
"""

END_ROOM = 64 * 1024
"""
Bytes that the history of a run keeps free for its end. A result that does not fit is not sent.
"""


@frozen(kw_only=True)
class RunEnd:
    """
    How a run ended.

    Attributes:
        state: The final state.
        result: What the producer returned.
        reason: Why it was stopped. Empty if no reason was given.
        error: The text of the producer's exception, if clients may see it. Empty otherwise.
    """

    state: RunState
    result: Any = None
    reason: str = ""
    error: str = ""

    def encode(self) -> tuple[Payload, bool]:
        """
        Return the data of the message, and whether it has the result.

        The result is left out if JSON cannot represent it, or if it is too large.
        """
        if self.result is not None:
            try:
                refuse_bytes(self.result)
                payload = encoded(self._data())
            except (TypeError, ValueError):  # An EncodeError is a TypeError.
                pass
            else:
                if len(payload) + len(END) <= END_ROOM:
                    return payload, True
        return encoded(self._data(result=False)), self.result is None

    @classmethod
    def decode(cls, message: Message) -> "RunEnd":
        """
        Read the end from its message.
        """
        data = message.data
        return cls(
            state=RunState(data["state"]),
            result=data.get("result"),
            reason=data.get("reason", ""),
            error=data.get("error", ""),
        )

    def _data(self, *, result: bool = True) -> dict[str, Any]:
        data = {"state": self.state.value}
        if result and self.result is not None:
            data["result"] = self.result
        if self.reason:
            data["reason"] = self.reason[:MAX_MESSAGE]
        if self.error:
            data["error"] = self.error
        return data


def error_text(error: BaseException) -> str:
    """
    The text of an exception, on one line: what an error page would show.
    """
    try:
        shown = error.message if isinstance(error, HTTPError) else error
    except Exception:  # noqa: BLE001 - a subclass may compute its message, and the run must end
        shown = ""
    return HTTPError(500, shown).message or type(error).__name__


def error_page(error: BaseException | None) -> HTTPError:
    """
    The error with which followers fail that have received nothing: that of the producer, or a 500.
    """
    if not isinstance(error, HTTPError):
        return HTTPError(500)
    try:
        return HTTPError(error.status, error.message)
    except Exception:  # noqa: BLE001 - anything can be assigned to its status; as above
        return HTTPError(500)


def without_frames(error: BaseException) -> BaseException:
    """
    Drop the tracebacks of an exception and of those that led to it: they keep local variables alive.
    """
    chain: list[BaseException | None] = [error]
    seen: set[int] = set()
    while chain:
        each = chain.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            chain += (each.__cause__, each.__context__)
    return error
