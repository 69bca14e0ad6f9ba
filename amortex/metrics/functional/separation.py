"""Two signals in one: what of each a mask keeps."""

import torch
from torch import Tensor

from amortex.metrics.functional.masked_in import kept_signal
from amortex.rate_distortion.encoded_batch import EncodedBatch
from amortex.rate_distortion.pipeline import RateDistortion

HIGHEST_SI_SDR = 60.0  # in dB: a signal that is a multiple of the reference has an infinite one
DOMINANCE = 2.0  # times the energy of the corruption, from which the target dominates what is kept
SEPARATION_MEASURES = ("target_energy", "target_dominates", "si_sdr_target", "si_sdr_corruption", "retained")


def si_sdr(signal: Tensor, reference: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB of signals ``(B, ...)`` against references, ``(B,)``.

    With the projection ``a r`` of the signal s on the reference r, ``10 log10(|a r|^2 / |a r - s|^2)``. It is bounded
    to `HIGHEST_SI_SDR` on both sides: multiples of the reference have that, orthogonal signals and silence its
    negative. NaN for a reference that is zero.

    References:
        Le Roux et al., SDR - Half-Baked or Well Done?, ICASSP 2019.

    >>> reference = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    >>> si_sdr(torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), reference)
    tensor([ 60.,   0., -60.])
    """
    s, r = signal.double().flatten(1), reference.double().flatten(1)
    energy = r.square().sum(1, keepdim=True)
    projected = (s * r).sum(1, keepdim=True) / energy * r
    power, distortion = projected.square().sum(1), (projected - s).square().sum(1)
    tiny = torch.finfo(power.dtype).tiny
    ratio = 10 * (power.clamp(min=tiny).log10() - distortion.clamp(min=tiny).log10())
    ratio = torch.where(power > 0, ratio.clamp(-HIGHEST_SI_SDR, HIGHEST_SI_SDR), -HIGHEST_SI_SDR)
    return ratio.where(energy[:, 0] > 0, torch.nan).to(signal.dtype)


@torch.no_grad()
def separation(rd: RateDistortion, encoded: EncodedBatch, mask: Tensor, target: Tensor) -> dict[str, Tensor]:
    """What masks ``(B, k)`` of mixtures keep of their targets ``(B, C, *size)``; the rest is corruption.

    Transforms are linear, so what a mask keeps is the sum of what it keeps of the target and of the corruption.

    Returns:
        ``(B,)`` each: ``target_energy``, the share of the target in the sum of both energies, NaN where nothing is
        kept; ``target_dominates``, whether it has at least `DOMINANCE` times the energy of the corruption, and any;
        ``si_sdr_target`` and ``si_sdr_corruption``, those of the kept signal in dB; ``retained``, whether the
        explained class has the highest probability on the kept signal alone.

    >>> mixture = explanation.encoded
    >>> values = separation(rd, mixture, torch.ones_like(explanation.mask), mixture.image)
    >>> values["target_energy"], values["si_sdr_target"]  # there is no corruption
    (tensor([1., 1., 1.]), tensor([60., 60., 60.]))
    """
    corruption = encoded.image - target
    energies = []
    for part in (target, corruption):
        kept = rd.transform.inverse(rd.transform(part).masked(mask))
        energies.append(kept.double().square().flatten(1).sum(1))
    both = energies[0] + energies[1]
    heard = kept_signal(rd, encoded, mask)
    outputs = torch.cat([rd.phi(heard[chunk]) for chunk in rd.chunks(len(heard))])
    retained = rd.classifier.decides(outputs, encoded.target).to(mask)
    values = {
        "target_energy": torch.where(both > 0, energies[0] / both, torch.nan),
        "target_dominates": (energies[0] >= DOMINANCE * energies[1]) & (energies[0] > 0),
        "si_sdr_target": si_sdr(heard, target),
        "si_sdr_corruption": si_sdr(heard, corruption),
        "retained": retained.where(outputs.isfinite().all(1), torch.nan),
    }
    return {name: value.to(mask) for name, value in values.items()}
