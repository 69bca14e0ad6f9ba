"""Settings of the whole process. The command lines make them; in a program of your own, call `prepare` first."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt
PR_SET_PDEATHSIG = 1  # of prctl


def out_of_memory(error: Exception) -> bool:
    """Whether an error is the machine's memory or a GPU's running out; torch has no type for the former."""
    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


def prepare() -> None:
    """Make amortex fast on a CPU and exact on a GPU.

    - Denormal numbers count as zero: tiny mask gradients otherwise slow convolutions tenfold.
    - Freed memory is kept instead of given back (glibc): each step frees and takes hundreds of megabytes, and to have
      the system clear their pages again costs more than to compute on them.
    - No TF32: the wavelet transform is a convolution, and exact only in full precision.
    """
    torch.set_flush_denormal(True)
    torch.backends.cudnn.allow_tf32 = False
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(M_MMAP_MAX, 0)
            mallopt(M_TRIM_THRESHOLD, -1)


@contextmanager
def ends_at_once() -> Iterator[None]:
    """SIGTERM ends the process: Lightning would make a note of it, and read that when a batch is done, in minutes."""
    if threading.current_thread() is not threading.main_thread():  # which alone may ask for that
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_launcher() -> None:
    """Where a launcher (Lightning's, torchrun) started this process, let it not outlive that one (on Linux).

    Launchers end all processes when one of them dies, but nobody ends them when the launcher itself is killed.
    """
    if "LOCAL_RANK" in os.environ and sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
