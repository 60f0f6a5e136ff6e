"""
Makes ``twistream`` a command of twistd. Twisted finds this file in every folder
``twisted/plugins`` of the import path, as long as none of them has an ``__init__.py``.
"""

from twisted.application.service import ServiceMaker

twistream = ServiceMaker(
    "twistream", "twistream.service", "Stream HTTP responses: the demo, or your own.", "twistream"
)
