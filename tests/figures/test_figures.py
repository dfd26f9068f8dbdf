"""Figures 1, 6 and 7 on planted records: what is drawn, how, and that drawing again gives the same bytes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from planted import plant

from repro.figures import draw, figure1, figure4, figure6, figure7
from repro.figures.chart import COLOURS, Chart, Panel, Series, log_axis, log_text
from repro.figures.curves import paper_marks
from repro.figures.groups import Group, groups, narrow
from repro.records import Records, Source, collect
from repro.site import svg

PAPER_GROUP = Group("cifar10", "paper")


def lines(panel: Panel, column: str) -> dict[str, tuple[float, ...]]:
    return {line.label: line.y for line in panel.series if line.column == column and line.width != "thin"}


def test_figure_1_has_two_nets_in_two_panels(paper_like: Records) -> None:
    data, figure = figure1.figure(paper_like)
    left, right = figure.axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("training error (%)", "test error (%)")
    assert left.get_ylim() == right.get_ylim() == (0, 20)
    assert left.get_xlim() == (0, 6.4)
    assert left.get_xlabel() == "iter. (1e4)"
    drawn = {line.get_label(): line for line in right.get_lines() if not str(line.get_label()).startswith("_")}
    assert drawn["plain-20"].get_color() == COLOURS["olive"]
    assert drawn["plain-56"].get_color() == COLOURS["red"]
    assert drawn["plain-56"].get_xdata()[-1] == pytest.approx(6.4)
    assert drawn["plain-56"].get_ydata()[-1] == pytest.approx(13.3)
    ours = data[(data["x"] == 64_000) & (data["quantity"] == "train_error")]
    ends = ours.set_index("label")["y"]
    assert ends.to_dict() == pytest.approx({"plain-20": 1.4, "plain-56": 5.9}, abs=0.01)


def test_figure_1_says_what_it_shows(paper_like: Records) -> None:
    finding = figure1.chart(paper_like).finding
    assert "plain-20 1.4 %, plain-56 5.9 %" in finding
    assert "plain-20 9.7 %, plain-56 13.3 %" in finding
    assert "higher training and test error" in finding


def test_figure_1_says_so_when_the_deeper_net_is_not_worse(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", train_end=10, test_end=12)
    plant(tmp_path, "plain-56", train_end=5, test_end=7)
    finding = figure1.chart(collect([Source("ours", tmp_path)])).finding
    assert "does not end with higher errors" in finding


def test_figure_6_has_the_papers_panels_colours_and_dashes(paper_like: Records) -> None:
    chart = figure6.chart(paper_like)
    plain, residual, deep = chart.panels
    assert list(lines(plain, "test_error")) == ["plain-20", "plain-32", "plain-44", "plain-56", "plain-110"]
    assert list(lines(residual, "test_error")) == [f"ResNet-{depth}" for depth in (20, 32, 44, 56, 110)]
    assert list(lines(deep, "test_error")) == ["ResNet-110", "ResNet-1202"]
    colours = {line.label: line.colour for panel in chart.panels for line in panel.series}
    assert [colours[f"ResNet-{depth}"] for depth in (20, 32, 44, 56, 110, 1202)] == [
        "olive", "cyan", "green", "red", "black", "magenta",
    ]  # fmt: skip
    for panel in chart.panels:
        for line in panel.series:
            assert line.dashed == (line.column == "train_error")
            assert (line.width == "bold") <= (line.column == "test_error")
    assert plain.remarks == ("plain-110 is higher than 20 % and not displayed",)
    assert deep.x_limits == (35_000, 64_000)
    assert deep.y_ticks == (0, 1, 5, 10, 20)


def test_the_mean_of_five_seeds_is_drawn_over_thin_lines(paper_like: Records) -> None:
    _, residual, _ = figure6.chart(paper_like).panels
    mine = [line for line in residual.series if line.label == "ResNet-110" and line.column == "test_error"]
    assert [line.width for line in mine] == ["thin"] * 5 + ["bold"]
    assert mine[-1].y[-1] == pytest.approx(6.61)
    assert "mean of 5 seeds" in mine[-1].of


def test_training_error_is_averaged_over_a_thousand_iterations(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", preset="paper", train_end=1.4)
    records = collect([Source("ours", tmp_path)])
    line = figure1.chart(records).panels[0].series[0]
    rows = records.curves
    assert line.x[:2] == (1000, 2000)
    assert len(line.x) == 64
    first = rows[rows["iteration"] <= 1000]["train_error"]
    assert len(first) == 10
    assert line.y[0] == pytest.approx(sum(first) / 10)


def test_a_net_that_the_paper_did_not_draw_has_no_mark(paper_like: Records) -> None:
    runs = narrow(paper_like, Group("cifar10", "paper")).runs
    columns = ["train_error", "test_error"]
    assert paper_marks(runs, ["resnet-26", "plain-20"], columns, 100) == paper_marks(runs, ["plain-20"], columns, 100)
    assert len(paper_marks(runs, ["plain-20"], columns, 100)) == 2
    assert not paper_marks(runs, ["plain-110"], columns, 100), "a bound is no mark"


def test_incomplete_runs_are_drawn_and_marked(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", train_end=16, test_end=18)
    plant(tmp_path, "plain-56", status="stopped", iteration=3000, train_end=30, test_end=32)
    chart = figure1.chart(collect([Source("ours", tmp_path)]))
    labels = {line.label: line for line in chart.panels[0].series}
    assert list(labels) == ["plain-20", "plain-56 (incomplete)"]
    assert labels["plain-56 (incomplete)"].x[-1] == 3000
    assert any("stopped at iteration 3,000 of 8,000" in note for note in chart.notes)
    assert "Not all runs are complete" in chart.finding


def test_of_runs_of_which_none_ended_those_that_came_farthest_are_drawn(tmp_path: Path) -> None:
    for seed, (end, iteration) in enumerate([(10, 6000), (90, 3000), (30, 6000)]):
        plant(tmp_path, "plain-20", seed=seed, train_end=end, test_end=end, status="stopped", iteration=iteration)
    records = collect([Source("ours", tmp_path)])
    (mean,) = [line for line in figure1.chart(records).panels[1].series if line.width == "bold"]
    last = records.curves[(records.curves["iteration"] == 6000)]["test_error"]
    assert len(last) == 2 and last.iloc[0] != last.iloc[1]
    assert (mean.x[-1], mean.y[-1]) == (6000, pytest.approx(last.mean()))
    assert "mean of 2 seeds" in mean.of


def test_an_incomplete_seed_does_not_enter_the_mean(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", seed=0, train_end=10, test_end=12)
    plant(tmp_path, "plain-20", seed=1, train_end=50, test_end=60, status="stopped", iteration=6000)
    (mean,) = [
        line for line in figure1.chart(collect([Source("ours", tmp_path)])).panels[1].series if line.width == "bold"
    ]
    assert mean.label == "plain-20"
    assert mean.y[-1] == 12
    assert mean.x[-1] == 8000


@pytest.mark.parametrize(
    ("ends", "top"), [((9.7, 13.3), 20), ((16.0, 18.2), 30), ((16.0, 30.0), 40), ((1.0, 2.0), 5), ((18.0, 85.0), 100)]
)
def test_the_axis_of_errors_leaves_a_quarter_of_room(tmp_path: Path, ends: tuple[float, float], top: float) -> None:
    for network, end in zip(("plain-20", "plain-56"), ends, strict=True):
        plant(tmp_path, network, train_end=end, test_end=end)
    chart = figure1.chart(collect([Source("ours", tmp_path)]))
    assert chart.panels[0].y_limits == (0, top)
    assert f"ends at {top} %" in chart.notes[0]
    assert ("as in the paper" in chart.notes[0]) == (top == 20)


def test_variants_and_other_groups_are_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", settings={"optimiser.nesterov": True})
    plant(tmp_path, "plain-20", data="digits", preset="demo")
    records = collect([Source("ours", tmp_path)])
    assert figure1.chart(narrow(records, Group("cifar10", "short"))).empty
    for module in (figure1, figure6):
        with pytest.raises(ValueError, match="must not be mixed"):
            module.chart(records)


def test_figure_7_is_in_original_order_and_ranked(tmp_path: Path) -> None:
    values = [3.0, 1.0, 2.0, *[0.5] * 16]
    plant(tmp_path, "resnet-20", responses=values)
    plant(tmp_path, "plain-20", responses=1.8)
    chart = figure7.chart(collect([Source("ours", tmp_path)]))
    original, ranked = chart.panels
    assert [(line.label, line.dashed) for line in original.series] == [("plain-20", True), ("ResNet-20", False)]
    assert original.series[1].y == tuple(values)
    assert original.series[1].x == tuple(range(1, 20))
    assert ranked.series[1].y == tuple(sorted(values, reverse=True))
    assert chart.stacked
    assert "plain-20 1.80, ResNet-20 0.74" in chart.finding


def test_figure_7_has_both_modes_where_both_were_measured(tmp_path: Path) -> None:
    """The paper does not say in which it measured; of the second the last look at the signals knows."""
    plant(tmp_path, "resnet-20", responses=[1.0] * 19, responses_training=0.5)
    plant(tmp_path, "plain-20", responses=[2.0] * 19)
    chart = figure7.chart(collect([Source("ours", tmp_path)]))
    assert [panel.title for panel in chart.panels] == [
        "original order, evaluation mode", "ranked, evaluation mode",
        "original order, training mode", "ranked, training mode",
    ]  # fmt: skip
    evaluation, training = chart.panels[0].series, chart.panels[2].series
    assert [(line.label, line.y[0], line.column) for line in evaluation] == [
        ("plain-20", 2.0, "std"), ("ResNet-20", 1.0, "std")
    ]  # fmt: skip
    assert [(line.label, line.y[0], line.column) for line in training] == [("ResNet-20", 0.5, "std_training")]
    assert chart.finding == (
        "Mean over layers in evaluation mode: plain-20 2.00, ResNet-20 1.00; in training mode: ResNet-20 0.50."
    )


def test_figure_7_turns_to_a_logarithmic_axis_where_one_line_would_press_the_others_flat(tmp_path: Path) -> None:
    plant(tmp_path, "resnet-20", responses=[0.0, *[0.6] * 18])
    records = collect([Source("ours", tmp_path)])
    panel = figure7.chart(records).panels[0]
    assert (panel.log, panel.y_limits[0], len(panel.series[0].y)) == (False, 0.0, 19)
    assert figure7.chart(records, 20.0).panels[0].y_limits == (0.5, 20.0), "the scale of another source"
    plant(tmp_path, "plain-20", responses=[14.0, *[0.9] * 18])
    panel = figure7.chart(collect([Source("ours", tmp_path)])).panels[0]
    assert (panel.log, panel.y_limits, panel.y_ticks) == (True, (0.5, 20.0), (0.5, 1, 2, 5, 10, 20))
    assert [(line.label, line.x[0]) for line in panel.series] == [("plain-20", 1), ("ResNet-20", 2)]


@pytest.mark.parametrize("top", [None, 20.0])
def test_figure_7_of_a_net_that_does_not_respond_at_all(tmp_path: Path, top: float | None) -> None:
    plant(tmp_path, "resnet-20", responses=[0.0] * 19)
    chart = figure7.chart(collect([Source("ours", tmp_path)]), top)
    low, high = chart.panels[0].y_limits
    assert low < high
    svg.chart(chart, "x")
    draw.drawn(chart)


@pytest.mark.parametrize(
    ("low", "high", "limits", "ticks"),
    [
        (0.38, 14.3, (0.2, 20), (0.2, 0.5, 1, 2, 5, 10, 20)),
        (1.0, 100.0, (1, 100), (1, 2, 5, 10, 20, 50, 100)),
        (0.003, 42.0, (0.001, 100), (0.001, 0.01, 0.1, 1, 10, 100)),
        (2.0, 2.0, (2, 5), (2, 5)),
    ],
)
def test_a_logarithmic_axis_has_round_limits_and_ticks(low, high, limits, ticks):
    found = log_axis(low, high)
    assert found[0] == pytest.approx(limits)
    assert found[1] == pytest.approx(ticks)


@pytest.mark.parametrize(("low", "high"), [(5e-324, 1.7e308), (1e-9, 1e9), (1e300, 1.7e308)])
def test_a_logarithmic_axis_of_whatever_a_record_may_say(low, high):
    (bottom, top), ticks = log_axis(low, high)
    assert 0 < bottom < top < math.inf
    assert 2 <= len(ticks) <= 12


def test_figure_7_is_the_mean_over_seeds(tmp_path: Path) -> None:
    plant(tmp_path, "resnet-20", seed=0, responses=[1.0] * 19)
    plant(tmp_path, "resnet-20", seed=1, responses=[2.0] * 19)
    (line,) = figure7.chart(collect([Source("ours", tmp_path)])).panels[0].series
    assert line.y == (1.5,) * 19
    assert "mean of 2 seeds" in line.of


def test_groups_come_nearest_to_the_paper_first(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", data="digits", preset="demo")
    for data in ("cifar10-jpeg", "cifar10"):
        for preset in ("short", "paper"):
            plant(tmp_path, "plain-20", data=data, preset=preset, coarse=10)
    found = groups(collect([Source("ours", tmp_path)]))
    assert [(group.data, group.preset) for group in found] == [
        ("cifar10", "paper"), ("cifar10-jpeg", "paper"), ("cifar10", "short"), ("cifar10-jpeg", "short"),
        ("digits", "demo"),
    ]  # fmt: skip
    assert [group.comparable for group in found] == [True, False, False, False, False]


def test_saving_twice_gives_the_same_bytes_and_leaves_matplotlib_alone(tmp_path: Path) -> None:
    plant(tmp_path / "r", "plain-20", seed=0)
    plant(tmp_path / "r", "plain-20", seed=1)
    chart = figure1.chart(collect([Source("ours", tmp_path / "r")]))
    before = dict(mpl.rcParams)
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        written.append({file.name: file.read_bytes() for file in draw.save(chart, tmp_path / name)})
    assert sorted(written[0]) == ["figure-1.csv", "figure-1.pdf", "figure-1.png", "figure-1.svg"]
    assert written[0] == written[1]
    assert dict(mpl.rcParams) == before


def test_a_label_with_dollars_is_no_mathematics(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20")
    chart = figure1.chart(collect([Source("ours", tmp_path)]))
    panel = replace(chart.panels[0], title="$\\frac{$", remarks=("costs $5",))
    _, figure = draw.drawn(replace(chart, panels=(panel,)))
    figure.savefig(tmp_path / "x.png")


def test_the_papers_end_points_are_marked_where_they_compare(paper_like: Records, tmp_path: Path) -> None:
    left, right = figure1.chart(paper_like).panels
    assert [(mark.label, mark.x, mark.y, mark.filled) for mark in left.marks] == [
        ("plain-20", 64_000, 1.4, False), ("plain-56", 64_000, 5.9, False),
    ]  # fmt: skip
    assert [mark.y for mark in right.marks] == [9.7, 13.3]
    plain, residual, deep = figure6.chart(paper_like).panels
    assert {mark.label for mark in plain.marks} == {"plain-20", "plain-32", "plain-44", "plain-56"}, (
        "110 is off the plot"
    )
    tests = {mark.label: mark.y for mark in (*residual.marks, *deep.marks) if mark.filled}
    assert tests["ResNet-1202"] == 7.85
    assert "ResNet-44" not in {mark.label for mark in residual.marks if not mark.filled}, "the paper gives a bound only"
    plant(tmp_path, "plain-20")
    assert not figure1.chart(collect([Source("ours", tmp_path)])).panels[0].marks, "another schedule"


def test_figure_7_marks_the_papers_layers(paper_like: Records, tmp_path: Path) -> None:
    original, ranked, *_ = figure7.chart(paper_like).panels
    assert {(mark.label, mark.x, mark.y) for mark in original.marks} == {
        ("plain-56", 1, 3.0), ("ResNet-56", 1, 3.0), ("ResNet-110", 1, 3.4), ("ResNet-56", 37, 2.0),
    }  # fmt: skip
    assert {mark.x for mark in ranked.marks} == {1}
    assert original.y_limits[1] > 3.4
    plant(tmp_path, "plain-20", responses=1.8)
    assert not figure7.chart(collect([Source("ours", tmp_path)])).panels[0].marks


def test_figure_4_is_the_papers_alone() -> None:
    chart = figure4.chart()
    assert chart.empty
    assert [(mark.label, mark.x, mark.y) for mark in chart.panels[1].marks] == [
        ("ResNet-18", 100_000, 47.5), ("ResNet-34", 100_000, 44.8),
        ("ResNet-18", 545_000, 31.1), ("ResNet-34", 545_000, 28.3),
    ]  # fmt: skip
    data, figure = figure4.figure()
    assert len(data) == 8
    assert len(figure.axes) == 2


def test_values_that_are_no_numbers_are_not_drawn(tmp_path: Path) -> None:
    folder = plant(tmp_path, "plain-20")
    curve = (folder / "curve.csv").read_text().splitlines()
    cells = curve[-1].split(",")
    cells[4] = "inf"
    (folder / "curve.csv").write_text("\n".join([*curve[:-1], ",".join(cells)]) + "\n")
    line = figure1.chart(collect([Source("ours", tmp_path)])).panels[0].series[0]
    assert line.x[-1] == 7900
    assert max(line.y) < 100


def test_a_panel_without_runs_says_so(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20")
    panels = figure6.chart(collect([Source("ours", tmp_path)])).panels
    assert [panel.remarks for panel in panels] == [(), ("not run",), ("not run",)]


def test_the_deepest_nets_have_a_scale_of_their_own_beyond_the_papers(tmp_path: Path) -> None:
    plant(tmp_path, "plain-56", train_end=40, test_end=42)
    plant(tmp_path, "resnet-110", train_end=1, test_end=3)
    chart = figure6.chart(collect([Source("ours", tmp_path)]))
    assert [panel.y_limits[1] for panel in chart.panels] == [60, 60, 5]
    assert "The axis of errors of the right panel ends at 5 %." in chart.notes


@pytest.mark.parametrize(
    ("tick", "text"),
    [(1.0, "1"), (0.02, "0.02"), (5000.0, "5000"), (1e4, "10⁴"), (2e5, "2·10⁵"), (1e-12, "10⁻¹²"), (1e300, "10³⁰⁰")],
)
def test_ticks_of_many_zeros_are_powers_of_ten(tick: float, text: str) -> None:
    assert log_text(tick) == text


def test_a_net_whose_warm_up_never_ended_is_named(tmp_path: Path) -> None:
    plant(tmp_path, "plain-110", train_end=85, test_end=85, warm_up_ended=200)
    plant(tmp_path, "plain-110", seed=1, train_end=85, test_end=85, extra={"warm_up_ended": None})
    plant(tmp_path, "plain-56", train_end=85, test_end=85, warm_up_ended=0)
    said = [note for note in figure6.chart(collect([Source("ours", tmp_path)])).notes if "warm-up" in note]
    assert said == [
        "plain-110: its training error never fell below 80 % in 1 of 2 runs, so that the warm-up at a learning rate of "
        "0.01 never ended."
    ]


def test_a_deepest_net_that_has_only_begun_is_shown(tmp_path: Path) -> None:
    """Its beginning is all there is to see; complete, it may lie above the axis."""
    plant(tmp_path, "plain-56", train_end=40, test_end=42)
    plant(tmp_path, "resnet-110", train_end=1, test_end=3)
    plant(tmp_path, "resnet-1202", train_end=88, test_end=89)
    *_, complete = figure6.chart(collect([Source("ours", tmp_path)])).panels
    assert complete.y_limits == (0.0, 5.0)
    assert complete.remarks == ("ResNet-1202 is higher than 5 % and not displayed",)

    plant(tmp_path, "resnet-1202", train_end=88, test_end=89, status="stopped", iteration=200)
    chart = figure6.chart(collect([Source("ours", tmp_path)]))
    *_, begun = chart.panels
    (points,) = (line.y for line in begun.series if line.label == "ResNet-1202 (incomplete)")
    assert len(points) == 2
    assert all(60 < point < begun.y_limits[1] for point in points)
    assert begun.remarks == ()
    assert "The axis of errors of the right panel ends at 100 %." in chart.notes
    early = r"\(incomplete: stopped at iteration 200 of 8,000\)"
    assert re.search(rf"ResNet-1202 \d\d\.\d / none yet {early}", chart.finding)


def test_a_net_that_was_never_evaluated_is_in_the_legend_by_its_training_error(tmp_path: Path) -> None:
    for seed in (0, 1):
        plant(tmp_path, "resnet-20", seed=seed, status="stopped", iteration=400)
    lines = figure6.chart(collect([Source("ours", tmp_path)])).panels[1].series
    assert [(line.width, line.legend) for line in lines] == [("thin", False), ("thin", False), ("normal", True)]


def test_a_net_of_56_layers_is_shown_however_badly_it_ends(tmp_path):
    """It is what the figures are about; only a deeper one may lie above the axis, as in the paper's Figure 6."""
    for network, end in (("plain-20", 1.0), ("plain-56", 68.0), ("plain-110", 89.0)):
        plant(tmp_path, network, preset="demo", data="digits", train_end=end, test_end=end)
    records = collect([Source("planted", tmp_path)])
    for module in (figure1, figure6):
        panel = module.chart(records).panels[0]
        assert panel.y_limits == (0.0, 100.0)
        assert not any("plain-56" in remark for remark in panel.remarks)


def test_a_net_of_110_layers_that_does_not_train_leaves_the_axis_to_the_others(tmp_path):
    for network, end in (("plain-20", 1.0), ("plain-56", 12.0), ("plain-110", 89.0)):
        plant(tmp_path, network, preset="demo", data="digits", train_end=end, test_end=end)
    panel = figure6.chart(collect([Source("planted", tmp_path)])).panels[0]
    assert panel.y_limits == (0.0, 20.0)


def test_figure_7_leaves_variants_out(tmp_path: Path) -> None:
    plant(tmp_path, "resnet-20", responses=[1.0] * 19)
    plant(tmp_path, "resnet-20", responses=[3.0] * 19, settings={"optimiser.nesterov": True})
    (line,) = figure7.chart(collect([Source("ours", tmp_path)])).panels[0].series
    assert line.y == (1.0,) * 19 and "one seed" in line.of


def test_an_incomplete_seed_does_not_enter_the_mean_where_it_has_points_either(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", seed=0, train_end=10, test_end=12)
    alone = figure1.chart(collect([Source("ours", tmp_path)])).panels[1].series[-1].y
    plant(tmp_path, "plain-20", seed=1, train_end=50, test_end=60, status="stopped", iteration=6000)
    series = figure1.chart(collect([Source("ours", tmp_path)])).panels[1].series
    (mean,) = (line for line in series if line.width == "bold")
    assert mean.y == alone


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("low", "high"), [(1e-300, 1e300), (1e-3, 1e307), (0.5, 2e6)])
def test_a_logarithmic_axis_is_drawn_whatever_the_numbers(low: float, high: float) -> None:
    limits, ticks = log_axis(low, high)
    line = Series("a", "of", "std", "red", (1.0, 2.0), (low, high))
    panel = Panel("t", "x", "y", (0.0, 3.0), limits, (line,), ticks, log=True)
    _, figure = draw.drawn(Chart("n", "t", "f", (panel,)))
    assert figure.axes[0].get_ylim() == pytest.approx(limits)
