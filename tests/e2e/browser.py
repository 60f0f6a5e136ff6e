"""
A real browser. Playwright's synchronous API is for a thread without a reactor.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

SECONDS = 20
"""
How long the browser, or the server, may take for one thing before the test fails.
"""

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def launched(chromium: str) -> Iterator[Browser]:
    """
    Chromium without a window, until the block is left.

    Coverage does not trace this thread meanwhile: with a trace function, the greenlets of Playwright
    have made Python 3.11 loop forever.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
            yield browser
            browser.close()
    finally:
        sys.settrace(trace)
