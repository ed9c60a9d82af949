"""What the gate does beside calling pytest: seeds that found something are not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import run


def test_a_seed_that_found_something_is_kept_until_it_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seeds: list[str] = []
    ends = iter(["an example", "an example", None, None])

    def step(failed: dict[str, str], name: str, command: list[str]) -> None:
        seeds.append(next(word for word in command if word.startswith("--hypothesis-seed=")))
        assert seeds[-1] in name, "it is printed"
        assert command[:3] == ["env", "-u", "CI"], "CI's fixed examples know no seed"
        if (end := next(ends)) is not None:
            failed[name] = end

    monkeypatch.setattr(run, "CACHE", tmp_path)
    monkeypatch.setattr(run, "step", step)
    found = []
    for _ in range(4):
        failed: dict[str, str] = {}
        run.check_properties(failed, Path("python"))
        found.append(bool(failed))
    assert found == [True, True, False, False]
    assert seeds[0] == seeds[1] == seeds[2] != seeds[3]
