"""Settings of the whole process. The command lines make them; in a program of your own, call `prepare` first."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# How OpenMP's threads wait for each other: they spin for some microseconds, and sleep then. By default they spin for
# milliseconds, which takes cores away from the threads that they wait for as soon as other programs run, too.
SHORT_WAITS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "5000",  # of GNU's runtime, torch's on Linux: about as long as it takes to wake a thread
    "KMP_BLOCKTIME": "0",  # of Intel's and LLVM's runtime, in milliseconds
}
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt
PR_SET_PDEATHSIG = 1  # of prctl


def shorten_waits() -> None:
    """Let threads that wait for each other leave their cores to other programs.

    Nothing is changed where the user has set one of the variables. OpenMP reads them when torch is imported: a later
    call takes effect in processes only that are started from this one.
    """
    if not SHORT_WAITS.keys() & os.environ.keys():
        os.environ.update(SHORT_WAITS)


@contextmanager
def hidden_module(name: str) -> Iterator[None]:
    """Let imports of a module fail as if it were not installed: for one that others import in vain, and slowly."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # which Python takes for such a module
    try:
        yield
    finally:
        sys.modules.pop(name, None)


def leave_busy_cores() -> None:
    """Train with as many threads as there are free cores, and say so, where other programs keep some busy.

    In each of its hundreds of parallel regions a training step waits for its slowest thread. One that shares its core
    with another program makes all others wait: on two cores, one of which is busy, two threads take twice as long as
    one. Nothing is changed where the user has set OMP_NUM_THREADS, nor in a process that has imported torch.
    """
    if "OMP_NUM_THREADS" in os.environ or "torch" in sys.modules:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = min(round(busy_cores()), cores - 1)
    if busy > 0:
        os.environ["OMP_NUM_THREADS"] = str(cores - busy)
        print(
            f"other programs keep {busy} of {cores} cores busy: using the rest (OMP_NUM_THREADS sets another number)",
            file=sys.stderr,
        )


def busy_cores(seconds: float = 0.5) -> float:
    """How many cores other programs have kept busy for so long, on average; 0 where the system does not say (Linux)."""
    before = _cpu_times()
    time.sleep(seconds)  # this process keeps none busy meanwhile
    after = _cpu_times()
    spent = [later - earlier for earlier, later in zip(before, after, strict=True)]
    idle = sum(spent[3:5])  # idle, and waiting for a disk
    return (os.cpu_count() or 1) * (1 - idle / sum(spent)) if sum(spent) else 0.0


def _cpu_times() -> list[int]:
    """User, nice, system, idle, waiting, ...: time of all cores since the machine started."""
    try:
        with open("/proc/stat", encoding="ascii") as file:
            return [int(number) for number in file.readline().split()[1:9]]
    except OSError:
        return []


def prepare() -> None:
    """Make amortex fast on a CPU and exact on a GPU.

    - Denormal numbers count as zero: tiny mask gradients otherwise slow convolutions tenfold.
    - Freed memory is kept instead of given back (glibc): each step frees and takes hundreds of megabytes, and to have
      the system clear their pages again costs more than to compute on them.
    - No TF32: the wavelet transform is a convolution, and exact only in full precision.

    On a machine that other programs use, too, call `shorten_waits` before torch is imported.
    """
    import torch

    torch.set_flush_denormal(True)
    torch.backends.cudnn.allow_tf32 = False
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(M_MMAP_MAX, 0)
            mallopt(M_TRIM_THRESHOLD, -1)


@contextmanager
def float32_by_default() -> Iterator[None]:
    """Within, tensors are made in float32: networks are the same whatever the program's default type is."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def out_of_memory(error: Exception) -> bool:
    """Whether an error is the machine's memory or a GPU's running out; torch has no type for the former."""
    import torch

    return isinstance(error, torch.cuda.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)


@contextmanager
def ends_at_once() -> Iterator[None]:
    """Restore SIGTERM's default, which ends the process; Lightning defers it to the end of the batch, for minutes."""
    if threading.current_thread() is not threading.main_thread():  # only that thread may set handlers
        yield
        return
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def end_with_launcher() -> None:
    """End this process when the launcher that started it (Lightning's, torchrun) is killed; on Linux.

    Launchers end all processes when one of them dies, but nobody ends them when the launcher itself is killed.
    """
    if "LOCAL_RANK" in os.environ and sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
