"""
An HTTP/2 client that shows frames, for tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes, Settings

from tests.e2e.net import Client, Server


@dataclass
class Stream:
    """
    One response so far.

    Attributes:
        head: Names and values, with ``:status``.
        frames: The DATA frames, empty ones left out.
        trailers: Names and values after the body.
        ended: END_STREAM came.
        reset: The code of RST_STREAM, or None.
    """

    head: dict[str, str] = field(default_factory=dict)
    frames: list[bytes] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.frames)

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class H2Client:
    """
    One connection.

    Attributes:
        reading: Whether windows are opened again for what was received.
        gone: The server has said goodbye.
    """

    def __init__(self, client: Client, window: int | None = None) -> None:
        self.client = client
        self.reading = True
        self.gone = False
        self.streams: dict[int, Stream] = {}
        self.connection = H2Connection(H2Configuration(header_encoding="utf-8"))
        if window is not None:
            self.connection.local_settings = Settings(
                initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window}
            )
        self.connection.initiate_connection()
        self.flush()
        client.dataReceived = self._received  # type: ignore[method-assign]  # only this client's connection

    @classmethod
    async def connect(cls, server: Server, window: int | None = None) -> "H2Client":
        client = await server.connect(alpn=b"h2")
        return cls(client, window)

    def request(
        self, path: str = "/", method: str = "GET", headers: Sequence[tuple[str, str]] = ()
    ) -> Stream:
        number = self.connection.get_next_available_stream_id()
        stream = self.streams[number] = Stream()
        self.connection.send_headers(
            number,
            [
                *((":method", method), (":path", path), (":scheme", "https"), (":authority", "a")),
                *headers,
            ],
            end_stream=True,
        )
        self.flush()
        return stream

    def number_of(self, stream: Stream) -> int:
        (number,) = [number for number, each in self.streams.items() if each is stream]
        return number

    def reset(self, stream: Stream) -> None:
        self.connection.reset_stream(self.number_of(stream), ErrorCodes.CANCEL)
        self.flush()

    def open_window(self, size: int, stream: Stream | None = None) -> None:
        self.connection.increment_flow_control_window(
            size, None if stream is None else self.number_of(stream)
        )
        self.flush()

    def set_windows(self, size: int) -> None:
        self.connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size})
        self.flush()

    async def over(self, *streams: Stream) -> None:
        await self.client.until(lambda: all(stream.over for stream in streams))
        assert all(stream.over for stream in streams)

    def flush(self) -> None:
        self.client.send(self.connection.data_to_send())

    def _received(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            self._happened(event)
        self.flush()
        self.client._look()

    def _happened(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            self.streams[event.stream_id].head = dict(event.headers)  # type: ignore[arg-type]  # header_encoding makes them str
        elif isinstance(event, DataReceived):
            if event.data:
                self.streams[event.stream_id].frames.append(event.data)
            if self.reading and event.flow_controlled_length:
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
        elif isinstance(event, TrailersReceived):
            self.streams[event.stream_id].trailers += event.headers  # type: ignore[arg-type]  # header_encoding makes them str
        elif isinstance(event, StreamEnded):
            self.streams[event.stream_id].ended = True
        elif isinstance(event, StreamReset):
            self.streams[event.stream_id].reset = event.error_code
        elif isinstance(event, ConnectionTerminated):
            self.gone = True
