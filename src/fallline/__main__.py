"""`python -m fallline` is `fallline`."""

import sys

from fallline.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
