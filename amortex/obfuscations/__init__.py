"""Obfuscation strategies; the contract test runs every class listed here, the command line offers them by name."""

from amortex.obfuscations.base import Obfuscation, Replacement, group_moments
from amortex.obfuscations.blur import Blur
from amortex.obfuscations.constant import Constant, Zero
from amortex.obfuscations.gaussian import Gaussian
from amortex.obfuscations.uniform import Uniform

OBFUSCATIONS = (Gaussian, Uniform, Constant, Zero, Blur)

__all__ = ["OBFUSCATIONS", "Obfuscation", "Replacement", "group_moments", *(c.__name__ for c in OBFUSCATIONS)]
