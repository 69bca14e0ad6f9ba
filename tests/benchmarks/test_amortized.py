"""The benchmark of one pass, on the bundled volumes."""

import re

from amortex.amortized.released import released
from amortex.io.bundled import bundled_folder
from benchmarks.__main__ import main


def test_a_trained_explainer_beside_answers_that_need_no_training(capsys):
    release = str(released("digits3d"))
    folder = str(bundled_folder("volume"))
    main(["amortized", folder, "--images", "2", "--explainer", release, "--lambda-k", "2.5", "--samples", "2"])
    text = capsys.readouterr().out
    assert text.startswith("2 volumes of 16 x 16 x 16, 2 draws per mask")
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \[[\d., ]+\] \(([\d.]+)%\) \|$", text, re.MULTILINE)
    found = {name.removesuffix(f": {release}"): (float(value), float(rate)) for name, value, rate in rows}
    assert found["empty mask"][1] == 0
    assert found["full mask"] == (2.5, 100)
    learned = found["amortized, 8 learned steps"][0]
    assert learned < min(found["magnitude"][0], found["sensitivity"][0], found["amortized"][0])
