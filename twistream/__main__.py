"""
``python -m twistream URL``: a console client for streams. See `twistream.client.console`.
"""

import sys

from twistream.client.console import main

if __name__ == "__main__":
    sys.exit(main())
