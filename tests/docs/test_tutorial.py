"""The tutorial's code runs as it stands, block after block, and prints what it says."""

import re
from pathlib import Path

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"```python\n(.*?)```\n(?:\n((?:    [^\n]+\n)+))?", re.DOTALL
)  # code, and what it prints if it is told
NUMBER = r"\d+(?:\.\d+)?"


def words(text: str) -> str:
    """Without numbers, which another machine rounds otherwise."""
    return " ".join(re.sub(NUMBER, "#", text).split())


def test_the_tutorial_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks, names = BLOCK.findall(TUTORIAL), {"__name__": "tutorial"}
    assert len(blocks) == TUTORIAL.count("```python")
    for code, told in blocks:
        capsys.readouterr()
        exec(compile(code, "tutorial.md", "exec"), names)
        if told:
            assert words(capsys.readouterr().out) == words(told)
    assert bool(names["certificate"].retained.all())
    assert bool(names["tabby"].certificate().retained.all())  # the mask found what looks like a tabby
    assert names["share"].min() > 0.9
    assert {path.name for path in (tmp_path / "explanations").iterdir()} >= {"cat_panel.png", "summary.csv"}
