"""Table 6: test error on CIFAR-10; the paper's numbers, reproductions by others, and ours of each source."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from repro import paper
from repro.figures.chart import shown
from repro.figures.groups import ENDED, Group, require_one
from repro.tables.compare import Difference, Value, difference
from repro.tables.table import Cell, Link, Table

TITLE = "Test error (%) on CIFAR-10"
#: Printed for this network as best (mean ± std).
BEST_AND_MEAN = "resnet-110"
#: Nets whose error the paper prints nowhere: it was read from its Figure 6.
READ = ("plain-20", "plain-32", "plain-44", "plain-56", "plain-110")


@dataclass(frozen=True)
class Row:
    """The paper's side of a row."""

    method: str
    network: str
    layers: str
    params: str
    printed: str
    value: Value | None


def table(runs: pd.DataFrame, group: Group, address: Callable[[pd.Series], str]) -> Table:
    """Table 6 of one group, with columns for each source that has runs in it.

    Args:
        runs: rows of `Records.runs`, of the group.
        address: the page of a run, relative to the report, for a row of `Records.runs`.

    Raises:
        ValueError: the runs are of several groups.
    """
    require_one(runs, "data", "preset")
    sources = list(dict.fromkeys(runs["source"]))
    tidy, rows = [], []
    for row in rows_of_paper():
        cells: list[Cell] = [
            shown(row.network) or row.method,
            row.layers,
            row.params,
            row.printed,
            _others(row.network),
        ]
        for source in sources or [""]:
            mine = measured(runs, row.network, source)
            ours = _value(mine)
            apart = difference(ours, row.value) if ours and row.value and group.comparable else None
            cells += _ours(row, ours, mine, apart, group, address)
            tidy.append(_tidy(row, source, ours, mine, apart, group))
        rows.append(tuple(cells))
    columns = ["network", "layers", "parameters", "paper", "others"]
    for source in sources or ["ours"]:
        columns += [source, f"{source} − paper", "verdict", "runs"]
    return Table(
        name="table-6",
        title=f"{TITLE}; ours: data {group.data}, preset {group.preset}",
        frame=pd.DataFrame(tidy),
        columns=tuple(columns),
        rows=tuple(rows),
        numeric=frozenset(i for i, column in enumerate(columns) if column not in ("network", "verdict", "runs")),
        notes=tuple(_notes(runs, group)),
    )


def measured(runs: pd.DataFrame, network: str, source: str) -> pd.DataFrame:
    """The runs of a network that came to their end and have a test error; without variants."""
    mine = runs[(runs["network"] == network) & (runs["source"] == source) & (runs["variant"] == "")]
    return mine[mine["status"].isin(ENDED) & mine["test_error"].notna()].sort_values("seed")


def _value(runs: pd.DataFrame) -> Value | None:
    if not len(runs):
        return None
    return Value(float(runs["test_error"].mean()), float(runs["test_error"].std()), len(runs))


def rows_of_paper() -> list[Row]:
    """The rows of the paper's Table 6, and the plain nets that its Figure 6 shows."""
    rows = []
    for _, item in paper.table(6).iterrows():
        error, mean, std = float(item["error"]), float(item["mean"]), float(item["std"])
        several = math.isfinite(mean)
        value = Value(mean if several else error, std, 5 if item["network"] == BEST_AND_MEAN else 1)
        rows.append(
            Row(
                method=str(item["method"]),
                network=_text(item["network"]),
                layers=_text(item["layers"]),
                params=_text(item["params"]),
                printed=f"{error:.2f} ({mean:.2f} ± {std:.2f})" if several else f"{error:.2f}",
                value=value if _text(item["network"]) else None,
            )
        )
    return rows + [_read_off(network) for network in READ]


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.0f}"
    return "" if value is None else str(value)


def _read_off(network: str) -> Row:
    """A row for a plain net, whose error is a reading of Figure 6."""
    read = paper.readings(6)
    item = read[(read["network"] == network) & (read["quantity"] == "test_error")].iloc[0]
    value = None
    printed = f"> {item['low']:.0f} †"
    if math.isfinite(item["value"]):
        value = Value(float(item["value"]), reading=float(item["high"] - item["low"]) / 2)
        printed = f"{item['value']:.1f} †"
    return Row("plain", network, network.split("-")[1], "", printed, value)


def _others(network: str) -> str:
    """The range of the reproductions by others, and their number."""
    found = paper.third_party()
    values = found[(found["network"] == network) & (found["quantity"] == "test_error")]["value"]
    if not len(values) or not network:
        return ""
    least, most = f"{values.min():.2f}", f"{values.max():.2f}"
    return f"{least if least == most else f'{least}–{most}'} ({len(values)})"


def _ours(
    row: Row,
    ours: Value | None,
    runs: pd.DataFrame,
    apart: Difference | None,
    group: Group,
    address: Callable[[pd.Series], str],
) -> tuple[Cell, Cell, Cell, Cell]:
    if not row.network:
        return "", "", "", ""
    if ours is None:
        return "", "", "not run", ""
    verdict = apart.verdict if apart else _why_not(row, group)
    links = tuple(Link(f"seed {run['seed']}", address(run)) for _, run in runs.iterrows())
    return in_words(ours, runs, row.network), signed(apart.value) if apart else "", verdict, links


def signed(points: float) -> str:
    """A difference with its sign."""
    text = f"{points:+.2f}".replace("-", "−")
    return "0.00" if text[1:] == "0.00" else text


def in_words(ours: Value, runs: pd.DataFrame, network: str = "") -> str:
    """Mean ± standard deviation (n); for 110 layers in the paper's form, best (mean ± std)."""
    foreign = " foreign" if (runs["status"] == "foreign").any() else ""
    if ours.n == 1:
        return f"{ours.mean:.2f} (n = 1{foreign})"
    if network == BEST_AND_MEAN:
        return f"{runs['test_error'].min():.2f} ({ours.mean:.2f} ± {ours.std:.2f}, n = {ours.n}{foreign})"
    return f"{ours.mean:.2f} ± {ours.std:.2f} (n = {ours.n}{foreign})"


def _why_not(row: Row, group: Group) -> str:
    if group.data != "cifar10":
        return "other data: not comparable"
    if group.preset != "paper":
        return "other schedule: not comparable"
    assert row.value is None
    return "the paper gives a bound only"


def _tidy(
    row: Row, source: str, ours: Value | None, runs: pd.DataFrame, apart: Difference | None, group: Group
) -> dict[str, object]:
    verdict = apart.verdict if apart else _why_not(row, group) if ours else "not run" if row.network else ""
    return {
        "method": row.method,
        "network": row.network,
        "layers": row.layers,
        "parameters_printed": row.params,
        "paper_printed": row.printed.removesuffix(" †"),
        "paper": row.value.mean if row.value else math.nan,
        "paper_is_reading": row.printed.endswith("†"),
        "data": group.data,
        "preset": group.preset,
        "source": source,
        "ours_mean": ours.mean if ours else math.nan,
        "ours_std": ours.std if ours else math.nan,
        "ours_best": runs["test_error"].min() if ours else math.nan,
        "n": ours.n if ours else 0,
        "difference": apart.value if apart else math.nan,
        "half_width": apart.half_width if apart else math.nan,
        "verdict": verdict,
        "runs": " ".join(runs["folder"]),
    }


def _notes(runs: pd.DataFrame, group: Group) -> list[str]:
    said = [
        "Paper: best of five runs (mean ± standard deviation) for 110 layers, one run for the others; "
        "ours is compared with the mean.",
        "† Read from the paper's Figure 6 to about 0.1; the paper prints no error of a plain net on CIFAR-10.",
        "others: lowest and highest of (how many) public reproductions, with deviations of their own.",
        "ours: the final iterate, never the best on the test set; mean ± standard deviation over n seeds.",
    ]
    if group.comparable:
        said.append(
            "A difference is called agreement if it is within twice its standard error, which counts the finite test "
            "set and the seeds. Reproductions that train on all 50,000 images usually end 0.2 to 0.9 below the paper."
        )
    elif group.data != "cifar10":
        said.append(f"Other data than the paper's CIFAR-10 ({group.data}): not comparable, no difference is judged.")
    else:
        said.append(f"Another schedule than the paper's (preset {group.preset}): no difference is judged.")
    waiting = runs[(runs["variant"] == "") & ~runs["status"].isin(ENDED)]
    if len(waiting):
        names = ", ".join(
            f"{shown(run['network'])} seed {run['seed']} ({run['status']})" for _, run in waiting.iterrows()
        )
        said.append(f"Not in this table, as they have not come to their end: {names}.")
    return said
