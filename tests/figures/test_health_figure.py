import pytest
from planted import plant

from repro.figures import health
from repro.records import HealthRow, Source, collect, write_health


def collected(tmp_path, **gradients):
    """Runs of preset demo whose layers have these gradient norms at the beginning, and a tenth of them at the end."""
    for key, value in gradients.items():
        network, seed = key.rsplit("_", 1)
        folder = plant(tmp_path, network.replace("_", "-"), preset="demo", data="digits", seed=int(seed))
        rows = [
            HealthRow(iteration, layer, f"layer{layer}", 1.0, value / share, 0.5 * layer)
            for iteration, share in ((0, 1), (300, 5), (600, 10))
            for layer in (1, 2, 3)
        ]
        write_health(folder / "health.csv", rows)
    return collect([Source("planted", tmp_path)])


def test_it_draws_the_first_and_the_last_checkup_on_logarithmic_axes(tmp_path):
    figure = health.draw(collected(tmp_path, plain_56_0=1000.0, resnet_56_0=10.0))
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:2] == ["gradient norm before the first iteration", "gradient norm after the last iteration"]
    lines = {(part.panel, part.label): part.points[:, 1] for part in figure.parts}
    assert len(lines) == 8
    assert lines[0, "plain-56"] == pytest.approx([1000.0] * 3)
    assert lines[1, "plain-56"] == pytest.approx([100.0] * 3)
    assert lines[1, "ResNet-56"] == pytest.approx([1.0] * 3)
    assert lines[2, "plain-56"] == pytest.approx([0.5 * layer for layer in (1, 2, 3)])
    assert all(axis.get_yscale() == "log" for axis in figure.axes)
    # The least is of the last look, the greatest of the first.
    assert "not drawn: plain-56 100 to 1,000, ResNet-56 1 to 10." in figure.finding


def test_a_line_is_the_geometric_mean_over_seeds(tmp_path):
    figure = health.draw(collected(tmp_path, plain_20_0=100.0, plain_20_1=10_000.0))
    assert figure.parts[0].points[:, 1] == pytest.approx([1000.0] * 3)


def test_a_vanished_signal_is_not_drawn_and_nothing_measured_gives_no_figure(tmp_path):
    records = collected(tmp_path / "zero", plain_20_0=0.0)
    assert set(health.strengths(records)["measured"]) == {"conv_variance"}
    plant(tmp_path / "none", "plain-20", preset="demo", data="digits")
    assert health.draw(collect([Source("planted", tmp_path / "none")])) is None
