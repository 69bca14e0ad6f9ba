"""The extending guide, followed to the letter: its files and lines in a copy of the package pass the contract test."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
NAMES = ("laplace", "cosine", "random_masks")
CONTRACTS = ("tests/explainers/test_contracts.py", "tests/rate_distortion/test_contracts.py")
# a block, after the last path in backticks before it
BLOCK = re.compile(r"`(amortex/[\w/]+\.py)`[^`]*(?:`[^`\n]*`[^`]*)*?```(python|diff)\n(.*?)```", re.DOTALL)


def follow(guide: str, folder: Path) -> None:
    """Write the files and add the lines that the guide names to the copy in `folder`."""
    for path, language, block in BLOCK.findall(guide):
        file = folder / path
        if language == "python":
            assert not file.exists(), f"{path} is no new file"
            file.write_text(block, encoding="utf-8")
            continue
        lines = block.splitlines()
        before = "".join(line[1:] + "\n" for line in lines if line[0] == " ")
        after = "".join(line[1:] + "\n" for line in lines)
        content = file.read_text(encoding="utf-8")
        assert content.count(before) == 1, f"{path} has no place for {after}"
        file.write_text(content.replace(before, after), encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the package and its tests, extended."""
    folder = tmp_path_factory.mktemp("extended")
    for name in ("amortex", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    follow(GUIDE, folder)
    return folder


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'tests'}"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_guide_adds_one_file_and_one_line_for_each_name(copy):
    blocks = BLOCK.findall(GUIDE)
    assert [language for _, language, _ in blocks] == ["python", "diff", "python", "diff", "diff", "python", "diff"]
    assert len(blocks) == GUIDE.count("```python") + GUIDE.count("```diff") - 1  # the first block shows a layout
    assert all(sum(line[0] == "+" for line in block.splitlines()) == 1 for _, kind, block in blocks if kind == "diff")


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_test_runs_what_was_added(copy, name):
    out = run(copy, "-m", "pytest", *CONTRACTS, "-k", name, "-n", "0", "-p", "no:cacheprovider")
    assert int(re.search(r"(\d+) passed", out)[1]) >= 3, out
    assert "skipped" not in out


def test_the_command_line_offers_what_was_added(copy):
    small = ("--input-size", "64", "--no-panels", "--certificate-samples", "2")
    run(copy, "-m", "amortex.app.explain_cli", "--help")
    script = "import sys; from amortex.app.explain_cli import main; sys.exit(main(sys.argv[1:]))"
    run(copy, "-c", script, "--method", "cosine_rde", "--obfuscation", "laplace", "--steps", "2", *small)
    run(copy, "-c", script, "--method", "random_masks", "--samples", "4", "--rate", "0.5", *small)


def test_the_block_about_layouts_prints_what_the_guide_says(capsys):
    code, printed = re.search(r"```python\n(import torch.*?)```\n\n((?:    [^\n]+\n)+)", GUIDE, re.DOTALL).groups()
    exec(compile(code, "extending.md", "exec"), {})
    assert capsys.readouterr().out.split() == printed.split()
