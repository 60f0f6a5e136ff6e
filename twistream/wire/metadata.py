"""
Metadata: a small JSON object that describes a subscription.

Pure.
"""

from collections.abc import Mapping

import msgspec

from twistream.checks import kind
from twistream.errors import EncodeError
from twistream.wire.render import encode_json

MAX_SIZE = 4096
"""
Bytes of JSON. Every member of a channel takes as much memory, and each change is sent to all.
"""

_encoder = msgspec.json.Encoder(order="deterministic")


def encode_metadata(name: str, value: object) -> bytes | None:
    """
    Encode metadata as JSON with its keys in one order, so that equal objects are equal bytes.

    Args:
        name: The argument, for the message of an error.

    Returns:
        The JSON; None for None.

    Raises:
        EncodeError: JSON cannot represent it.
        TypeError: It is not a mapping.
        ValueError: It is larger than `MAX_SIZE`.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        msg = f'{name} must be a mapping, such as {{"name": "Ann"}}, not {kind(value)}'
        raise TypeError(msg)
    try:
        encoded = _encoder.encode(msgspec.json.decode(encode_json(dict(value))))
    except EncodeError as err:
        msg = f"{name}: {err}"
        raise EncodeError(msg) from err
    if len(encoded) > MAX_SIZE:
        msg = f"{name} must be at most {MAX_SIZE} bytes of JSON, not {len(encoded)}"
        raise ValueError(msg)
    return encoded
