"""Benchmarks of amortex: ``python -m benchmarks --help`` lists them.

A benchmark is a module with a docstring, whose first line describes it in the list, and ``main(options)``, which may
return an exit status. Its arguments are in `benchmarks.arguments`. Those that `train.py compare` can do are not here.
"""
