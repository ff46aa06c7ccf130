"""``python -m sdtui`` is ``sdtui``."""

import sys

from sdtui.cli import main

if __name__ == "__main__":
    sys.exit(main())
