"""
Add the command ``twistream`` to twistd.

Twisted finds this file in any folder ``twisted/plugins`` on the Python path, as long as the
folder has no ``__init__.py``.
"""

from twisted.application.service import ServiceMaker

twistream = ServiceMaker(
    "twistream", "twistream.service", "Stream HTTP responses from your application.", "twistream"
)
