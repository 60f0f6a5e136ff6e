"""
Checks of numbers that programs give, with errors that name the argument.
"""

_LONGEST = 1e9
"""
Seconds, some thirty years. Beyond the range of floats a clock could not hold it.
"""

_SHORTEST_TIMER = 1e-3
"""
Seconds. A shorter timer would do nothing but run.
"""


def check_seconds(name: str, value: float) -> float:
    """
    Check the argument `name`, which is a number of seconds, and return it.

    Raises:
        TypeError: It is no number.
        ValueError: It is negative, NaN or infinite, or longer than any program runs.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} is a number of seconds, not {type(value).__name__}"
        raise TypeError(msg)
    if not 0 <= value <= _LONGEST:
        msg = f"{name} is a number of seconds from 0 to {_LONGEST:g}, not {value}"
        raise ValueError(msg)
    return value


def check_timer(name: str, value: float) -> float:
    """
    As `check_seconds`, for what something is looked at after: a millisecond at least.
    """
    if check_seconds(name, value) < _SHORTEST_TIMER:
        msg = f"{name} is at least {_SHORTEST_TIMER:g} seconds, not {value}"
        raise ValueError(msg)
    return value


def check_count(name: str, value: int, least: int) -> int:
    """
    Check the argument `name`, which is a number of things, and return it.

    Raises:
        TypeError: It is no int.
        ValueError: There are fewer than `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} is an int, not {type(value).__name__}"
        raise TypeError(msg)
    if value < least:
        msg = f"{name} is at least {least}, not {value}"
        raise ValueError(msg)
    return value
