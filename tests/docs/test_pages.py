"""Pages and code agree: links lead somewhere, commands parse, and the reference has every package."""

import argparse
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest
from lightning.pytorch.cli import LightningCLI

import amortex
from amortex.app.checks import complete
from amortex.app.lightning_cli import TrainCLI
from amortex.app.options import build_parser
from amortex.app.train_cli import _export_parser, _pack_parser
from amortex.app.train_commands import TRAINER, ExplainCLI
from amortex.comparison import Comparison
from amortex.data import SignalData
from amortex.training.module import AmortizedTrainingModule

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CARD = ROOT / "amortex" / "assets" / "CARD.md"
PAGES = [ROOT / "README.md", CARD, *sorted(DOCS.glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"```\w*\n.*?```", re.DOTALL)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page):
    for link in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        source = CARD if target.name == "card.md" else target
        assert not anchor or anchor in anchors(source), f"{page.name} links to {link}"


def test_every_page_and_picture_is_used():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {f"images/{picture.name}" for picture in (DOCS / "images").iterdir()} <= set(
        re.findall(r"images/[\w.]+", text)
    )
    listed = set(re.findall(r"^(\w+)$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert {page.stem for page in DOCS.glob("*.md")} == listed | {"index"}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 130


def test_the_reference_has_every_package():
    reference = (DOCS / "api.md").read_text(encoding="utf-8")
    packages = [module.name for module in pkgutil.iter_modules(amortex.__path__) if module.ispkg]
    assert sorted(re.findall(r"^   amortex\.(\w+)$", reference, re.MULTILINE)) == sorted(packages)


def commands(page: Path) -> list[list[str]]:
    """The commands of a page's shell blocks and of code within sentences, as words."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    lines += re.findall(r"`((?:python|make) [^`]+)`", FENCE.sub("", text))
    return [words for line in lines if (words := shlex.split(line, comments=True))]


# the extending guide's commands need what it adds: its own test runs them
ALL = [words for page in PAGES if page.stem != "extending" for words in commands(page)]


def after(name: str) -> list[list[str]]:
    """The arguments of all commands that run a script."""
    return [list(words) for words in sorted({tuple(words[words.index(name) + 1 :]) for words in ALL if name in words})]


def label(words: list[str]) -> str:
    return " ".join(words)[:80]


@pytest.mark.parametrize("words", after("explain.py"), ids=label)
def test_commands_of_explain_parse(words):
    if words != ["--help"]:
        complete(build_parser().parse_intermixed_args(words))


class Parses(LightningCLI):
    """Parses, and does nothing."""

    def instantiate_classes(self) -> None: ...
    def _run_subcommand(self, subcommand: str) -> None: ...


class ParsesTraining(Parses):
    """The same with the options of `train.py fit` that are not Lightning's."""

    add_arguments_to_parser = TrainCLI.add_arguments_to_parser


class ParsesExplain(ExplainCLI):
    """Parses, and does nothing."""

    def instantiate_classes(self) -> None: ...


@pytest.mark.parametrize("words", after("train.py"), ids=label)
def test_commands_of_train_parse(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    command, rest, known = words[0], words[1:], {"parser_kwargs": {"exit_on_error": False}}
    if "--help" in rest or command == "--help":
        return
    if command in ("pack", "export"):
        {"pack": _pack_parser, "export": _export_parser}[command]().parse_args(rest)
    elif command == "explain":
        ParsesExplain(args=rest, run=False, auto_configure_optimizers=False, trainer_defaults=TRAINER)
    elif command == "compare":
        Parses(Comparison, SignalData, args=rest, run=False, **known)
    else:
        ParsesTraining(AmortizedTrainingModule, SignalData, args=words, **known)


@pytest.mark.parametrize("words", after("benchmarks"), ids=label)
def test_commands_of_benchmarks_parse(words, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    name, *rest = words
    parser = argparse.ArgumentParser(exit_on_error=False)
    getattr(importlib.import_module("benchmarks.arguments"), name)(parser)
    if rest:
        parser.parse_args(rest)


def test_targets_of_make_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for words in ALL if words[0] == "make" for word in words[1:] if "=" not in word}
    assert {"demo", "test"} <= named <= targets
