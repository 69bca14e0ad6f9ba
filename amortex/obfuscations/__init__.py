"""Obfuscation strategies. One line lists each: the contract test runs it, the command line offers it by name."""

from amortex.obfuscations.base import Obfuscation as Obfuscation
from amortex.obfuscations.base import Replacement as Replacement
from amortex.obfuscations.base import group_moments as group_moments
from amortex.obfuscations.blur import Blur as Blur
from amortex.obfuscations.constant import Constant as Constant
from amortex.obfuscations.constant import Zero as Zero
from amortex.obfuscations.gaussian import Gaussian as Gaussian
from amortex.obfuscations.uniform import Uniform as Uniform

OBFUSCATIONS = tuple(Obfuscation.__subclasses__())  # those imported above
OBFUSCATION_NAMES = {kind.__name__.lower(): kind for kind in OBFUSCATIONS}
