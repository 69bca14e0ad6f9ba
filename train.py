"""Train an amortized explainer: ``python train.py fit --config configs/quickstart.yaml``."""

import sys

from amortex.app.train_cli import main

if __name__ == "__main__":
    sys.exit(main())
