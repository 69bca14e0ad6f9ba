"""Explain a classifier's decisions on photographs: ``python explain.py --help``."""

import sys

from amortex.app.explain_cli import main

if __name__ == "__main__":
    sys.exit(main())
