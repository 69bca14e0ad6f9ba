"""What stands above the tables of a report, and which columns they show."""

from collections.abc import Collection
from typing import NamedTuple

from amortex.metrics.functional import HIGHEST_SI_SDR, MASKED_IN_MEASURES

SHOWN_RATES = (0.02, 0.05, 0.1, 0.2)  # of those at which curves are measured; others are in the CSV file
CURVE_COLUMNS = ("l2_area", "l2_log_area", *(f"l2@{rate:g}" for rate in SHOWN_RATES), "retained@0.2", "out_l2_area",
                 "best_objective")  # fmt: skip
MASKED_IN_COLUMNS = tuple(f"{name}@{kept}" for kept in ("0.5", "mask") for name in MASKED_IN_MEASURES)
KEPT = ("0.05", "0.1", "0.2", "mask")  # of mixtures
SEPARATION_COLUMNS = tuple(
    f"{name}@{kept}" for name in ("target_energy", "target_dominates", "retained") for kept in KEPT
)


class Heading(NamedTuple):
    """What stands above a table, and the columns that it shows: none means all."""

    title: str
    text: str = ""
    columns: tuple[str, ...] = ()

    def at(self, rates: Collection[float]) -> "Heading":
        """The same with columns for other rates than `SHOWN_RATES`, unless these are among them."""
        if set(SHOWN_RATES) <= set(rates):
            return self
        columns: dict[str, None] = {}
        for column in self.columns:
            kind, _, rate = column.partition("@")
            curve = kind in ("l2", "retained") and rate
            columns |= dict.fromkeys([f"{kind}@{other:g}" for other in rates] if curve else [column])
        return self._replace(columns=tuple(columns))


HEADINGS = {
    "native": Heading(
        "Each method in its own basis",
        "Pixel methods rank pixels, wavelet methods coefficients. `l2@R` is the distance of the outputs when the most "
        "relevant share R is kept and noise replaces the rest; `l2_area` and `l2_log_area` are its means over R and "
        "over log R. Lower is better. `out_l2_area` is the mean where noise replaces the most relevant share instead: "
        "higher is better. `retained@R` is how often the class is kept, `best_objective` J at each image's best rate.",
        (*CURVE_COLUMNS, "seconds", "passes"),
    ),
    "mapped": Heading(
        "Pixel methods, mapped to wavelet coefficients",
        "The relevance of a coefficient is its magnitude times the mean relevance of the pixels in its support.",
        CURVE_COLUMNS,
    ),
    "leakage": Heading(
        "Class leakage",
        "Probability of the predicted class under its mask, and of another class under the mask that explains that. "
        "Explainers without learned steps for other classes give the other class's mask in one pass.",
        ("own", "other"),
    ),
    "sanity": Heading(
        "Sanity: the classifier randomised from the output on",
        "Rank correlation with the original within wavelet levels, weights shuffled up to the named layer.",
    ),
    "scales": Heading("Distortion where noise replaces one scale alone", "Scale 0 is the low-pass, 1 the finest."),
    "robustness": Heading(
        "Scales that classifiers rely on",
        "Share of the importance at each scale, in explanations of each classifier's own prediction (WAM, Fig. 10). "
        "Scale 0 is the low-pass, 1 the finest. `coarse` is the share of the low-pass and of the coarsest level, "
        "`coarse_difference` how much larger it is than that of the first classifier on the same image.",
    ),
    "effort": Heading(
        "The objective for a budget of classifier passes",
        "J at each lambda_k; behind @ the budget per image, in the last column what was used of it.",
    ),
    "grid": Heading(
        "CartoonX's settings, each varied alone",
        "Measured with the obfuscation and distortion of the setting; l2 is common to all.",
        ("rate", "distortion", "l2", "retained"),
    ),
    "differences": Heading(
        "Differences to the reference, image by image",
        "The mean over images of a method's value minus the reference's. An interval on one side of zero tells them "
        "apart, even where the intervals of their means overlap.",
        (
            "rate",
            "distortion",
            "l2",
            "retained",
            "cp_pixels",
            "cp_coefficients",
            "cp_entropy",
            "hallucination",
            "insertion",
            "deletion",
            "faithfulness",
            "mu_fidelity",
        ),
    ),
    "noise": Heading(
        "White noise at 0 dB",
        "Noise as loud as the signal is added, and the sum is clipped; the class of the clean signal is explained. "
        "`target_energy` is the share of the clean signal in the energy that is kept, clean signal and noise apart, "
        "`target_dominates` whether it has at least twice the energy of the noise, "
        "`retained` whether the class has the highest probability on what is kept alone. Behind @ stands what is "
        "kept: the most relevant share, or the mask as it is; the rest is zero. Everything kept would have a "
        "`target_energy` of about one half.",
        SEPARATION_COLUMNS,
    ),
    "overlap": Heading(
        "Two signals at once",
        "A signal of another class is added with the same energy, and the class of the first is explained. "
        "`target_energy` is the share of the first in the energy that is kept, both apart, `target_dominates` whether "
        "it has at least twice the energy of the other, `retained` whether its class has the highest probability on "
        "what is kept alone. Everything kept would have a `target_energy` of one half.",
        SEPARATION_COLUMNS,
    ),
}
MASK_HEADING = Heading(
    "Masks as they are",
    "CP and hallucination are means over images whose explanation is not black, as that of an empty mask is; the CSV "
    "file counts them.",
    columns=("rate", "distortion", "l2", "objective", "retained", "retention", "cp_pixels", "cp_coefficients",
             "cp_entropy", "hallucination"),
)  # fmt: skip
RANKING_HEADING = Heading(
    "Insertion, deletion, faithfulness, mu-fidelity", columns=("insertion", "deletion", "faithfulness", "mu_fidelity")
)
MASKED_IN_HEADING = Heading(
    "What is kept alone, and what is left without it",
    "FF (the median over signals) is how far the probability p of the class falls without what is kept; `fid_in` "
    "whether the class has the highest one, p_in, on what is kept alone; AI whether p_in > p; AD is "
    "max(0, p - p_in) / p, AG max(0, p_in - p) / (1 - p). Behind @ stands what is kept: the most relevant half of the "
    "entries (WAM), or the mask as it is (RDE); the rest is zero.",
    MASKED_IN_COLUMNS,
)
SI_SDR_HEADING = Heading(
    "SI-SDR of what is kept, in dB, against the target and against the corruption",
    f"0 dB against both before anything is dropped; bounded to {HIGHEST_SI_SDR:.0f} dB on both sides.",
    tuple(f"si_sdr_{part}@{kept}" for part in ("target", "corruption") for kept in KEPT),
)
MOVED_HEADING = Heading(
    "How far the explanation moved, and how faithful it is",
    "`rank_correlation`, within levels, with the explanation of the clean signal; `probability` of the class on the "
    "mixture.",
    ("rank_correlation", "probability", "insertion", "deletion", "faithfulness"),
)
FURTHER_HEADINGS = {
    "native": (MASK_HEADING, RANKING_HEADING, MASKED_IN_HEADING),
    "mapped": (RANKING_HEADING, MASKED_IN_HEADING),
    **dict.fromkeys(("noise", "overlap"), (SI_SDR_HEADING, MOVED_HEADING, MASKED_IN_HEADING)),
}
GAP_HEADING = Heading(
    "Amortization gap", "Mean J over that of CartoonX `converged`, images and lambda_k pooled.", ("gap", "median_ratio")
)
