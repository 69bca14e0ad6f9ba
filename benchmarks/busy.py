"""How much training slows down beside another busy process, and what each setting of the threads costs alone.

    python -m benchmarks busy [--against CHECKOUT]

For docs/results.md, Speed. Each figure is the median of fresh runs of the quickstart's training, alone and beside busy
loops in turn; with another checkout, in turn with the same runs of that one. `--threads` are environment variables;
`default` sets none of them, so that amortex itself decides. The machine should be idle otherwise.
"""

import argparse
import statistics

from tqdm import tqdm

from benchmarks.processes import ROOT, threads
from benchmarks.quickstart import alone_and_beside
from benchmarks.timing import with_range


def main(options: argparse.Namespace) -> None:
    settings = {text: threads(text) for text in options.threads}
    places = {"this": ROOT} if options.against is None else {"other": options.against, "this": ROOT}
    cases = [(place, text) for text in settings for place in places]
    times: dict[tuple[str, str], list[tuple[float, float]]] = {case: [] for case in cases}
    with tqdm(total=len(cases) * options.repeats, disable=None) as bar:
        for _ in range(options.repeats):
            for place, text in cases:
                bar.set_description(f"{place}: {text}")
                times[place, text].append(alone_and_beside(places[place], settings[text], options.steps, options.loops))
                bar.update()
    print(f"seconds of a training step, median of {options.repeats} runs of {options.steps} steps [lowest, highest]\n")
    print(f"| checkout | setting | alone | beside {options.loops} | beside / alone | alone / first row |")
    print("|---|---|---|---|---|---|")
    first = [alone for alone, _ in times[cases[0]]]
    for (place, text), pairs in times.items():
        alone, beside = (statistics.median(column) for column in zip(*pairs, strict=True))
        slowdown = with_range([beside / alone for alone, beside in pairs])
        cost = with_range([pair[0] / base for pair, base in zip(pairs, first, strict=True)])
        print(f"| {place} | {text} | {alone:.3f} | {beside:.3f} | {slowdown} | {cost} |")
