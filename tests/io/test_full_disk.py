"""A full disk: nothing half-written, and the same command completes the run."""

import errno
import os
from pathlib import Path

import pytest

from amortex.io import files
from amortex.io.files import append, write_atomically
from helpers.explaining import FAST, explain, rows
from helpers.photographs import photographs

NAMES = ("a.png", "b.png", "c.png")


@pytest.mark.parametrize("writes", range(1, 9))
def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch, capsys, writes):
    folder, out = photographs(tmp_path / "in", *NAMES), tmp_path / "out"
    count = iter(range(1, 1000))
    write_bytes = Path.write_bytes

    def full(path, content):
        if next(count) >= writes:
            write_bytes(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert explain(folder, "--out", out, "--batch-size", 1, *FAST) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "No space left on device" in error
    assert not list(out.rglob("*.part"))
    assert not list(out.rglob(".*"))
    assert explain(folder, "--out", out, "--batch-size", 1, *FAST) == 0
    assert [Path(row["file"]).name for row in rows(out)] == list(NAMES)


def test_appending_to_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "summary.csv"
    path.write_text("header\n")

    def full(path, *arguments, **more):
        file = open(path, *arguments, **more)  # noqa: SIM115
        write = file.write

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def write(self, text):
                write(text[:3])
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    monkeypatch.setattr(files, "open", full, raising=False)
    with pytest.raises(OSError, match="No space"):
        append(path, "a,b,c\n")
    assert path.read_text() == "header\n"


def test_writing_replaces_a_file_in_full_or_not_at_all(tmp_path, monkeypatch):
    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        write_atomically(tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"
