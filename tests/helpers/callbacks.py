"""Callbacks that disturb a run; command lines name them by their class paths."""

import os
import signal

import torch
from lightning.pytorch import Callback


class KillAt(Callback):
    """Kills the process of a rank after a step of training."""

    def __init__(self, rank: int, step: int) -> None:
        self.rank, self.step = rank, step

    def on_train_batch_end(self, trainer, *_) -> None:
        if (trainer.global_rank, trainer.global_step) == (self.rank, self.step):
            os.kill(os.getpid(), signal.SIGKILL)


class Poison(Callback):
    """Makes the gradients of the last rank NaN in the second step."""

    def on_before_backward(self, trainer, module, loss) -> None:
        if (trainer.global_rank, trainer.global_step) == (trainer.world_size - 1, 1):
            loss.register_hook(lambda gradient: gradient * torch.nan)


class StopAt(Callback):
    """Sends the process a signal after some batches."""

    def __init__(self, batches: int, signal_number: int) -> None:
        self.batches, self.signal_number = batches, signal_number

    def on_train_batch_end(self, trainer, *_) -> None:
        if trainer.fit_loop.total_batch_idx + 1 == self.batches:
            signal.raise_signal(self.signal_number)
