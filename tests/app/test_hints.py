"""What is said after a run where masks lose their class, miss a bound, or have doubtful certificates."""

from types import SimpleNamespace

import pytest

from amortex.app import explain_command
from amortex.app.checks import complete, default_folder
from amortex.app.explain_command import MOST_LINES, RowPrinter, hints, print_rows
from amortex.app.options import build_parser

GOOD = {
    "file": "a.png",
    "probability": 0.9,
    "class_name": "crow",
    "kept_class": "crow",
    "rate": 0.1,
    "retained": True,
    "retention": 1.0,
    "retention_low": 0.96,
    "caveats": "",
}
LOST = {**GOOD, "retained": False, "retention": 0.2, "retention_low": 0.1}
SHORT = {**GOOD, "retention": 0.97, "retention_low": 0.92}
ABSENT = {**LOST, "probability": 1e-6}
FULL = {**GOOD, "rate": 1.0}
UNKEPT, UNREACHED = (f"masks does not {verb} class (a.png)" for verb in ("keep its", "reach that"))
DOUBTFUL = {**GOOD, "caveats": "its outputs are saturated"}


def asked(options, learned_steps=0):
    target = None if options.target == "auto" else int(options.target)
    return SimpleNamespace(target=target, explainer=SimpleNamespace(learned_steps=learned_steps))


@pytest.mark.parametrize(
    ("words", "rows", "said"),
    [
        ("--method cartoonx", [GOOD], []),
        ("--method cartoonx", [GOOD, LOST],
         [f"1 of 2 {UNKEPT}: try a lower --lambda-k or --min-retention 0.95, with another --out"]),
        ("--method wam", [LOST, LOST],
         ["2 of 2 masks do not keep their class: try a higher --rate or --min-retention 0.95, with another --out"]),
        ("--method wam", [LOST],
         [f"1 of 1 {UNKEPT}: try a higher --rate or --min-retention 0.95, with another --out"]),
        ("--method minimal", [LOST],
         [f"1 of 1 {UNKEPT}: try --min-retention 0.95, with another --out"]),
        ("", [LOST],
         [f"1 of 1 {UNKEPT}: try a lower --lambda-k or a higher --rate or --min-retention 0.95, "
          "with another --out"]),
        ("--target 3", [LOST, GOOD],
         [f"1 of 2 {UNREACHED}: try a lower --lambda-k or a higher --rate or --method cartoonx, with "
          "another --out"]),
        ("--method cartoonx --target 3", [LOST],
         [f"1 of 1 {UNREACHED}: try a lower --lambda-k, with another --out"]),
        ("--method wam --target 3", [ABSENT, LOST, ABSENT],
         ["2 of 3 inputs hardly show that class to the classifier: there may be nothing of it to find",
          f"1 of 3 {UNREACHED}: try a higher --rate, with another --out"]),
        ("--method wam", [{**LOST, "probability": 1e-4}],  # it is the class of the highest probability
         [f"1 of 1 {UNKEPT}: try a higher --rate or --min-retention 0.95, with another --out"]),
        ("--method cartoonx --modality audio", [GOOD, {**GOOD, "kept_class": "frog"}],
         ["1 of 2 sounds are of another class if what is kept is heard alone"]),
        ("--method cartoonx --modality audio --obfuscation gaussian", [{**GOOD, "kept_class": "frog"}],
         ["1 of 1 sounds are of another class if what is kept is heard alone: masks of --obfuscation fading, the "
          "default, hold in silence, too"]),
        ("--method cartoonx --modality audio --obfuscation zero", [{**GOOD, "kept_class": "frog"}], []),
        ("--method minimal --target 3", [LOST], [f"1 of 1 {UNREACHED}"]),
        ("--max-distortion 0.1", [FULL, GOOD, LOST],
         ["no mask of those tried holds that bound for 1 of 3: theirs are full"]),
        ("--method wam --min-retention 0.95", [SHORT, GOOD],
         ["1 of 2 certificates do not show that retention: compare the intervals"]),
        ("--method wam --min-retention 0.95", [{**SHORT, "retention": 0.8}],
         ["1 of 1 certificates do not show that retention: compare the intervals"]),
        ("--method wam", [DOUBTFUL], []),  # its line has said it
        ("--method wam", [DOUBTFUL, *[GOOD] * 30],
         ["1 of 31 certificates are doubtful: the column caveats of explanations/wam/summary.csv says why"]),
    ],
)  # fmt: skip
def test_hints_fit_what_happened_and_the_method(words, rows, said):
    options = build_parser().parse_args(words.split())
    complete(options)
    options.out = default_folder(options)
    request = asked(options)
    assert list(hints(options, request, rows)) == said


def test_more_passes_are_advised_where_learned_steps_explain_and_their_number_was_left_open():
    for words, advised in (("--target 3", True), ("--target 3 --passes 64", False), ("", True), ("--passes 9", False)):
        options = build_parser().parse_args(words.split())
        complete(options)
        (hint,) = hints(options, asked(options, learned_steps=8), [LOST])
        assert ("or --passes 64" in hint) == advised


def test_rows_that_are_not_printed_are_counted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(explain_command, "summary_line", lambda file, row: file)
    rows = [{"file": f"{index}.png", "error": ""} for index in range(45)] + [{"error": "broken.png: damaged"}] * 5
    printer = RowPrinter(50)
    for each in rows:
        printer(each)
    assert len(capsys.readouterr().out.splitlines()) == printer.printed == MOST_LINES + 5
    assert print_rows(rows, 50, tmp_path, quiet=False, printed=printer.printed) == 1
    unlisted = f"45 explained (20 of them are not listed above: summary.csv has all): {tmp_path}\n"
    assert capsys.readouterr().out == unlisted
    print_rows(rows, 50, tmp_path, quiet=False)
    assert len(capsys.readouterr().out.splitlines()) == MOST_LINES + 1
    print_rows(rows[:3], 3, tmp_path, quiet=False)
    assert capsys.readouterr().out.endswith(f"\n3 explained: {tmp_path}\n")
