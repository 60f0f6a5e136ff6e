"""
One streamed HTTP response, on twisted.web.
"""
