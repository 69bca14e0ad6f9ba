"""Sounds by formula, which every machine makes alike; numpy alone is needed."""

import numpy as np

RATE = 16000


def formula_sounds() -> dict[str, np.ndarray]:
    """Sounds ``(T,)`` in [-1, 1] at 16 kHz, of different kinds and lengths."""
    t, n = np.arange(3 * RATE) / RATE, np.arange(25000)
    noise = np.modf(np.sin(12.9898 * n) * 43758.5453)[0]  # looks random, and needs no generator
    return {
        "chirp": 0.5 * np.sin(2 * np.pi * (200 * t + 600 * t**2)),
        "clicks": np.where(n % 4000 < 40, 0.9, 0.0)[:20000] * np.cos(n[:20000]),
        "noise": 0.3 * noise,
        "silence": np.zeros(RATE),
        "tone": 0.8 * np.sin(2 * np.pi * 440 * t[:5000]),
        "hum": 0.1 * np.sign(np.sin(2 * np.pi * 50 * t[:15601])),
    }
