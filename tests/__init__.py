"""
The tests. No test has a deadline, because a slow or busy machine must not fail it.
"""

from hypothesis import settings

settings.register_profile("twistream", deadline=None)
settings.load_profile("twistream")
