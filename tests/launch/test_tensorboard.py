"""--log tensorboard: what TensorBoard reads is what the curve holds, also after a stop and a lost checkpoint."""

import math

import pytest
import runs

from repro.launch.tensorboard import TAGS
from repro.records import read_curve
from repro.run import main

reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard")


def read(folder):
    events = reader.EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_what_it_shows_is_the_curve(tmp_path, capsys):
    study = runs.write_study(tmp_path, 8, log_every=2, evaluate_every=4)
    words = runs.words(study, tmp_path, "--only", "plain-8", "--log", "tensorboard")
    assert main([*words, "--stop-at", "4"]) == 0
    folder = runs.folder_of(study, tmp_path, "plain-8").path
    (folder / "checkpoint.pt").unlink()  # so that it begins anew
    assert main([*words, "--stop-at", "6"]) == 0
    assert main(words) == 0
    rows, shown = read_curve(folder / "curve.csv"), read(folder)
    assert len(rows) == 4 and shown.keys() == set(TAGS.values())
    for name, tag in TAGS.items():
        expected = [(row.iteration, getattr(row, name)) for row in rows if not math.isnan(getattr(row, name))]
        assert shown[tag] == [(step, pytest.approx(value, rel=1e-6)) for step, value in expected]
    assert "complete" in capsys.readouterr().out
