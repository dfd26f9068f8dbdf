"""Table 6: test error on CIFAR-10; the paper's numbers, reproductions by others, and ours of each source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pandas as pd

from repro import paper
from repro.ends import ERRORS
from repro.groups import ENDED, Group, name_of, require_one, shown
from repro.statistics import Estimate
from repro.tables import compare, complexity
from repro.tables.table import Links, PageLink, Table, made

TITLE = "Test error (%) on CIFAR-10"
#: Printed for this network as best (mean ± std), over so many runs (Section 4.2).
BEST_AND_MEAN, RUNS = "resnet-110", int(paper.constants()["cifar"]["resnet_110_runs"])
#: Nets whose error the paper prints nowhere: it was read from its Figure 6.
READ = ("plain-20", "plain-32", "plain-44", "plain-56", "plain-110")


@dataclass(frozen=True)
class Row:
    """The paper's side of a row; `network` is empty for the nets of others."""

    method: str
    network: str
    layers: str
    params: str
    printed: str
    value: compare.Printed | None


@dataclass(frozen=True)
class Ours:
    """The runs of a network in one source, and how they compare."""

    runs: pd.DataFrame
    apart: Estimate | None
    verdict: str


def table(runs: pd.DataFrame, group: Group, address: Callable[[pd.Series], str]) -> Table:
    """Table 6 of one group, with columns for each source that has runs in it.

    Args:
        runs: rows of `Records.runs`, of the group.
        address: the page of a run, relative to the report.

    Raises:
        ValueError: the runs are of several groups.
    """
    require_one(runs, "data", "preset")
    sources = list(dict.fromkeys(runs["source"]))
    columns, words = ["network", "parameters", "paper", "others"], []
    for source in sources:
        of = f"{source}: " if len(sources) > 1 else ""
        columns += [source, f"{source} − paper"] if group.comparable else [source]
        words += [f"{of}verdict", f"{of}runs"] if group.comparable else [f"{of}runs"]
        columns += words[-2:] if group.comparable else words[-1:]
    if not group.comparable or not sources:
        columns.append("verdict")
        words.append("verdict")
    rows = []
    for row in rows_of_paper():
        cells: list[str | Links] = [_name(row), row.params, row.printed, _others(row.network)]
        every = [_compared(row, runs[runs["source"] == source], source, group) for source in sources]
        for ours in every:
            cells += _cells(row, ours, group, address)
        if not group.comparable or not sources:
            told = min(every, key=lambda ours: (not len(ours.runs), ours.verdict == "not run"), default=None)
            cells.append(told.verdict if told else "not run" if row.network else "")
        rows.append(cells)
    title = f"{TITLE}: the paper's, others' and ours"
    return made("table-6", title, columns, rows, words=words, notes=_notes(runs, group))


def measured(runs: pd.DataFrame, network: str, source: str) -> pd.DataFrame:
    """The runs of a network that came to their end and have a test error; without variants."""
    mine = runs[(runs["network"] == network) & (runs["source"] == source) & (runs["variant"] == "")]
    return mine[mine["status"].isin(ENDED) & mine["test_error"].notna()].sort_values("seed")


def rows_of_paper() -> list[Row]:
    """The rows of the paper's Table 6, and the plain nets that its Figure 6 shows."""
    rows = []
    for _, item in paper.table(6).iterrows():
        error, mean, std = float(item["error"]), float(item["mean"]), float(item["std"])
        network, several = str(item["network"]), math.isfinite(mean)
        value = compare.Printed(mean if several else error, std, RUNS if network == BEST_AND_MEAN else 1)
        rows.append(
            Row(
                method=str(item["method"]),
                network=network,
                layers=f"{item['layers']:.0f}" if math.isfinite(item["layers"]) else "",
                params=str(item["params"]),
                printed=f"{error:.2f} ({mean:.2f} ± {std:.2f})" if several else f"{error:.2f}",
                value=value if network else None,
            )
        )
    return rows + [_read_off(network) for network in READ]


def _name(row: Row) -> str:
    return shown(row.network) or row.method + (f", {row.layers} layers" if row.layers else "")


def _read_off(network: str) -> Row:
    """A row for a plain net, whose error is a reading of Figure 6."""
    read = paper.readings(6)
    item = read[(read["network"] == network) & (read["quantity"] == "test_error")].iloc[0]
    value, printed = None, f"> {item['low']:.0f} †"
    if math.isfinite(item["value"]):
        value = compare.Printed(float(item["value"]), reading=float(item["high"] - item["low"]) / 2)
        printed = f"{item['value']:.1f} †"
    return Row("plain", network, network.split("-")[1], _counted(network), printed, value)


def _counted(network: str) -> str:
    """The number of parameters, written as the paper writes those of the residual nets."""
    costs = _costs()
    return str(costs[costs["network"] == network]["ours"].iloc[0])


@cache
def _costs() -> pd.DataFrame:
    return complexity.cifar()


def _others(network: str) -> str:
    """The range of the reproductions by others, and their number."""
    found = paper.third_party()
    values = found[(found["network"] == network) & (found["quantity"] == "test_error")]["value"]
    if not len(values) or not network:
        return ""
    least, most = f"{values.min():.2f}", f"{values.max():.2f}"
    return f"{least if least == most else f'{least}–{most}'} ({len(values)})"


def _compared(row: Row, runs: pd.DataFrame, source: str, group: Group) -> Ours:
    mine = measured(runs, row.network, source)
    if not row.network:
        return Ours(mine.iloc[:0], None, "")
    if not len(mine):
        return Ours(mine, None, _absence(runs[(runs["network"] == row.network) & (runs["variant"] == "")]))
    if group.data != "cifar10":
        return Ours(mine, None, "other data: not comparable")
    if not group.comparable:
        return Ours(mine, None, "other schedule: not comparable")
    if row.value is None:
        return Ours(mine, None, "a bound only")
    apart = compare.against(tuple(float(error) for error in mine["test_error"]), row.value)
    return Ours(mine, apart, compare.verdict(apart))


def _absence(begun: pd.DataFrame) -> str:
    """Why there is no error of a network: how far the run came that came farthest."""
    if not len(begun):
        return "not run"
    run = begun.sort_values("iteration").iloc[-1]
    return f"{run['status']} at {run['iteration']:,} of {run['iterations']:,}"


def _cells(row: Row, ours: Ours, group: Group, address: Callable[[pd.Series], str]) -> list[str | Links]:
    links = links_to(ours.runs, address)
    value = in_words(ours.runs, row.network) if len(ours.runs) else ""
    if not group.comparable:
        return [value, links]
    return [value, compare.in_words(ours.apart) if ours.apart else "", ours.verdict, links]


def links_to(runs: pd.DataFrame, address: Callable[[pd.Series], str]) -> Links:
    """References to the pages of runs, each shown as its seed."""
    return Links(
        PageLink(str(run["seed"]), address(run), f"{name_of(run)}, {run['source']}") for _, run in runs.iterrows()
    )


def in_words(runs: pd.DataFrame, network: str = "") -> str:
    """Mean ± standard deviation (n); for 110 layers in the paper's form, best (mean ± std)."""
    errors = runs["test_error"]
    foreign = " foreign" if (runs["status"] == "foreign").any() else ""
    if network == BEST_AND_MEAN and len(runs) > 1:
        return f"{errors.min():.2f} ({errors.mean():.2f} ± {errors.std():.2f}, n = {len(runs)}{foreign})"
    return mean_and_std(errors, foreign)


def mean_and_std(values: pd.Series[float], more: str = "") -> str:
    """Mean ± standard deviation (n) of runs that differ in their seed; of a single one there is no deviation."""
    spread = f" ± {values.std():.2f}" if len(values) > 1 else ""
    return f"{values.mean():.2f}{spread} (n = {len(values)}{more})"


def _notes(runs: pd.DataFrame, group: Group) -> list[str]:
    said = [
        f"Paper: for 110 layers the best of {RUNS} runs (mean ± standard deviation), of which ours is compared with "
        "the mean; of how many runs the others are it does not say. † Read from its Figure 6 to about 0.1: it prints "
        "no error of a plain net on CIFAR-10. Of plain-110 the caption says this much, and not of which error.",
        "Others: lowest and highest (how many) of values by public reproductions, which have deviations of their own.",
        "Ours: the final iterate, never the best on the test set; mean ± standard deviation over n seeds. Where there "
        "are several of 110 layers, the seed with the least test error comes first, as in the paper.",
    ]
    if group.comparable:
        said.append(
            "In brackets after a difference: its 95 % interval. Where it includes 0, no difference is shown. "
            "Reproductions that train on all 50,000 images usually end 0.2 to 0.9 below the paper."
        )
    elif group.data != "cifar10":
        said.append(f"Other data than the paper's ({group.data}): not comparable, so no difference is judged.")
    else:
        said.append(f"Another schedule than the paper's (preset {group.preset}): no difference is judged.")
    waiting = runs[(runs["variant"] == "") & ~runs["status"].isin(ENDED)]
    if len(waiting):
        names = ", ".join(
            f"{shown(run['network'])} seed {run['seed']} ({run['status']})" for _, run in waiting.iterrows()
        )
        said.append(f"Not in this table, as they have not come to their end: {names}.")
    return said


def others() -> Table:
    """The reproductions by others, one by one."""
    about, rows = paper.about("third-party"), []
    for row in paper.third_party().to_dict("records"):
        error = f"{row['value']:.2f}" + (f" ± {row['std']:g}" if math.isfinite(row["std"]) else "")
        said = [f"option {row['option']}" if row["option"] else "", row["reported"], row["deviations"]]
        protocol = "; ".join(text for text in said if text)
        rows.append([shown(row["network"]), ERRORS[row["quantity"]], error, row["source"], protocol])
    columns, words = ["network", "quantity", "%", "by", "protocol"], ["quantity", "by", "protocol"]
    notes = [f"{about.checked[:1].upper()}{about.checked[1:]}."]
    return made("third-party", about.title, columns, rows, words=words, notes=notes)


def parameters() -> Table:
    """Parameters and multiply-adds of the networks of Section 4.2."""
    rows = [
        [shown(row["network"]), row["paper"], row["ours"], f"{row['parameters']:,}", f"{row['macs']:,}"]
        for row in _costs().to_dict("records")
    ]
    return made(
        "parameters",
        "Parameters and multiply-adds of the networks of Section 4.2",
        ["network", "parameters: paper", "ours", "exact", "multiply-adds"],
        rows,
        notes=["Counted from the architecture, for a 32×32 image; no convolution has a bias."],
    )
