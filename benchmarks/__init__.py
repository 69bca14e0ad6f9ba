"""Benchmarks of amortex: ``python -m benchmarks --help`` lists them.

A benchmark is a module with a docstring, whose first line describes it in the list, and two functions:
``add_arguments(parser)`` and ``main(options)``, which may return an exit status.
"""

# Listed are those that `train.py compare` cannot do.
QUALITY = ("convergence", "amortized", "monotone", "batches")
SPEED = ("teachers", "cost", "loading", "scaling", "startup", "busy", "against")
ROBUSTNESS = ("kills",)
NAMES = (*QUALITY, *SPEED, *ROBUSTNESS)
