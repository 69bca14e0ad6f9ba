"""A reader of volumes, and the size that its classifier takes."""

from amortex.io.volumes import VolumeReader

SIZE = (4, 5, 6)


def reader(channels=1, size=SIZE):
    return VolumeReader({"input_size": (channels, *size)})
