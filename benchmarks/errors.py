"""
What can go wrong with a measurement, as one exception.
"""


class NotMeasuredError(Exception):
    """
    There is no figure, and `str()` says why in one line.

    The run goes on without the figure, and its report has the reason in its place.
    """
