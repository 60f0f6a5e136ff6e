"""
How fast twistream is, beside the servers that its users would take otherwise.

Run ``python -m benchmarks``; it needs the extra ``bench``.
"""
