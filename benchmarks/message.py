"""
The messages that all servers send, and their bytes on the wire.
"""

from json import JSONEncoder
from typing import Final

from attrs import frozen

TEXT: Final = "x" * 92
MESSAGE: Final = b"data: %b\n\n" % TEXT.encode()  # an event of 100 bytes
VALUE: Final = {"number": 12, "words": "x" * 45, "read": False, "tags": ["a", "b"]}
JSON_LINE: Final = b'{"number":12,"words":"%b","read":false,"tags":["a","b"]}\n' % (b"x" * 45)
encode: Final = JSONEncoder(
    separators=(",", ":")
).encode  # json.dumps would make an encoder each time
PUBLISHED: Final = b"x" * 100  # the text of an event of a channel
HISTORY: Final = 1_000  # the events that a channel keeps
MEDIA_TYPE: Final = "text/event-stream"


def _trade(number: int) -> bytes:
    price, volume = 10_000 + number * 7919 % 5000, number * 104_729 % 9973
    value = (
        f'{{"symbol":"{"ABCDEFGH"[number * 5 % 8]}{"IJKLM"[number * 3 % 5]}X",'
        f'"price":{price // 100}.{price % 100:02},"volume":{volume},'
        f'"time":"12:{number // 60 % 60:02}:{number % 60:02}"}}'
    )
    return f"id: 5f3a-{number}\nevent: trade\ndata: {value}\n\n".encode()


TRADES: Final = tuple(map(_trade, range(1_000)))  # events that differ, about 100 bytes each


def as_chunk(data: bytes) -> bytes:
    """
    Frame bytes as one chunk (RFC 9112 7.1).
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNK: Final = as_chunk(MESSAGE)  # 106 bytes
LAST_CHUNK: Final = b"0\r\n\r\n"


@frozen
class Events:
    """
    The events of one channel. Each id is an epoch, which the server chooses, and a number.
    """

    epoch: str

    def id_of(self, number: int) -> str:
        """
        The id of an event.
        """
        return f"{self.epoch}-{number}"

    def event(self, number: int, text: bytes = PUBLISHED) -> bytes:
        """
        An event as bytes.
        """
        return b"id: %b\ndata: %b\n\n" % (self.id_of(number).encode(), text)
