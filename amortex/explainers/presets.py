"""How RDE methods optimise: named presets, each part of every figure that is reported with it."""

from dataclasses import dataclass, replace
from typing import Literal

from amortex.core.catalog import check_name

Initial = Literal["ones", "zeros", "random", "startgrad", "sensitivity"]


@dataclass(frozen=True)
class Preset:
    """How a mask is optimised; `name` goes into every output.

    Arguments:
        steps: gradient steps N.
        samples: noise draws per step L.
        lr: Adam's learning rate; with a schedule, its first value.
        schedule: ``constant``, or ``cosine`` down to zero.
        betas: Adam's decay rates.
        peak, tolerance: of the continuation in the sparsity weight (see `Continuation`); peak 0 means none.
        lambda_k: the sparsity weight used when none is asked for.
        empty_samples: noise draws that measure the empty mask, against which the continuation measures damage; by
            default `samples`.
    """

    name: str
    steps: int
    samples: int
    lr: float
    schedule: Literal["constant", "cosine"]
    betas: tuple[float, float] = (0.9, 0.999)
    peak: float = 0.0
    tolerance: float = 0.15
    lambda_k: float = 5.0
    empty_samples: int | None = None

    def but(self, **changes: float | None) -> "Preset":
        """The preset with the changes that are not None, its name telling so: ``fast, steps=200``."""
        changed = {key: value for key, value in changes.items() if value is not None and value != getattr(self, key)}
        name = ", ".join([self.name, *(f"{key}={value:g}" for key, value in changed.items())])
        return replace(self, name=name, **changed) if changed else self  # type: ignore[arg-type]


PRESETS = {
    # Published, not converged: an entry moves by at most steps * lr = 2 in all (Kolek et al., ECCV 2022, section 5).
    "paper": Preset("paper", steps=2000, samples=64, lr=1e-3, schedule="constant", lambda_k=20.0),
    # Tuned with `python -m benchmarks convergence`: more steps pay, more draws per step do not.
    "converged": Preset("converged", steps=2000, samples=2, lr=5e-2, schedule="cosine", betas=(0.9, 0.99), peak=1000.0),
    "fast": Preset("fast", steps=800, samples=2, lr=5e-2, schedule="cosine", betas=(0.9, 0.99), peak=1000.0),
}


def finetuning(steps: int) -> Preset:
    """CartoonX from a mask that is nearly right: a higher learning rate would throw away what it knows."""
    return Preset("finetune", steps, samples=2, lr=2e-2, schedule="cosine")


# What sound needs else (see the research log). Draws of noise on all of a sound can differ tenfold in their distortion:
# where the first two made the empty mask look good, the sparsity weight stayed low, and the empty mask was returned
# although it was not the best. And J after 800 steps is a quarter above that after four times as many, after 1,600 7 %.
EMPTY_SAMPLES_OF_SOUND = 16
STEPS_ON_SOUND = {"fast": 1600}


def preset_of(name: str, dims: int) -> Preset:
    """The preset of a name for signals with so many axes: what sound needs else is here.

    Raises:
        InputError: an unknown name.
    """
    preset = PRESETS[check_name("preset", name, PRESETS)]
    if dims != 1 or not preset.peak:
        return preset
    return replace(preset, empty_samples=EMPTY_SAMPLES_OF_SOUND, steps=STEPS_ON_SOUND.get(name, preset.steps))


@dataclass(frozen=True)
class SelectionConfig:
    """How a rate is chosen by measurements.

    Arguments:
        rates: number of rates to choose from, evenly spaced on a log scale.
        samples: noise draws per rate.
        confirmation_samples: fresh draws that confirm a bound on the distortion; a bound on the retention takes more.
    """

    rates: int = 16
    samples: int = 16
    confirmation_samples: int = 64
