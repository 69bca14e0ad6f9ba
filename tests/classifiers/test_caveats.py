"""What about a network makes its certificates doubtful, and what does not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from amortex.classifiers.loading import load_classifier
from helpers.classifiers import smooth_net
from helpers.networks import Moody, TinyNet

SIZE = {"input_size": 32, "mean": [0.5], "std": [0.5]}


class Dropping(TinyNet):
    """Functional dropout, which knows nothing of evaluation mode."""

    def forward(self, x):
        return F.dropout(super().forward(x), 0.5)


class MonteCarlo(TinyNet):
    """Dropout that stays in training mode."""

    def __init__(self):
        super().__init__()
        self.features.append(nn.Dropout(0.3))

    def train(self, mode=True):
        return super().train(True)


class Flipping(TinyNet):
    """An augmentation inside."""

    def forward(self, x):
        return super().forward(x.flip(-1) if torch.rand(()) < 0.5 else x)


class Idle(TinyNet):
    """Draws a random number, and makes no use of it."""

    def forward(self, x):
        torch.rand(1)
        return super().forward(x)


class BatchStatistics(TinyNet):
    """Batch normalisation without running statistics."""

    def __init__(self):
        super().__init__()
        self.features.insert(1, nn.BatchNorm2d(4, track_running_stats=False))


@pytest.mark.parametrize(
    ("network", "caveat"),
    [
        (Dropping(), "differ between two passes"),
        (MonteCarlo(), "differ between two passes"),
        (Flipping(), "differ between two passes"),
        (BatchStatistics(), "depend on the others of the batch"),
        (Idle(), None),
        (Moody(), None),
        (TinyNet().half(), None),
        (TinyNet().bfloat16(), None),
        (smooth_net(5, 0), None),
    ],
)
def test_randomness_and_batch_statistics_are_seen_at_loading(network, caveat, caplog):
    caveats = load_classifier(network, **SIZE).caveats
    assert len(caveats) == (caveat is not None)
    assert caveat is None or caveat in caveats[0]
    assert not caplog.messages
