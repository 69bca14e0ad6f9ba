"""Obfuscation strategies: a new one is one file and one line here.

The contract test runs each, and the command line offers each by its name.
"""

from typing import TYPE_CHECKING

from amortex.core.catalog import check_name, load

if TYPE_CHECKING:
    from amortex.obfuscations.base import Obfuscation

OBFUSCATIONS = {
    "gaussian": "amortex.obfuscations.gaussian:Gaussian",
    "fading": "amortex.obfuscations.fading:Fading",
    "uniform": "amortex.obfuscations.uniform:Uniform",
    "zero": "amortex.obfuscations.constant:Zero",
    "constant": "amortex.obfuscations.constant:Constant",
    "blur": "amortex.obfuscations.blur:Blur",
}


def build_obfuscation(name: str) -> "Obfuscation":
    """The obfuscation of a name, with its default arguments.

    Raises:
        InputError: an unknown name.
    """
    obfuscation: Obfuscation = load(OBFUSCATIONS[check_name("obfuscation", name, OBFUSCATIONS)])()
    return obfuscation
