"""Sounds: what is kept and what is dropped as WAV files, players, and the panel."""

from typing import TYPE_CHECKING

from amortex.explaining.rendering import title_lines
from amortex.explaining.results import ExplanationResult
from amortex.io.files import DROPPED_SOUND_ENDING, KEPT_SOUND_ENDING, data_url
from amortex.io.sounds import sample_rate, wav_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SoundView:
    """Waveform and spectrogram of the sound and of what is kept, the mask over time and frequency, shares per band."""

    def draw(self, result: ExplanationResult, index: int) -> "Figure":
        from amortex.explaining.sound_plots import sound_panel

        row = result.row(index)
        lines = title_lines(row, list(result.extra))
        if "kept_class" in row:
            own = f"{row['class_name']} {row['kept_probability']:.1%}"
            other = f"{row['kept_class']} {result.alone[index].max():.1%}, "
            lines.append(f"what is kept alone: {other * (row['kept_class'] != row['class_name'])}{own}")
        return sound_panel(result, index, _rate(result), lines)

    def files(self, result: ExplanationResult, index: int) -> dict[str, bytes]:
        """The kept and the dropped part: their samples add up to those of the sound, so they may leave [-1, 1]."""
        sound, kept = result.encoded.image[index], result.kept[index]
        rate = _rate(result)
        return {KEPT_SOUND_ENDING: wav_bytes(kept, rate), DROPPED_SOUND_ENDING: wav_bytes(sound - kept, rate)}

    def html(self, result: ExplanationResult, index: int) -> str | None:
        """Players of the sound, the kept and the dropped part."""
        files = self.files(result, index)
        sounds = {
            "original": wav_bytes(result.encoded.image[index], _rate(result)),
            "kept": files[KEPT_SOUND_ENDING],
            "dropped": files[DROPPED_SOUND_ENDING],
        }
        return "".join(
            f'<span style="margin-right: 1em">{name} <audio controls style="vertical-align: middle" '
            f'src="{data_url(content, "audio/wav")}"></audio></span>'
            for name, content in sounds.items()
        )


def _rate(result: ExplanationResult) -> int:
    return sample_rate(result.rate_distortion.classifier.data_config)
