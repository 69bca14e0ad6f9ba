"""What tells networks of one name apart."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn


def digest(model: nn.Module) -> str:
    """Digest of a model's weights, and of what else its state holds."""
    digest = hashlib.blake2b(digest_size=8)
    for key, value in model.state_dict().items():
        digest.update(key.encode() + content(value))
    return digest.hexdigest()


def content(value: Any) -> bytes:
    """A value of a state: the bytes of tensors, quantised ones without their scale; of other objects their text."""
    if isinstance(value, tuple | list):
        return b"".join(map(content, value))
    if not isinstance(value, Tensor):
        return repr(value).encode()
    plain = value.int_repr() if value.is_quantized else value
    return plain.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
