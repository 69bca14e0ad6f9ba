"""State dicts in weight files: inside wrappers, under a prefix, beside other things. No code in them is executed."""

import logging
import os
import re
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from amortex.classifiers.copying import COMPILED
from amortex.core.errors import InputError, reason
from amortex.io.untrusted import refuse_bomb, unreadable

MOST_WRAPPERS = 3  # one inside the other
MOST_LISTED = 3  # names that a line lists
OPTIMIZER = "param_groups"  # the key by which the state of an optimizer is known
COUNTS = "num_batches_tracked"  # of batch normalisations, which old files lack
AVERAGED = "ema"  # a part of the names of averaged weights, which go before those that they are the average of

logger = logging.getLogger(__name__)

State = dict[str, Tensor]


class Candidate(NamedTuple):
    """A part of a weight file that may be the network's."""

    wrapper: str  # keys that lead to it, with a dot after each
    prefix: str  # of the names in it
    state: State  # without the prefix
    others: list[str]  # names without the prefix

    @property
    def label(self) -> str:
        return f"{self.wrapper}{self.prefix}".rstrip(".") or "the whole file"


class WeightFile(NamedTuple):
    """The state dicts of a file, by the keys that lead to them."""

    path: str
    states: dict[str, State]

    def find(self, name: str) -> Tensor | None:
        """The first tensor of that name, whatever stands before it."""
        for state in self.states.values():
            for key, value in state.items():
                if key == name or key.endswith(f".{name}"):
                    return value
        return None

    def fits(self, network: nn.Module) -> bool:
        """Whether some part of the file is the whole state of a network."""
        return any(_fits(network, candidate) for candidate in self.candidates(network))

    def load_into(self, network: nn.Module, advice: str = "give num_classes") -> None:
        """Give a network its weights. A line says what of the file they are, where that is not all of it.

        `advice` says how to build the network for another number of classes.

        Raises:
            InputError: no part of the file fits the network, or several do.
        """
        candidates = list(self.candidates(network))
        chosen = self._choose([candidate for candidate in candidates if _fits(network, candidate)])
        if chosen is None:
            closest = max(candidates, key=lambda c: len(c.state.keys() & network.state_dict().keys()))
            _refuse_other_classes(network, closest.state, self.path, advice)
            load_strictly(network, closest.state, self.path)
            return
        load_strictly(network, chosen.state, self.path)
        if chosen.prefix:
            listed = ", ".join(chosen.others[:MOST_LISTED]) + (", ..." if len(chosen.others) > MOST_LISTED else "")
            rest = f"; left out: {listed}" if listed else ""
            logger.warning("%s: the prefix %s of the weights was taken off%s", self.path, chosen.prefix, rest)

    def candidates(self, network: nn.Module) -> Iterator[Candidate]:
        """The state dicts, without each prefix that makes the name of the network's first tensor."""
        first = next((key for key in network.state_dict() if not key.endswith(COUNTS)), "")
        for wrapper, state in self.states.items():
            prefixes = {key.removesuffix(first) for key in state if key.endswith(f".{first}")}
            for prefix in ("", *sorted(prefixes)):
                inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
                yield Candidate(wrapper, prefix, inside, [key for key in state if not key.startswith(prefix)])

    def _choose(self, fitting: list[Candidate]) -> Candidate | None:
        """The one that fits; of several that differ, the averaged one."""
        different: list[Candidate] = []
        for candidate in fitting:
            if not any(_equal(candidate.state, other.state) for other in different):
                different.append(candidate)
        if len(different) < 2:
            return different[0] if different else None
        labels = ", ".join(candidate.label for candidate in different)
        averaged = [candidate for candidate in different if AVERAGED in re.split("[._]", candidate.label.lower())]
        if len(averaged) != 1:
            raise InputError(f"{self.path} holds several networks that fit ({labels}): save one of them alone")
        logger.warning("%s: of %s, all of which fit, %s was taken", self.path, labels, averaged[0].label)
        return averaged[0]


def read_weight_file(path: str) -> WeightFile:
    """The state dicts of a safetensors or checkpoint file.

    Raises:
        InputError: the file is missing, broken, holds no state dict, or would execute code.
    """
    if not os.path.isfile(path):
        raise InputError(f"no weight file at {path!r}: give auto, random or a safetensors or checkpoint file")
    refuse_bomb(path)
    try:
        if path.endswith(".safetensors"):
            content: Any = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling refuses code with several exception types
        raise InputError(f"cannot read weights from {path}: {unreadable(path) or reason(error)}") from error
    states = dict(_states(content))
    if not states:
        raise InputError(f"{path} holds no state dict: save model.state_dict() or a safetensors file")
    return WeightFile(path, states)


def load_strictly(network: nn.Module, state: State, source: str) -> None:
    """Give a network a state dict.

    Raises:
        InputError: it is not exactly the network's.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        mismatches = " ".join(line.strip() for line in str(error).splitlines()[1:3])
        short = textwrap.shorten(mismatches, 300, placeholder=" ...")
        raise InputError(f"the weights of {source} do not fit {type(network).__name__}: {short}") from error


def _refuse_other_classes(network: nn.Module, state: State, source: str, advice: str) -> None:
    """Raises InputError where the last layer of a state dict, and that alone, has another number of outputs."""
    known = {key: value for key, value in network.state_dict().items() if key in state and not is_lazy(value)}
    shapes = {key: (value.shape, state[key].shape) for key, value in known.items()}
    last = list(shapes)[-1].rpartition(".")[0] if shapes else ""
    other = {key: pair for key, pair in shapes.items() if pair[0] != pair[1]}
    lengths = {(own[:1], given[:1]) for own, given in other.values() if own[1:] == given[1:]}
    if len(lengths) == 1 and all(key.rpartition(".")[0] == last and a[1:] == b[1:] for key, (a, b) in other.items()):
        ((own, given),) = lengths
        number = f"={given[0]}" if advice.endswith("num_classes") else ""
        raise InputError(
            f"the weights of {source} are of {given[0]} classes, and {type(network).__name__} was built for {own[0]}: "
            f"{advice}{number}"
        )


def _states(content: Any, wrapper: str = "", depth: int = 0) -> Iterator[tuple[str, State]]:
    """State dicts in a table, and in tables of it, but for those of optimizers."""
    if not isinstance(content, dict) or not content or OPTIMIZER in content or depth > MOST_WRAPPERS:
        return
    if all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
        yield wrapper, {key.replace(f"{COMPILED}.", ""): value for key, value in content.items()}
        return
    for key, value in content.items():
        if isinstance(key, str):
            yield from _states(value, f"{wrapper}{key}.", depth + 1)


def _fits(network: nn.Module, candidate: Candidate) -> bool:
    """Whether a state dict has the names and shapes of a network's."""
    state, expected = candidate.state, network.state_dict()
    if state.keys() - expected.keys():
        return False
    return all(
        state[key].shape == value.shape if key in state and not is_lazy(value) else key in state or key.endswith(COUNTS)
        for key, value in expected.items()
    )


def _equal(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
