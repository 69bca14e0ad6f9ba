"""Frozen copies of networks, which leave the user's own as they are."""

import copy
import logging
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel
from torch.overrides import TorchFunctionMode

from amortex.core.errors import InputError, first_line

COMPILED = "_orig_mod"  # the child of `torch.compile`'s wrapper that is the network itself
WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)  # their child is called module

logger = logging.getLogger(__name__)


class DetachedCopies(TorchFunctionMode):
    """Within, `copy.deepcopy` copies results of computations, too: their values without their history.

    Torch refuses to. Networks hold such tensors: activations that hooks store, weights that others determine.
    """

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            return memo.setdefault(id(tensor), tensor.detach().clone())
        return function(*args, **(kwargs or {}))


def copy_network(model: nn.Module, name: str) -> nn.Module:
    """A copy of a network, without the wrappers of `torch.compile` and of training on many devices.

    Attributes that cannot be copied, such as locks and open files, are shared with the original. A line says so.

    Raises:
        InputError: it cannot be copied otherwise.
    """
    model = unwrap(model)
    with DetachedCopies(), torch.no_grad():  # else copies of scripted weights have a history
        try:
            duplicate = copy.deepcopy(model)
        except Exception:  # attributes of any type fail in any way
            duplicate = _copy_around(model, name)
    for parent in list(duplicate.modules()):
        if not isinstance(parent, torch.jit.ScriptModule):
            parent._modules.update({key: unwrap(child) for key, child in parent._modules.items() if child is not None})
    return duplicate


def unwrap(model: nn.Module) -> nn.Module:
    """The network inside of wrappers that compute the same."""
    while True:
        if COMPILED in model._modules:
            model = model.get_submodule(COMPILED)
        elif isinstance(model, WRAPPERS):
            model = model.module
        else:
            return model


def freeze(model: nn.Module) -> nn.Module:
    """Put a network into evaluation mode, and take the gradients off its weights, in place."""
    try:
        model.eval()
    except NotImplementedError:  # of `torch.export`, whose graphs have one mode only
        for module in model.modules():
            module.training = False
    for module in model.modules():
        if isinstance(module, nn.RNNBase) and not isinstance(module, torch.jit.ScriptModule):
            # cuDNN has a backward pass in training mode alone, which without dropout computes the same
            module.dropout, module.training = 0.0, True
    for parameter in model.parameters():  # scripted networks have no `requires_grad_` themselves
        if not is_lazy(parameter):
            parameter.requires_grad_(False)
    return model


def _copy_around(model: nn.Module, name: str) -> nn.Module:
    """A copy that shares those attributes of its modules that cannot be copied."""
    known: dict[int, Any] = {id(part): part for part in (*model.modules(), *model.parameters(), *model.buffers())}
    shared: dict[int, Any] = {}
    names: list[str] = []
    for path, module in model.named_modules():
        for key, value in vars(module).items():
            for part in list(value.values()) if isinstance(value, dict) else [value]:  # such as hooks
                try:
                    copy.deepcopy(part, dict(known))
                except Exception:  # as above
                    shared[id(part)] = part
                    names.append(f"{path}.{key}".removeprefix("."))
    listed = ", ".join(dict.fromkeys(names))
    try:
        duplicate = copy.deepcopy(model, dict(shared))
    except Exception as error:  # as above
        why = first_line(error)[:150]
        raise InputError(f"{name} cannot be copied ({why}): take {listed or 'what fails'} off it") from error
    logger.warning("%s: its copy shares %s with it, which cannot be copied", name, listed)
    return duplicate
