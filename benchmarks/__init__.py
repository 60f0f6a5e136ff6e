"""
How fast twistream is compared with other servers.

Run ``make bench``, or ``python -m benchmarks`` with the extra ``bench`` installed.
"""
