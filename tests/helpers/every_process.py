"""Runs several commands of `train.py` in each process of a launcher: to start one costs more than they do."""

import json
import sys

from amortex.app.train_cli import main

if __name__ == "__main__":
    statuses = [main(command) for command in json.loads(sys.argv[1])]
    print("statuses", statuses)
