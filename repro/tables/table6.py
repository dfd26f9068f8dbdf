"""Table 6: test error on CIFAR-10; the paper's numbers, reproductions by others, and ours of each source."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from repro import paper
from repro.claims.evidence import FORMULA_DF, WHOLE
from repro.data.table import DATA_SETS
from repro.ends import ERRORS
from repro.groups import ENDED, Group, group_of, shown, usual
from repro.records import Records
from repro.statistics import Estimate, Prior, agreement, formula
from repro.tables import compare
from repro.tables.complexity import parameters_as_printed
from repro.tables.table import Links, Table, made

TITLE = "Test error (%), beside the paper's on CIFAR-10"
#: Printed for this network as best (mean ± std), over so many runs (Section 4.2).
BEST_AND_MEAN, RUNS = "resnet-110", int(paper.constants()["cifar"]["resnet_110_runs"])
#: Nets whose error the paper prints nowhere: it was read from its Figure 6.
READ = ("plain-20", "plain-32", "plain-44", "plain-56", "plain-110")
NETWORKS = (*(network for network in paper.table(6)["network"] if network), *READ)


@dataclass(frozen=True)
class Row:
    """The paper's side of a row; `network` is empty for the nets of others.

    `printed` is the test error, percent; `mean` the same as a number, over `runs`, which may be off by `reading` where
    it was read from a figure; NaN where it is a bound.
    """

    name: str
    network: str
    parameters: str
    printed: str
    mean: float
    runs: int = 1
    reading: float = 0.0


def table(records: Records, group: Group) -> Table:
    """Table 6 of one group, with columns for each source that has runs in it.

    Raises:
        ValueError: the runs are of several groups.
    """
    runs = records.runs
    group_of(runs)
    sources = list(dict.fromkeys(runs["source"]))
    columns, words = ["network", "parameters", "paper", "others"], []
    for source in sources:
        of = f"{source}: " if len(sources) > 1 else ""
        columns += [source, *([f"{source} − paper"] if group.comparable else []), f"{of}verdict", f"{of}runs"]
        words += columns[-2:]
    rows = []
    for row in rows_of_paper():
        cells: list[str | Links] = [row.name, row.parameters, row.printed, _others(row.network)]
        for source in sources:
            mine = compare.measured(runs, row.network, source)
            compared = group.comparable and len(mine) and not math.isnan(row.mean) and _whole(mine)
            apart = against(mine, row) if compared else None
            cells.append(compare.errors_in_words(mine, row.network == BEST_AND_MEAN) if len(mine) else "")
            if group.comparable:
                cells.append(compare.in_words(apart) if apart else "")
            begun = usual(runs[runs["source"] == source], (row.network,))
            said = compare.verdict(apart) if apart else _why_not(row, group, mine, begun)
            cells += [said, compare.links_to(mine)]
        rows.append(cells)
    title = f"Test error (%): the paper's and others' on CIFAR-10, ours on {group.title.replace(' · ', ', ')}"
    return made("table-6", title, columns, rows, words=words, notes=_notes(runs, group))


def rows_of_paper() -> list[Row]:
    """The rows of the paper's Table 6, and the plain nets that its Figure 6 shows."""
    rows = []
    for item in paper.table(6).to_dict("records"):
        error, mean, std, network = item["error"], item["mean"], item["std"], item["network"]
        several = math.isfinite(mean)
        layers = f", {item['layers']:.0f} layers" if math.isfinite(item["layers"]) else ""
        rows.append(
            Row(
                name=shown(network) or item["method"] + layers,
                network=network,
                parameters=item["params"],
                printed=f"{error:.2f} ({mean:.2f} ± {std:.2f})" if several else f"{error:.2f}",
                mean=mean if several else error,
                runs=RUNS if network == BEST_AND_MEAN else 1,
            )
        )
    for item in paper.readings(6).query("quantity == 'test_error' and network in @READ").to_dict("records"):
        printed = f"{item['value']:.1f} †" if math.isfinite(item["value"]) else f"> {item['low']:.0f} †"
        name, off = item["network"], (item["high"] - item["low"]) / 2
        rows.append(Row(name, name, parameters_as_printed(name), printed, item["value"], reading=off))
    return rows


def _others(network: str) -> str:
    """The range of the reproductions by others, and their number."""
    found = paper.table("third-party")
    values = found[(found["network"] == network) & (found["quantity"] == "test_error")]["value"]
    if not len(values) or not network:
        return ""
    least, most = f"{values.min():.2f}", f"{values.max():.2f}"
    return f"{least if least == most else f'{least}–{most}'} ({len(values)})"


def against(runs: pd.DataFrame, row: Row) -> Estimate:
    """Our test errors less the paper's (`repro.statistics.agreement`)."""
    prior = Prior(float(formula(row.mean, DATA_SETS["cifar10"].test_images)), FORMULA_DF)
    return agreement(tuple(runs["test_error"].astype(float)), row.mean, prior, row.runs, row.reading)


def _whole(runs: pd.DataFrame) -> bool:
    """Whether all of them end near the end of the paper's schedule, as foreign curves need not."""
    return bool(runs["iteration"].min() >= WHOLE * paper.constants()["cifar"]["iterations"])


def _why_not(row: Row, group: Group, mine: pd.DataFrame, begun: pd.DataFrame) -> str:
    """Why a network is not compared; where it has no error, how far the run came that came farthest."""
    if len(mine) and group.comparable:
        return "a bound only" if math.isnan(row.mean) else f"ends at {mine['iteration'].min():,}: not comparable"
    if len(mine):
        return f"other {'schedule' if group.data == 'cifar10' else 'data'}: not comparable"
    if not row.network or not len(begun):
        return "not run" if row.network else ""
    run = begun.sort_values("iteration").iloc[-1]
    return f"{run['status']} at {run['iteration']:,} of {run['iterations']:,}"


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
    waiting = runs[(runs["variant"] == "") & ~runs["status"].isin(ENDED)]
    if len(waiting):
        nets = zip(waiting["network"].map(shown), waiting["seed"], waiting["status"], strict=True)
        names = ", ".join(f"{network} seed {seed} ({status})" for network, seed, status in nets)
        said.append(f"Not in this table, as they have not come to their end: {names}.")
    return said


def others() -> Table:
    """The reproductions by others, one by one."""
    about, rows = paper.about("third-party"), []
    for row in paper.table("third-party").to_dict("records"):
        error = f"{row['value']:.2f}" + (f" ± {row['std']:g}" if math.isfinite(row["std"]) else "")
        said = [f"option {row['option']}" if row["option"] else "", row["reported"], row["deviations"]]
        protocol = "; ".join(text for text in said if text)
        rows.append([shown(row["network"]), ERRORS[row["quantity"]], error, row["source"], protocol])
    columns, words = ["network", "quantity", "%", "by", "protocol"], ["quantity", "by", "protocol"]
    notes = [f"{about.checked[:1].upper()}{about.checked[1:]}."]
    return made("third-party", about.title, columns, rows, words=words, notes=notes)
