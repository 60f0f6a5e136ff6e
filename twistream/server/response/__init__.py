"""
One response: its phase, its head, its buffer and limits, and its end. No handlers, no formats.
"""
