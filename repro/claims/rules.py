"""How each claim about training runs is judged, H1 to H11, H13 to H16 and H18 to H22; claims.toml has it in words.

H18 to H22 are about Table 1's networks (Section 4.1), and are judged on each set of images for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pandas as pd

from repro import paper, study
from repro.claims.compare import above, absent, against, alike
from repro.claims.course import all_along, slower
from repro.claims.evidence import RESPONSES, Evidence, Measure
from repro.claims.verdict import Judgement, Lack, Link, Word, by_interval, chain, strictly, together, undecided
from repro.data.table import DATA_SETS
from repro.errors import counted
from repro.measure.complexity import complexity
from repro.statistics import formula, half_width

#: Test errors nearer than this are "similar", percentage points (H7, H20).
SIMILAR_ACCURACY = 0.5
#: Training errors are "similar" within so many percentage points, or within this share of the larger (H9).
SIMILAR_TRAINING, SIMILAR_SHARE = 0.1, 0.1
#: Weakest layer against the others: healthy from the first on, vanished below the second (H14). The paper gives no
#: definition; over 55 layers these are losses of an eighth and of a fifth per layer.
HEALTHY, VANISHED = 1e-3, 1e-6
#: A training error below this share of the plain net's is an advantage (H16).
NO_ADVANTAGE = 0.8


#: Chains of comparisons: of each, the network whose number should be the larger, and the other.
ORDERS = {
    "H2": [("plain-56", "plain-20")],
    "H3": [("plain-56", "plain-44"), ("plain-44", "plain-32"), ("plain-44", "plain-20")],
    "H5": [(f"resnet-{a}", f"resnet-{b}") for a, b in ((20, 32), (32, 44), (32, 56), (44, 110), (56, 110))],
    "H10": [(f"plain-{n}", f"resnet-{n}") for n in (20, 56)],
    "H11": [("resnet-20", "resnet-56"), ("resnet-56", "resnet-110")],
    "H19": [("resnet-18", "resnet-34"), ("plain-34", "resnet-34")],
    "H21": list(pairwise(["plain-34", "resnet-34", "resnet-34-B", "resnet-34-C"])),
    "H22": list(pairwise(["resnet-34-B", "resnet-50", "resnet-101", "resnet-152"])),
}
#: In which number those are that are of one; responses are measured in two modes.
ORDERED_IN: dict[str, Measure] = {
    "H2": "test_error",
    "H3": "train_error",
    "H5": "test_error",
    "H19": "test_error",
    "H21": "test_error",
    "H22": "test_error",
}


def ordered(evidence: Evidence, name: str) -> Judgement:
    """The order of a claim in one number, each of its comparisons for itself."""
    return chain(above(evidence, ORDERED_IN[name], *pair) for pair in ORDERS[name])


def h1(evidence: Evidence) -> Judgement:
    """Training error of plain-56 above that of plain-20, all along and at the end."""
    return chain(all_along(evidence, "plain-56", "plain-20"))


def h4(evidence: Evidence) -> Judgement:
    """plain-110 stays above 60 % training error."""
    limit = paper.constants()["cifar"]["plain_110_error_above"]
    statement = f"plain-110 stays above {limit:g} % error"
    link = against(evidence, statement, "train_error", "plain-110", ("the bound of", limit), claim="above")
    rows = evidence.curves[(evidence.curves["network"] == "plain-110") & (evidence.curves["variant"] == "")]
    lowest = rows.loc[rows["folder"].isin(link.runs), "train_error"].min()
    if link.interval is None or pd.isna(lowest):
        return chain([link])
    dips = link.verdict == "holds" and lowest <= limit
    text = f"{link.evidence} Its lowest logged training error is {lowest:.1f} %."
    link = replace(link, evidence=text)
    return chain([undecided(link) if dips else link])


def h6(evidence: Evidence) -> Judgement:
    """Training error of a plain net above that of the residual net of its depth."""
    links = {n: above(evidence, "train_error", f"plain-{n}", f"resnet-{n}") for n in (20, 32, 44, 56, 110)}
    there = [n for n in links if _both_there(evidence, f"plain-{n}", f"resnet-{n}")]
    if 110 not in there:
        # No study of the claim's own plans a plain net of 110 layers; where another has trained it, it counts.
        del links[110]
    depths = dict(zip(links, strictly(links.values()), strict=True))
    return Judgement(tuple(depths.values()), together(depths[n].verdict for n in there) if there else "not run")


def _both_there(evidence: Evidence, *networks: str) -> bool:
    """Whether both were run to an end, even if it turns out that they cannot be compared."""
    return all(evidence.runs(name, "train_error") or evidence.diverged(name, "train_error") for name in networks)


def h7(evidence: Evidence) -> Judgement:
    """resnet-110 trains with warm-up, and as well without."""
    limit, threshold = (paper.constants()["cifar"][key] for key in ("plot_limit", "warm_up_until"))
    plot = ("the upper end of Figure 6, at", limit)
    link = against(evidence, "resnet-110 trains when warmed up", "train_error", "resnet-110", plot)
    if link.interval is not None:
        # Between the two it left chance, and a longer schedule might bring it further.
        between = link.verdict == "contradicted" and limit - link.interval[1] < threshold
        link = undecided(link) if between else link
        if not link.foreign:  # of a foreign run it is not known whether it was warmed up
            link = replace(link, evidence=f"{link.evidence} {_warming(evidence, 'resnet-110', threshold)}")
    without = "resnet-110+schedule.warm_up=off"
    return chain([link, alike(evidence, "test_error", "resnet-110", without, lambda *_: SIMILAR_ACCURACY)])


def _warming(evidence: Evidence, network: str, threshold: float) -> str:
    """When the training errors of a net's runs came below that of the warm-up's end, and when to stay there."""
    runs = evidence.runs(network, "train_error")
    passed = [run.warm_up_ended for run in runs]
    first = ", ".join(dict.fromkeys(f"{at:,}" for at in passed if at is not None))
    if not first:
        return f"It never fell below {threshold:g} %, so that the warm-up never ended."
    said = f"It was first below {threshold:g} %, where the warm-up ended, at iteration {first}"
    if None in passed:
        said += f", in {passed.count(None)} of {len(passed)} runs never"
    rows = evidence.curves[evidence.curves["folder"].isin([run.folder for run in runs])]
    above = rows[rows["train_error"] >= threshold].groupby("folder")["iteration"].max()
    later = [
        int(above[run.folder]) for run in runs if run.folder in above and above[run.folder] > (run.warm_up_ended or 0)
    ]
    if later and None not in passed:
        said += f", and above it for the last time at {', '.join(dict.fromkeys(f'{at:,}' for at in later))}"
    return f"{said}."


def h8(evidence: Evidence) -> Judgement:
    """Training error of resnet-1202 below 0.1 %."""
    limit = paper.constants()["cifar"]["resnet_1202_train_error_below"]
    statement = f"resnet-1202's training error is below {limit:g} %"
    return chain([against(evidence, statement, "train_error", "resnet-1202", ("the bound of", limit))])


def h9(evidence: Evidence) -> Judgement:
    """Test error of resnet-1202 above that of resnet-110, at similar training error."""
    order = above(evidence, "test_error", "resnet-1202", "resnet-110")
    similar = alike(
        evidence,
        "train_error",
        "resnet-110",
        "resnet-1202",
        lambda *errors: max(SIMILAR_TRAINING, SIMILAR_SHARE * max(errors)),
    )
    if order.interval is None or similar.verdict in ("holds", "not run"):
        return chain([order, similar] if order.interval is not None else [order])
    note = "That their training errors are similar, as the claim has them, is not shown."
    return Judgement((order, similar), "too close to call", note)


def responding(evidence: Evidence, name: str) -> Judgement:
    """The order of a claim in mean responses, in both readings of what the paper measured.

    What one reading shows and the other does not is too close to call: the paper does not say which is its own.
    """
    found_at = {pair: [above(evidence, measure, *pair) for measure in RESPONSES] for pair in ORDERS[name]}
    judged = sum(any(link.p is not None for link in both) for both in found_at.values())
    links: list[Link] = []
    words: list[Word] = []
    pairs_with: dict[frozenset[Word], list[str]] = {}
    for pair, compared in found_at.items():
        both = strictly(compared, judged)
        links += both
        # What was not measured says nothing.
        found = frozenset(link.verdict for link in both) - {"not run"} or frozenset(["not run"])
        words.append(*found if len(found) == 1 else ("too close to call",))
        pairs_with.setdefault(found, []).append(" > ".join(pair))
    torn = " and ".join(pairs_with.get(frozenset(["holds", "contradicted"]), ()))
    half = " and ".join(pairs_with.get(frozenset(["contradicted", "too close to call"]), ()))
    said = [f"The two modes in which responses can be measured disagree on {torn}."] if torn else []
    said += [f"One of the two modes contradicts {half}, the other leaves it open."] if half else []
    return Judgement(tuple(links), together(words), " ".join(said))


def h13(evidence: Evidence) -> Judgement:
    """Test error of resnet-110 below those of FitNet and of Highway (2.3M), with fewer parameters."""
    table = paper.table(6)
    links = []
    for name, params in (("FitNet", "2.5M"), ("Highway", "2.3M")):
        row = table[(table["method"] == name) & (table["params"] == params)].iloc[0]
        several = pd.notna(row["mean"])
        printed = float(row["mean"] if several else row["error"])
        # How many runs are behind Highway's mean is not printed: its whole spread is taken for its error.
        spread = float(row["std"]) if several else float(formula(printed, DATA_SETS["cifar10"].test_images))
        statement = f"resnet-110 < {name} in test error"
        link = against(evidence, statement, "test_error", "resnet-110", (f"{name}'s", printed))
        links += [_with_spread(link, name, spread), _smaller(name, params)]
    if all(link.verdict == "not run" for link in links[::2]):
        return chain(links[::2])
    return chain(links)


def _with_spread(link: Link, name: str, spread: float) -> Link:
    """Add what the interval would be if the printed number had a spread as well."""
    if link.effect is None or link.interval is None:
        return link
    ours = (link.interval[1] - link.interval[0]) / 2
    half = math.hypot(ours, float(half_width(spread, math.inf)))
    low, high = link.effect - half, link.effect + half
    same = "the same" if by_interval(low, high) == link.verdict else by_interval(low, high)
    text = f"If {name}'s number had a standard error of {spread:.2f}: {low:+.2f} to {high:+.2f}, {same}."
    return replace(link, evidence=f"{link.evidence} {text}")


def _smaller(name: str, params: str) -> Link:
    ours = complexity("resnet-110").parameters
    fewer = ours < 1e6 * float(params.rstrip("M"))
    text = f"resnet-110 has {ours:,} parameters, {name} {params}."
    return Link(f"resnet-110 < {name} in parameters", "holds" if fewer else "contradicted", text)


def h14(evidence: Evidence) -> Judgement:
    """Neither signals nor gradients of plain-20 and plain-56 vanish."""
    return chain(link for network in ("plain-20", "plain-56") for link in _signals(evidence, network))


def _signals(evidence: Evidence, network: str) -> list[Link]:
    """The weakest layer of all looks at all complete runs of a network, backward and forward."""
    runs = evidence.runs(network)
    rows = evidence.health[evidence.health["folder"].isin([run.folder for run in runs])].sort_values("layer")
    folders = tuple(dict.fromkeys(rows["folder"]))
    looks = rows.groupby(["folder", "iteration"])
    if not len(looks):
        lack = Lack("no look at the signals of", network) if runs else evidence.absence(network)
        return [absent(f"the signals of {network} do not vanish", lack)]
    if not (rows[["gradient_norm", "conv_variance"]] >= 0).all(axis=None):
        lack = Lack("what is no norm or variance in a look at the signals of", network)
        return [absent(f"the signals of {network} do not vanish", lack)]
    # A look at which all are 0 gives no number, and must not be passed over as if it were healthy.
    backward = float((looks["gradient_norm"].min() / looks["gradient_norm"].last()).min(skipna=False))
    strongest = float((looks["gradient_norm"].max() / looks["gradient_norm"].last()).max(skipna=False))
    forward = float((looks["conv_variance"].min() / looks["conv_variance"].median()).min(skipna=False))
    when = f"in {counted(len(looks), 'look')} at {counted(len(folders), 'run')}"
    return [
        Link(
            f"gradients of {network} do not vanish",
            _healthy(backward),
            f"The weakest gradient of a layer of {network} is {backward:.2g} times its last layer's, the strongest "
            f"{f'{strongest:.2g}' if strongest < 10 else f'{strongest:,.0f}'} times, {when}.",
            runs=folders,
        ),
        Link(
            f"signals of {network} do not vanish",
            _healthy(forward),
            f"The least variance of a layer's output in {network} is {forward:.2g} times the median layer's.",
            runs=folders,
        ),
    ]


def _healthy(ratio: float) -> Word:
    return "holds" if ratio >= HEALTHY else "too close to call" if ratio >= VANISHED else "contradicted"


def h15(evidence: Evidence) -> Judgement:
    """Training error of plain-56 above that of plain-20 after three times the iterations."""
    if evidence.preset not in study.presets():
        lack = Lack("the preset's iterations are not known")
        return chain([absent("plain-56 > plain-20 after 3x the iterations", lack)])
    factor = paper.constants()["imagenet"]["longer_training_factor"]
    iterations = factor * study.preset_run(evidence.preset, "plain-20").schedule.iterations
    deep, shallow = (f"{network}+schedule.iterations={iterations}" for network in ("plain-56", "plain-20"))
    return chain([above(evidence, "train_error", deep, shallow)])


def h16(evidence: Evidence) -> Judgement:
    """Training error of nets with one-layer residual functions above four fifths of the plain nets'."""
    setting = "model.block"
    return chain(
        above(evidence, "train_error", f"resnet-{n}+{setting}=one-layer", f"plain-{n}", NO_ADVANTAGE, [setting])
        for n in (20, 56)
    )


def h18(evidence: Evidence) -> Judgement:
    """Training error of plain-34 above that of plain-18, all along and at the end, and so its test error."""
    return chain([*all_along(evidence, "plain-34", "plain-18"), above(evidence, "test_error", "plain-34", "plain-18")])


def h20(evidence: Evidence) -> Judgement:
    """Test errors of plain-18 and resnet-18 similar at the end, and resnet-18's the lower one at the beginning."""
    similar = alike(evidence, "test_error", "plain-18", "resnet-18", lambda *_: SIMILAR_ACCURACY)
    return chain([similar] if similar.interval is None else [similar, slower(evidence, "plain-18", "resnet-18")])


#: The claims that training runs can judge.
RULES: dict[str, Callable[[Evidence], Judgement]] = {
    "H1": h1, "H4": h4, "H6": h6, "H7": h7, "H8": h8, "H9": h9, "H13": h13, "H14": h14, "H15": h15, "H16": h16,
    "H18": h18, "H20": h20,
    **{name: partial(ordered, name=name) for name in ORDERED_IN},
    **{name: partial(responding, name=name) for name in ("H10", "H11")},
}  # fmt: skip
#: In what their effects and intervals are measured, where it is not percentage points.
UNITS = {"H10": "standard deviation", "H11": "standard deviation"}
