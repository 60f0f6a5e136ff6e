"""
When code runs: turns of the reactor, timers, waits and coroutines. No HTTP.
"""
