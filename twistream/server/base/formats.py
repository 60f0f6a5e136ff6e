"""
FormattedBody: the methods with which a handler writes a value in one of many formats.

``wire`` renders the values. A value that its format cannot represent raises at the call, and nothing is
written.

Layer: base, above `body`.
"""

from collections.abc import Mapping
from threading import get_ident

from twisted.internet.defer import Deferred
from twisted.python import threadable

from twistream.scheduling.threads import refuse_thread
from twistream.scheduling.waits import Fired
from twistream.server.base.body import Body
from twistream.server.response.writer import Urgency
from twistream.wire import formats, problem, render, xml
from twistream.wire.render import BytesLike


class FormattedBody(Body):
    """
    A body with a method for each format.
    """

    __slots__ = ()

    def text(self, value: str) -> int:
        """
        Write plain text. Sets the type ``text/plain`` if none is set.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: The value is not a str, or has a lone surrogate.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
        """
        return self._write_rendered(render.text(value))

    def html(self, value: str) -> int:
        """
        Write HTML, unescaped. Sets the type ``text/html`` if none is set.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: The value is not a str, or has a lone surrogate.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
        """
        return self._write_rendered(render.html(value))

    def binary(self, value: BytesLike) -> int:
        """
        Write bytes. Sets the type ``application/octet-stream`` if none is set.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: The value is not bytes-like.
        """
        try:
            data = memoryview(value).tobytes()
        except TypeError:
            msg = f"binary() takes bytes, not {type(value).__name__}"
            raise TypeError(msg) from None
        return self._write_rendered(render.binary(data))

    def json(self, value: object) -> int:
        """
        Write one JSON value. Sets the type ``application/json`` if none is set.

        Accepts the types of JSON, and what else msgspec accepts: dataclasses, attrs classes,
        ``msgspec.Struct``, datetimes, UUIDs, decimals, enums, sets and more. Bytes become a
        string in base64.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: JSON cannot represent the value. Nothing is written.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
        """
        return self._write_rendered(render.json(value))

    def xml(self, value: object, *, root: str | None = None) -> int:
        """
        Write one value as an XML document. Sets the type ``text/xml`` if none is set.

        Accepts the values that `json` accepts. The keys of a mapping become elements, and so do the
        items of a list: ``{"a": [1, 2]}`` is ``<a>1</a><a>2</a>``. For attributes and namespaces,
        pass an `xml.etree.ElementTree.Element`.

        Args:
            root: The name of the outermost element. By default, it is the name of the class of a
                dataclass or the like, and ``root`` for any other value. An Element keeps its name.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: XML cannot represent the value: a key is not the name of an element, or a
                text has a control character. Nothing is written.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: `root` is not a str.
            ValueError: `root` is not the name of an element.
        """
        return self._write_rendered(xml.xml(value, root))

    def yaml(self, value: object) -> int:
        """
        Write one value as YAML. Sets the type ``application/yaml`` if none is set.

        Accepts the values that `json` accepts, and NaN and infinity. Requires ``pip install
        'twistream[formats]'``.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: YAML cannot represent the value. Nothing is written.
            ImportError: PyYAML is not installed.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
        """
        return self._write_rendered(formats.yaml(value))

    def msgpack(self, value: object) -> int:
        """
        Write one value as MessagePack. Sets the type ``application/msgpack`` if none is set.

        Accepts the values that `json` accepts, and NaN and infinity. Bytes stay bytes, and a
        datetime with a time zone becomes a timestamp.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: MessagePack cannot represent the value, such as an int of more than 64
                bits. Nothing is written.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
        """
        return self._write_rendered(formats.msgpack(value))

    def jsonp(self, callback: str | None, value: object) -> int:
        """
        Write a script that calls the function `callback` with one JSON value. Sets the type
        ``text/javascript`` if none is set.

        Any page of any site can read the answer. Where you choose the clients, prefer `json` with
        CORS.

        Args:
            callback: The name of a function in JavaScript, ``receive`` or ``app.receive``, usually
                from the query: ``ctx.jsonp(ctx.query("callback"), value)``.
            value: What `json` accepts.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: JSON cannot represent the value. Nothing is written.
            HTTPError: 400. The callback is None, or is not a name, or names with dots between them,
                of at most 128 ASCII characters.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: The callback is neither a str nor None.
        """
        rendered = formats.jsonp(callback, value)
        # A browser must not interpret the script as anything else, such as HTML.
        self._default_header(b"X-Content-Type-Options", b"nosniff")
        return self._write_rendered(rendered)

    def markdown(self, value: str, *, allow_html: bool = False) -> int:
        """
        Write HTML made from Markdown. Sets the type ``text/html`` if none is set.

        The dialect is CommonMark, with tables and strikethrough. The result is a part of a page,
        without ``<html>`` and ``<body>``. Requires ``pip install 'twistream[formats]'``.

        Args:
            allow_html: Keep HTML that is in the text. Otherwise it is shown as text, so that text
                from users contains no script. Links to scripts are never made.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: The value is not a str, or has a lone surrogate.
            ImportError: markdown-it-py is not installed.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
        """
        return self._write_rendered(formats.markdown(value, allow_html=allow_html))

    def problem(  # noqa: PLR0913 - the members of a problem, by keyword
        self,
        status: int,
        detail: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the name in the format
        title: str | None = None,
        instance: str | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> int:
        """
        Answer with a problem for programs to read (RFC 9457). Sets the status, and the type
        ``application/problem+json``.

        Args:
            status: The status code, from 400 to 599.
            detail: What went wrong this time, for people.
            type: A URI reference that identifies the kind of problem.
            title: The name of the kind of problem. By default, it is the standard phrase of the
                status, such as ``Not Found``.
            instance: A URI reference that identifies this occurrence.
            extensions: Further members, of any names but these.

        Returns:
            The number of bytes.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: JSON cannot represent an extension. Nothing is written.
            HeadersSent: The head has been sent.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: An argument has the wrong type.
            ValueError: The status is not from 400 to 599, `type` or `instance` is not a URI
                reference, or an extension has the name of another member.
        """
        media_type, data = problem.problem(
            status, detail, type=type, title=title, instance=instance, extensions=extensions
        )
        self.status_code(status)
        self.content_type(media_type)
        return self.write(data)

    def json_line(self, value: object) -> Deferred[None]:
        """
        Write and flush one line of JSON. Sets the type ``application/jsonl`` if none is set.

        Accepts the values that `json` accepts, except bytes as the whole value: for those,
        decode them, or use `write` and `flush`.

        Returns:
            Fires when more may be written, like the Deferred of `flush`. Fails with the reason
            if the response is over, and with `ResponseComplete` where no body is allowed.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: JSON cannot represent the value. Nothing is written.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: The value is bytes-like. Nothing is written.
        """
        if get_ident() != threadable.ioThread is not None:
            refuse_thread("json_line()")
        media_type, line = render.json_line(value)
        self._default_type(media_type)
        return self._writer.send_step(line, Urgency.NOW) or Fired()

    def _write_rendered(self, rendered: render.Rendered) -> int:
        media_type, data = rendered
        self._default_type(media_type)
        return self._writer.write(data)

    def _default_type(self, media_type: str) -> None:
        response = self._response
        if not (response.life.head_sent or response.open_head.has_type()):
            self.content_type(media_type)

    def _default_header(self, name: bytes, value: bytes) -> None:
        if not self._response.life.head_sent:
            self._response.open_head.default(name, value)
