"""Figures on planted records: what is drawn, how, and that drawing again gives the same bytes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from PIL import Image
from planted import plant

from repro.figures import drawing, errors, layers, one_run
from repro.figures.drawing import COLOURS, Drawing
from repro.groups import Group, groups, narrow
from repro.records import HealthRow, Records, Source, collect, write_health
from repro.records.foreign import Target, bring_in

figure_1, figure_6 = (partial(errors.draw, name=name) for name in ("figure-1", "figure-6"))


def found(folder: Path) -> Records:
    return collect([Source("ours", folder)])


def drawn(draw, folder: Path) -> Drawing:
    result = draw(found(folder))
    assert result is not None
    return result


@pytest.fixture(scope="module")
def papers(paper_like: Records) -> dict[str, Drawing]:
    """Figures of a project that found exactly what the paper did."""
    draws = {"1": figure_1, "6": figure_6, "7": layers.draw_responses}
    return {name: draw(paper_like) for name, draw in draws.items()}


def lines(figure: Drawing, panel: int, said: str = "") -> dict[str, list[tuple[float, float]]]:
    """The means of a panel by their label, of one quantity or of any."""
    parts = [part for part in figure.parts if part.panel == panel and part.said and "paper" not in part.said]
    return {part.label: [tuple(point) for point in part.points] for part in parts if said in ("", part.said)}


def marks(figure: Drawing, panel: int) -> set[tuple[str, float, float]]:
    parts = [part for part in figure.parts if part.panel == panel and "paper" in part.said]
    return {(part.label, *map(float, part.points[0])) for part in parts}


def line_of(figure: Drawing, gid: str) -> Line2D:
    (line,) = [line for axis in figure.axes for line in axis.get_lines() if line.get_gid() == gid]
    return line


def test_figure_1_has_two_nets_in_two_panels(papers: dict[str, Drawing]) -> None:
    figure = papers["1"]
    left, right = figure.axes
    assert (left.get_ylabel(), right.get_ylabel()) == ("training error (%)", "test error (%)")
    assert left.get_ylim() == right.get_ylim() == (0, 20)
    assert left.get_xlim() == (0, 64_000)
    assert left.get_xlabel() == "iterations (1e4)"
    assert left.xaxis.get_major_formatter()(60_000, 0) == "6"
    ends = {label: points[-1] for label, points in lines(figure, 1).items()}
    assert ends == {"plain-20": (64_000, pytest.approx(9.7)), "plain-56": (64_000, pytest.approx(13.3))}
    assert "plain-20 1.40 / 9.70, plain-56 5.90 / 13.30" in figure.finding


def test_each_series_has_the_papers_colour_and_the_dashes_of_its_quantity(papers: dict[str, Drawing]) -> None:
    figure = papers["6"]
    plain, residual, deep = ({*lines(figure, panel)} for panel in range(3))
    assert plain == {"plain-20", "plain-32", "plain-44", "plain-56", "plain-110"}
    assert residual == {f"ResNet-{depth}" for depth in (20, 32, 44, 56, 110)}
    assert deep == {"ResNet-110", "ResNet-1202"}
    colours = {20: "olive", 32: "cyan", 44: "green", 56: "red", 110: "black", 1202: "magenta"}
    for part in figure.parts:
        line = line_of(figure, part.gid)
        assert to_hex(line.get_color()) == COLOURS[colours[int(part.label.split("-")[1])]]
        if part.said in ("training error", "test error"):
            assert (line.get_linewidth() > 2) == (part.said == "test error")
            # What is drawn is what the part says: dashes have a pattern, a solid line has none.
            assert bool(line._unscaled_dash_pattern[1]) == (part.said == "training error")
    assert "plain-110 is higher than 20 % and not displayed" in figure.axes[0].get_title()
    assert figure.axes[2].get_xlim() == (35_000, 64_000)
    assert figure.axes[2].get_yticks().tolist() == [0, 1, 5, 10, 20]
    # The mean of five seeds is drawn over thin lines.
    thin = [part.gid for part in figure.parts if part.label == "ResNet-110" and part.panel == 1 and not part.said]
    assert len(thin) == 2 * 5 and all(line_of(figure, gid).get_linewidth() < 1 for gid in thin)
    assert lines(figure, 1, "test error")["ResNet-110"][-1][1] == pytest.approx(6.61)


@pytest.mark.parametrize("name", ["1", "6", "7"])
def test_a_figure_alone_says_what_it_is_of_and_explains_its_lines(papers: dict[str, Drawing], name: str) -> None:
    figure = papers[name].figure
    lines = {"training error", "test error"} if name != "7" else {"paper, plain", "paper, ResNet"}
    assert lines | {"plain-20", "plain-56"} <= set(key(papers[name]))
    for said in ("CIFAR-10 · preset paper", "64,000 iterations", "source: planted"):
        assert said in figure.get_suptitle()
    assert figure.get_figwidth() > figure.get_figheight()


def key(figure: Drawing) -> list[str]:
    """As one reads it: row by row."""
    (legend,) = figure.figure.legends
    boxes = {text.get_text(): text.get_window_extent() for text in legend.get_texts()}
    return sorted(boxes, key=lambda said: (-round(boxes[said].y1 / 10), boxes[said].x0))


def in_key(figure: Drawing, label: str) -> Line2D:
    (legend,) = figure.figure.legends
    return dict(zip([text.get_text() for text in legend.get_texts()], legend.get_lines(), strict=True))[label]


def test_the_key_goes_by_depth_also_where_a_net_has_the_papers_marks_alone(tmp_path: Path) -> None:
    for network in ("resnet-110", "resnet-20"):
        plant(tmp_path, network, preset="paper", test_end=8)
    figure = drawn(figure_6, tmp_path)
    residual = [label for label in key(figure) if label.startswith("ResNet")]
    assert residual == [f"ResNet-{depth}" for depth in (20, 32, 44, 56, 110, 1202)]
    assert list(figure.palette) == [label for label in key(figure) if label in figure.palette]
    assert (in_key(figure, "ResNet-110").get_marker(), in_key(figure, "ResNet-56").get_marker()) == ("", "D")


def test_a_panel_without_a_curve_is_left_away(tmp_path: Path) -> None:
    for network in ("plain-20", "resnet-20"):
        plant(tmp_path, network)
    assert [axis.get_title() for axis in drawn(figure_6, tmp_path).axes] == ["plain nets", "ResNets"]
    plant(tmp_path, "resnet-20", preset="paper")
    marked = figure_6(narrow(found(tmp_path), Group("cifar10", "paper")))
    assert marked is not None
    assert [axis.get_title() for axis in marked.axes] == ["ResNets"], "of the others there are the paper's marks alone"


def test_the_panel_of_the_deepest_has_the_papers_limits_on_its_data_and_schedule_alone(tmp_path: Path) -> None:
    for network in ("resnet-20", "plain-56", "resnet-110"):
        plant(tmp_path, network, train_end=60, test_end=60)
    figure = drawn(figure_6, tmp_path)
    plain, _, deep = figure.axes
    assert deep.get_title() == "110 layers" and "1202" not in " ".join([figure.finding, *figure.notes, *key(figure)])
    for limits in ("get_xlim", "get_ylim", "get_yticks"):
        assert tuple(getattr(deep, limits)()) == tuple(getattr(plain, limits)())
    alone = errors.draw(found(tmp_path), name="figure-6", alone=errors.DEEPEST)
    assert alone and alone.title == "Figure 6. Errors during training: 110 layers" and "ResNet-110 60" in alone.finding
    plant(tmp_path, "resnet-110", preset="paper", train_end=1, test_end=6)
    papers = figure_6(narrow(found(tmp_path), Group("cifar10", "paper")))
    assert papers is not None and papers.axes[1].get_xlim() == (35_000, 64_000)
    assert papers.axes[1].get_title() == "110 and 1202 layers", "the paper's mark of 1202 layers is there"


def test_the_key_is_within_the_figure_and_says_what_thin_lines_are(tmp_path: Path) -> None:
    for network in ("plain-20", "plain-56", "resnet-56"):
        plant(tmp_path, network, status="stopped", iteration=3000)
    figure = drawn(figure_6, tmp_path)
    assert "single seeds" not in key(figure)
    plant(tmp_path, "plain-20", seed=1, status="stopped", iteration=3000)
    figure = drawn(figure_6, tmp_path)
    assert "single seeds" in key(figure)
    (legend,) = figure.figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.figure.bbox.x1


def test_training_error_is_averaged_over_a_thousand_iterations(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", preset="paper", train_end=1.4)
    records = found(tmp_path)
    points = lines(figure_1(records), 0)["plain-20"]
    first = records.curves[records.curves["iteration"] <= 1000]["train_error"]
    assert [x for x, _ in points[:2]] == [1000, 2000] and len(points) == 64 and len(first) == 10
    assert points[0][1] == pytest.approx(sum(first) / 10)


@pytest.mark.filterwarnings("error")  # matplotlib's, of panels that marks beyond their edge leave no room
@pytest.mark.parametrize("name", sorted(errors.VIEWS))
def test_the_papers_marks_are_within_the_panels_beside_a_shorter_run(name: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("iteration,test_error\n391,75\n23460,10\n")
    bring_in([tmp_path / "c.csv"], tmp_path / "r", Target("resnet-20"))
    figure = errors.draw(found(tmp_path / "r"), name=name)
    for panel, axis in enumerate(figure.axes if figure else ()):
        assert axis.get_xlim()[1] == 64_000
        assert all(x <= 64_000 for _, x, _ in marks(figure, panel))
    if figure is not None:
        assert "23,460 iterations" in figure.figure.get_suptitle()
        assert "augmented" not in " ".join(figure.notes), "how its errors were taken is not known"


def test_incomplete_runs_are_drawn_and_marked(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", train_end=16, test_end=18)
    plant(tmp_path, "plain-56", status="stopped", iteration=3000, train_end=30, test_end=32)
    figure = drawn(figure_1, tmp_path)
    assert list(lines(figure, 0)) == ["plain-20", "plain-56 (incomplete)"]
    assert lines(figure, 0)["plain-56 (incomplete)"][-1][0] == 3000
    assert any("stopped at iteration 3,000 of 8,000" in note for note in figure.notes)
    assert "(incomplete: stopped at iteration 3,000 of 8,000)" in figure.finding
    # A seed that did not end does not enter the mean.
    alone = lines(figure, 0)["plain-20"]
    plant(tmp_path, "plain-20", seed=1, train_end=50, test_end=60, status="stopped", iteration=6000)
    assert lines(drawn(figure_1, tmp_path), 0)["plain-20"] == alone


def test_sources_share_one_scale(tmp_path: Path) -> None:
    plant(tmp_path / "a", "plain-20", test_end=18.0, train_end=16.0)
    plant(tmp_path / "b", "plain-20", test_end=45.0, train_end=44.0)
    both = collect([Source("a", tmp_path / "a"), Source("b", tmp_path / "b")])
    assert figure_1(narrow(both, source="a"), both).axes[0].get_ylim() == (0, 60)


def test_a_title_says_of_how_many_seeds_a_line_is_the_mean(tmp_path: Path) -> None:
    def said() -> list[str]:
        return drawn(figure_1, tmp_path).figure.get_suptitle().split("\n")[2:]

    for network in ("plain-20", "plain-56"):
        plant(tmp_path, network)
    assert said() == []
    plant(tmp_path, "plain-56", seed=1)
    assert said() == ["mean of 2 seeds: plain-56 · others: one seed"]
    plant(tmp_path, "plain-20", seed=1)
    assert said() == ["each line is the mean of 2 seeds"]
    plant(tmp_path, "plain-20", seed=2)
    assert said() == ["mean of 3 seeds: plain-20 · mean of 2 seeds: plain-56"]


def test_variants_and_other_groups_are_left_out(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", settings={"optimiser.nesterov": True})
    plant(tmp_path, "plain-20", data="digits", preset="demo")
    assert figure_1(narrow(found(tmp_path), Group("cifar10", "short"))) is None
    for draw in (figure_1, layers.draw_responses, layers.draw_signals):
        with pytest.raises(ValueError, match="must not be mixed"):
            draw(found(tmp_path))


def test_figure_7_is_in_original_order_and_ranked_in_each_mode_that_was_measured(tmp_path: Path) -> None:
    """The paper does not say in which mode it measured; of training mode the last look at the signals knows."""
    values = [3.0, 1.0, 2.0, *[0.5] * 16]
    plant(tmp_path, "resnet-20", responses=values, responses_training=0.5)
    plant(tmp_path, "resnet-20", responses=[9.0] * 19, settings={"optimiser.nesterov": True})
    plant(tmp_path, "plain-20", responses=1.8)
    figure = drawn(layers.draw_responses, tmp_path)
    original, ranked, in_training = (lines(figure, panel) for panel in range(3))
    assert original["ResNet-20"] == list(enumerate(values, start=1))
    assert ranked["ResNet-20"] == list(enumerate(sorted(values, reverse=True), start=1))
    assert in_training == {"ResNet-20": [(layer, value / 2) for layer, value in enumerate(values, start=1)]}
    assert [axis.get_title() for axis in figure.axes[1:3]] == [
        "ranked, batch norm by running statistics",
        "original order, batch norm by the batch's statistics",
    ]
    drawn_as = {part.label: line_of(figure, part.gid) for part in figure.parts[:2]}
    for found_as in (drawn_as, {label: in_key(figure, label) for label in drawn_as}):
        dashed = {label: bool(line._unscaled_dash_pattern[1]) for label, line in found_as.items()}
        assert dashed == {"plain-20": True, "ResNet-20": False}
    assert all(tick == int(tick) for axis in figure.axes for tick in axis.get_xticks())
    assert "evaluation mode: plain-20 1.80, ResNet-20 0.74" in figure.finding


def test_figure_7_marks_the_nets_that_have_a_curve_within_its_axes(tmp_path: Path) -> None:
    for network in ("plain-20", "resnet-20"):
        plant(tmp_path, network, preset="paper", responses=0.5)
    none = drawn(layers.draw_responses, tmp_path)
    assert not marks(none, 0) and key(none) == ["plain-20", "ResNet-20"]
    assert none.axes[0].get_ylim()[1] < 1, "no room for what is not marked"
    # With these the axis is logarithmic; all marks are below them.
    for network, seed in (("plain-20", 0), ("plain-20", 1), ("resnet-20", 0), ("resnet-56", 0)):
        plant(tmp_path, network, preset="paper", responses=6.0, seed=seed)
    figure = drawn(layers.draw_responses, tmp_path)
    assert {label for label, *_ in marks(figure, 0)} == {"ResNet-56"}
    for panel, axis in enumerate(figure.axes):
        for _, x, y in marks(figure, panel):
            assert axis.get_xlim()[0] <= x <= axis.get_xlim()[1] and axis.get_ylim()[0] <= y <= axis.get_ylim()[1]
    assert "mean of 2 seeds: plain-20 · others: one seed" in figure.figure.get_suptitle()


@pytest.mark.filterwarnings("error")
def test_figure_7_is_drawn_whatever_a_record_says(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", responses=[0.0] * 19)
    plant(tmp_path, "resnet-20", responses=[1e-300, *[1e300] * 18])
    figure = drawn(layers.draw_responses, tmp_path)
    drawing.save(figure, tmp_path, ["svg"])
    low, high = figure.axes[0].get_ylim()
    assert low < high


def test_groups_come_nearest_to_the_paper_first() -> None:
    ordered = [
        ("cifar10", "paper"), ("cifar10-jpeg", "paper"), ("cifar10", "short"), ("cifar10-jpeg", "short"),
        ("digits", "demo"), ("another", "own"),
    ]  # fmt: skip
    runs = pd.DataFrame(ordered[::-1], columns=["data", "preset"])
    found = groups(SimpleNamespace(runs=runs))
    assert [(group.data, group.preset) for group in found] == ordered
    assert [group.comparable for group in found] == [True, *[False] * 5]


def test_the_svg_keeps_text_as_text_and_names_its_series(papers: dict[str, Drawing], tmp_path: Path) -> None:
    (file,) = drawing.save(papers["1"], tmp_path, ["svg"])
    items = list(ET.parse(file).getroot().iter())
    texts = ["".join(item.itertext()) for item in items if item.tag.endswith("}text")]
    assert "training error (%)" in texts and "plain-56" in texts
    ids = [item.attrib["id"] for item in items if "id" in item.attrib]
    assert all(ids.count(part.gid) == 1 for part in papers["1"].parts)
    assert not re.search(r"<dc:date>|href=\"http", file.read_text())


def test_a_label_with_dollars_is_no_mathematics_and_saving_leaves_matplotlib_alone(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", data="digits", preset="demo")
    records = found(tmp_path)
    odd = {name: getattr(records, name).assign(source="$\\frac{$") for name in ("runs", "curves")}
    before = dict(mpl.rcParams)
    drawing.save(figure_1(replace(records, **odd)), tmp_path)
    assert dict(mpl.rcParams) == before
    assert "source: $\\frac{$" in (tmp_path / "figure-1.svg").read_text()


def test_the_png_has_few_colours_but_looks_as_it_was_drawn(papers: dict[str, Drawing], tmp_path: Path) -> None:
    (file,) = drawing.save(papers["6"], tmp_path, ["png"])
    few = Image.open(file)
    papers["6"].figure.savefig(tmp_path / "whole.png", dpi=130)
    whole = Image.open(tmp_path / "whole.png").convert("RGB")
    assert few.size == whole.size and few.info["dpi"] == pytest.approx((130, 130), abs=0.1)
    assert file.stat().st_size < (tmp_path / "whole.png").stat().st_size / 2
    off = np.abs(np.asarray(few.convert("RGB"), dtype=int) - np.asarray(whole, dtype=int)).max(axis=2)
    assert off.max() < 40 and (off > 10).mean() < 0.005
    before = file.read_bytes()
    drawing.save(papers["6"], tmp_path, ["png"])
    assert file.read_bytes() == before


def test_the_papers_end_points_are_marked_where_they_compare(papers: dict[str, Drawing], tmp_path: Path) -> None:
    figure = papers["1"]
    assert marks(figure, 0) == {("plain-20", 64_000, 1.4), ("plain-56", 64_000, 5.9)}
    assert marks(figure, 1) == {("plain-20", 64_000, 9.7), ("plain-56", 64_000, 13.3)}
    figure = papers["6"]
    assert {label for label, *_ in marks(figure, 0)} == {"plain-20", "plain-32", "plain-44", "plain-56"}, "110 is off"
    assert ("ResNet-1202", 64_000, 7.85) in marks(figure, 2)
    assert marks(papers["7"], 0) > {("plain-56", 1, 3.0), ("ResNet-110", 1, 3.4), ("ResNet-56", 37, 2.0)}
    assert {x for _, x, _ in marks(papers["7"], 1)} == {1}
    hollow = {part.label for part in figure.parts if part.said == "the paper's training error"}
    assert "ResNet-44" not in hollow, "the paper gives a bound only"
    plant(tmp_path, "plain-20")
    other = drawn(figure_1, tmp_path)
    assert not marks(other, 0), "another schedule"
    assert any("not marked" in note for note in other.notes)


def test_figure_4_is_the_papers_alone() -> None:
    figure = errors.draw_imagenet()
    assert len(figure.data) == 8 and not lines(figure, 0)
    assert marks(figure, 1) > {("ResNet-18", 100_000, 47.5), ("ResNet-34", 545_000, 28.3)}


def test_figure_4_of_runs_has_a_panel_for_plain_nets_and_one_for_resnets(tmp_path: Path) -> None:
    ends = {"plain-18": (5.0, 9.0), "plain-34": (8.0, 12.0), "resnet-18": (4.0, 8.0), "resnet-34": (3.0, 7.0)}
    for network, (train, test) in ends.items():
        plant(tmp_path, network, preset="table-1-short", train_end=train, test_end=test)
    plant(tmp_path, "resnet-50", preset="table-1-short")
    figure = drawn(partial(errors.draw, name="figure-4"), tmp_path)
    plain, residual = ({label: xy[-1][1] for label, xy in lines(figure, at, "test error").items()} for at in (0, 1))
    assert plain == pytest.approx({"plain-18": 9.0, "plain-34": 12.0})
    assert residual == pytest.approx({"ResNet-18": 8.0, "ResNet-34": 7.0})
    assert not marks(figure, 0) and not marks(figure, 1), "the paper's are of ImageNet"
    assert "plain-34 8.00 / 12.00" in figure.finding
    assert figure.axes[0].get_ylim() == (0, 20) and not any("as in the paper" in note for note in figure.notes)


def test_on_imagenet_nothing_is_said_of_other_data(tmp_path: Path) -> None:
    plant(tmp_path, "resnet-34", preset="imagenet", data="imagenet", coarse=50)
    assert "other data" not in " ".join(drawn(partial(errors.draw, name="figure-4"), tmp_path).notes)


def test_a_net_above_the_axis_is_named_and_one_that_has_only_begun_is_shown(tmp_path: Path) -> None:
    plant(tmp_path, "plain-56", train_end=40, test_end=42)
    plant(tmp_path, "resnet-110", train_end=1, test_end=3)
    plant(tmp_path, "resnet-1202", train_end=88, test_end=89)
    assert "ResNet-1202 is higher than 60 % and not displayed" in drawn(figure_6, tmp_path).axes[2].get_title()
    plant(tmp_path, "resnet-1202", train_end=88, test_end=89, status="stopped", iteration=200)
    figure = drawn(figure_6, tmp_path)
    assert all(60 < y < 100 for _, y in lines(figure, 2)["ResNet-1202 (incomplete)"])
    assert re.search(r"none yet \(incomplete: stopped at iteration 200 of 8,000\)", figure.finding)


def test_a_net_whose_warm_up_never_ended_is_named(tmp_path: Path) -> None:
    plant(tmp_path, "plain-110", train_end=85, test_end=85, warm_up_ended=200)
    plant(tmp_path, "plain-110", seed=1, train_end=85, test_end=85, extra={"warm_up_ended": None})
    plant(tmp_path, "plain-56", train_end=85, test_end=85, warm_up_ended=0)
    (said,) = [note for note in drawn(figure_6, tmp_path).notes if "warm-up" in note]
    assert said.startswith("plain-110: in 1 run ") and "80 %" in said and "0.01" in said


def test_a_single_run_is_drawn(tmp_path: Path) -> None:
    plant(tmp_path, "plain-20", train_end=1.5, test_end=2.5, responses=[2.0] * 19)
    records = found(tmp_path)
    figure = one_run.draw(records.runs.iloc[0], records.curves, records.responses)
    assert "test error 2.5" in figure.finding and "batch norm by running statistics 2" in figure.finding
    curve = records.curves[["iteration", "train_error"]].to_numpy()
    assert np.array_equal(figure.parts[0].points, curve) and figure.parts[0].said == "training error"
    assert figure.axes[0].get_ylim() == (0, 5)
    assert one_run.draw(records.runs.iloc[0], records.curves[:0], records.responses[:0]) is None


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
    # A line is the geometric mean over seeds.
    figure = layers.draw_signals(collected(tmp_path, plain_56_0=100.0, plain_56_1=10_000.0, resnet_56_0=10.0))
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
    assert "not drawn: plain-56 10 to 10,000, ResNet-56 1 to 10." in figure.finding


def test_a_vanished_signal_is_not_drawn_and_nothing_measured_gives_no_figure(tmp_path):
    records = collected(tmp_path / "zero", plain_20_0=0.0)
    figure = layers.draw_signals(records)
    assert [part.panel for part in figure.parts] == [2, 3], "of the gradient there is nothing"
    plant(tmp_path / "none", "plain-20", preset="demo", data="digits")
    assert layers.draw_signals(collect([Source("planted", tmp_path / "none")])) is None
