"""Curves of other programs, brought in as runs marked "foreign".

A file is a table (`repro.records.rows`). What its columns hold, and in which unit, is told by `repro.records.columns`;
what cannot be told safely is refused with the option that says it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from repro import names, study
from repro.data.table import DATA_SETS
from repro.errors import RecordError, UserError, counted, shown, unknown
from repro.records.columns import (
    QUANTITIES,
    What,
    columns_of,
    first_epoch_of,
    kind_of,
    option,
    unit_of,
    with_errors,
    words_of,
)
from repro.records.folder import RunFolder
from repro.records.record import read_record
from repro.records.rows import TABLE, apart, read_rows
from repro.records.tables import COLUMNS, Row, read_curve, write_curve
from repro.shell import whole
from repro.spec import Run, Schedule

if TYPE_CHECKING:  # it takes a second, and --help needs none of it
    import pandas as pd

BATCH = 128
_ERRORS = ["train_error", "test_error"]
_RUNS = "for several runs, give network or seed a column, or --column COLUMN=seed for the one that has their names"
#: In --column, the number of a row where no column has this name.
_ROW = "row"


@dataclass(frozen=True)
class Target:
    """What foreign curves are of, and what the files do not say themselves.

    Attributes:
        columns: what a column holds, by its name, where its words do not tell.
        unit: "percent" or "fraction", of all columns; None to judge each by itself.
        first_epoch: the number, 0 or 1, of the first epoch of training; None to judge by the rows.
        images, batch: training images, and images to a batch, by which epochs become iterations.
    """

    network: str | None = None
    data: str = "cifar10"
    preset: str = "paper"
    seed: int = 0
    columns: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    first_epoch: int | None = None
    images: int | None = None
    batch: int = BATCH

    @property
    def per_epoch(self) -> float:
        """Iterations of an epoch."""
        return (self.images or DATA_SETS[self.data].train_images) / self.batch


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add how curves are brought in to a command's options."""
    add = parser.add_argument_group("curves of other programs").add_argument
    add(
        "--import-curves",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.csv",
        help="first bring in curves, CSV or JSON, as runs marked foreign, into results/NAME; may be repeated, and "
        "files of one run with different columns add up. Columns are known by their words: epoch, iteration or step; "
        "accuracy or error of train and test (or val); network and seed if there are several runs",
    )
    add("--as", dest="name", metavar="NAME", help="the NAME in results/NAME, by which the report calls them")
    add("--network", metavar="NETWORK", help="the network that was trained, such as resnet-20")
    add("--data", default="cifar10", metavar="NAME", help="the data set that it was trained on (default: cifar10)")
    add("--seed", type=whole(0), default=0, metavar="N", help="their seed (default: 0)")
    add(
        "--column",
        dest="columns",
        type=_column,
        action="append",
        default=[],
        metavar="COLUMN=WHAT",
        help=f"what a column holds: {', '.join(get_args(What))}; may be repeated. {_ROW}=epoch counts a file's rows",
    )
    add(
        "--unit",
        choices=("percent", "fraction"),
        help="of all errors and accuracies (default: each column as it looks)",
    )
    add("--first-epoch", type=int, choices=(0, 1), help="the number of the first epoch (default: as the rows look)")
    add("--images", type=whole(1), metavar="N", help="training images of an epoch (default: all of the data set)")
    add("--batch", type=whole(1), default=BATCH, metavar="N", help=f"images to a batch (default: {BATCH})")


def _column(text: str) -> tuple[str, str]:
    name, _, what = text.rpartition("=")
    if not name or what not in get_args(What):
        raise argparse.ArgumentTypeError(f"{text}: COLUMN=WHAT is needed, WHAT one of {', '.join(get_args(What))}")
    return name, what


def target_of(options: argparse.Namespace, preset: str) -> Target:
    """What those options say."""
    given = {key: value for key, value in vars(options).items() if key in Target.__dataclass_fields__}
    return Target(**{**given, "columns": dict(options.columns), "preset": preset})


def bring_in(paths: Sequence[Path], results: Path, target: Target) -> list[str]:
    """Write the curves of some files as runs into a results folder; give what was understood, a line per file and run.

    A run that another file gave before keeps the columns that a later one does not have.

    Raises:
        RecordError: a file cannot be read: which line, what is wrong.
        UserError: what a file does not tell, with the option that does; an unknown network, data set or preset.
    """
    if target.data not in DATA_SETS:
        raise unknown("data set", target.data, DATA_SETS)
    read = [(path, *read_rows(path)) for path in paths]
    tables = [(path, *apart(header, rows, target.columns, str(path))) for path, header, rows in read]
    for name, what in target.columns.items():
        if name != _ROW and not any(name in header for _, header, _ in (read if what == "split" else tables)):
            raise UserError(f"--column {name}: there is no such column: they are {', '.join(tables[0][1]) or '(none)'}")
    lines = []
    found = [run for table in tables for run in _runs(*table, target)]
    _check_no_point_twice(found)
    runs = [study.preset_run(target.preset, network, seed, target.data) for _, network, seed, _, _ in found]
    for run in runs:  # nothing is written where a later run cannot be
        _former(RunFolder(results, run))
    for run, (path, network, seed, rows, said) in zip(runs, found, strict=True):
        try:
            before = _write(results, run, rows, path)
        except OSError as error:
            raise RecordError(f"{results}: cannot be written to: {error.strerror or error}") from error
        more = f"; added to {before}" if before else ""
        lines.append(f"{results / run.path}: {network} seed {seed}, {len(rows)} points; {said}{more}; marked foreign")
    return lines


def _check_no_point_twice(found: Sequence[tuple[Path, str, int, pd.DataFrame, str]]) -> None:
    """Raise UserError where two files give the same number of a run, as the legs of one whose epochs began anew do."""
    first: dict[tuple[str, int, str], Path] = {}
    for path, network, seed, rows, _ in found:
        for key in (key for key in _ERRORS if rows[key].notna().any()):
            other = first.setdefault((network, seed, key), path)
            if other != path:
                raise UserError(
                    f"{path}: has {key} of {network} seed {seed}, and so has {other}: join them to one file "
                    "whose epochs count on, or bring in one of them"
                )


def _runs(
    path: Path, header: list[str], rows: dict[int, list[str]], target: Target
) -> Iterator[tuple[Path, str, int, pd.DataFrame, str]]:
    """The file, network, seed and rows of each run in a file, and how that was read, in words.

    Rows have their iteration as index, rising, and columns "epoch" and `_ERRORS` (percent, NaN where there is none).
    """
    full = header
    if _ROW in target.columns and _ROW not in header:
        header, rows = [*header, _ROW], {line: [*cells, ""] for line, cells in rows.items()}
    else:
        header, rows = with_errors(header, rows, target.columns)
    columns = columns_of(header, target.columns, str(path))
    what = set(columns.values())
    if not {"iteration", "epoch"} & what or not set(QUANTITIES) & what:
        turned = (
            "; or are rows and columns to change places?" if sum(map(str.isdigit, header)) > len(header) / 2 else ""
        )
        raise RecordError(
            f"{path}: line 1 has the columns {_few(header) or '(none)'}: an epoch or iteration, and an error or "
            f"accuracy of train or test, are needed; --column COLUMN=WHAT says which is which, and {_ROW}=epoch that "
            f"each row is an epoch{turned}"
        )
    table, with_sign = _values(header, rows, columns, target, path)
    if table.empty:
        raise RecordError(f"{path}: has no rows")
    said = [_to_iterations(table, columns, target, path)]
    for name, quantity in columns.items():
        if quantity in QUANTITIES:
            has_sign = quantity in with_sign or "%" in name
            said.append(_to_percent(table, name, quantity, has_sign, target, path))
    aside = [name for name in full if name and name not in columns]
    said += [f"left aside: {_few(aside)}"] if aside else []
    for _, mine in table.groupby(["network", "seed"], sort=False):
        kept, replaced = _in_order(mine.reindex(columns=["iteration", "epoch", *_ERRORS]), path)
        start = int((mine["iteration"] == 0).sum())
        more = [f"{counted(replaced, 'row')} of before a restart replaced"] if replaced else []
        more += [f"{counted(start, 'row')} from before training left out"] if start else []
        yield path, str(mine["network"].iloc[0]), int(mine["seed"].iloc[0]), kept, "; ".join([*said, *more])


def _few(names: Sequence[str]) -> str:
    return f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"


def _values(
    header: list[str], rows: dict[int, list[str]], columns: Mapping[str, str], target: Target, path: Path
) -> tuple[pd.DataFrame, set[str]]:
    """What the columns hold, by line: names of networks, and numbers, NaN where there are none.

    And which of them have the sign of percent in their cells.
    """
    import pandas as pd

    table = pd.DataFrame(rows.values(), index=list(rows), columns=header)[list(columns)]
    table.columns = pd.Index(columns.values())
    for key, default in (("network", target.network or ""), ("seed", str(target.seed))):
        table[key] = table[key].replace("", default) if key in table else default
    if not table["network"].all():
        raise UserError(f"{path}: which network is it? Give --network, or a column 'network'")
    family = study.family_of(target.preset)
    table["network"] = table["network"].map({name: str(names.parse(name, family)) for name in set(table["network"])})
    with_sign = set()
    for key in table.columns.drop("network"):
        if table[key].str.endswith("%").any():
            with_sign.add(key)
        texts = table[key].str.replace(r"(?<=\d)/\d+$" if key in ("epoch", "iteration") else r"\s*%$", "", regex=True)
        values = texts.map(_number).astype(float)
        if key == "seed" and "seed" in target.columns.values() and (values < 0).any():  # names of runs
            values = pd.Series(pd.factorize(texts)[0], table.index, float)
        is_whole = key in ("seed", "iteration")
        if line := _line((values < 0) | (values > 1e9) | ((values % 1 > 0) & is_whole)):
            needed = "a whole number, not thousands or the like," if is_whole else "a number from 0 to 1e9"
            needed = f"a list, or an object: {TABLE}" if texts[line][:1] in ("[", "{") else f"{needed} is needed"
            name = {what: name for name, what in columns.items()}.get(key, key)
            raise RecordError(f"{path}: line {line}: {name} is {shown(texts[line])}: {needed}")
        table[key] = values
    # Such as a line of a program's settings.
    empty = table.drop(columns=["network", "seed"]).isna().all(axis=1)
    if (counts := target.columns.get(_ROW)) in ("epoch", "iteration") and table[counts].isna().all():
        if line := _line(empty):
            raise RecordError(
                f"{path}: line {line} holds nothing of use: is it an epoch? Drop it, or number the epochs"
            )
        table[counts] = table.groupby(["network", "seed"]).cumcount() + (0 if target.first_epoch == 0 else 1)
    return table[~empty], with_sign


def _number(text: str) -> float:
    """NaN where there is none, -1 where it is something else."""
    try:
        return float(text or "nan")
    except ValueError:
        return -1.0


def _line(wrong: pd.Series[bool]) -> int:
    """The first line of which this is true, or else 0."""
    return int(wrong.index.to_numpy()[wrong.to_numpy().argmax()]) if wrong.any() else 0


def _to_iterations(table: pd.DataFrame, columns: Mapping[str, str], target: Target, path: Path) -> str:
    """Give each row its iteration, and the epoch that it is; how, in words."""
    name = next((name for name, what in columns.items() if what == "iteration"), "")
    last = table[columns[name]].max() if name else 0
    # Some programs count calls of a logger, epochs, or thousands.
    unsafe = bool(name) and last != 0 and not last >= target.per_epoch
    if name and "epoch" in table:  # others count anew in each epoch
        ends = table.groupby(["network", "seed", "epoch"])[columns[name]].max()
        unsafe |= bool((ends.groupby(["network", "seed"]).diff() <= 0).any())
    unsafe &= name not in target.columns
    if unsafe and "epoch" not in table:
        few = "" if "step" in name.lower() else f", {option(name, 'iteration')} if there are no more"
        raise UserError(
            f"{path}: column {name!r} ends at {last:g}, less than an epoch of {target.per_epoch:.0f} iterations: "
            f"give {option(name, 'epoch')} if it counts those{few}"
        )
    if name and {"sample", "samples", "image", "images", "examples"} & {*words_of(name)}:
        raise UserError(f"{path}: column {name!r} seems to count images: divide it by those of a batch")
    if name and not unsafe:
        said = f"{name} read as iterations"
        ours = last / target.per_epoch
        own = table["epoch"].max() if "epoch" in table else ours
        if abs(own - ours) > 1.5 + own / 20:  # the first may be 0, and a last batch of fewer images left out
            raise UserError(
                f"{path}: ends at epoch {own:g} and {name} {last:g}, which in batches of {target.batch:,} is epoch "
                f"{ours:.1f}: give --batch or --images, or --column COLUMN=ignore for one of them"
            )
    else:
        first = first_epoch_of(table, str(path)) if target.first_epoch is None else target.first_epoch
        table["iteration"] = (table["epoch"] + 1 - first) * target.per_epoch
        images = target.images or DATA_SETS[target.data].train_images
        said = f"epochs counted from {first}, of {images:,} images in batches of {target.batch:,}"
    if line := _line(~(table["iteration"] <= 1e9)):
        raise RecordError(f"{path}: line {line}: its iteration is missing, or beyond 1e9")
    table["epoch"] = table["iteration"] / target.per_epoch
    table["iteration"] = table["iteration"].round().astype(int)
    return said


def _to_percent(table: pd.DataFrame, name: str, quantity: str, has_sign: bool, target: Target, path: Path) -> str:
    """Make a column errors in percent; how it was read, in words."""
    values = table[quantity]
    early = 10 * target.per_epoch
    unit = target.unit or unit_of(values, table["iteration"], early, has_sign, f"{path}: column {name!r}")
    values = values * (100 if unit == "fraction" else 1)
    if line := _line(values > 100):
        raise RecordError(f"{path}: line {line}: {name} is {values[line]:g} %: 100 is the most")
    split, kind = quantity.split("_")
    if name not in target.columns:
        ordered = table.sort_values("iteration", kind="stable")
        runs = values[ordered.index].dropna().groupby([ordered["network"], ordered["seed"]])
        kind = kind_of(quantity, name, [run for _, run in runs], str(path))
    table[f"{split}_error"] = 100 - values if kind == "accuracy" else values
    why = f", as it {'falls' if kind == 'error' else 'rises'}" if quantity.endswith("top") else ""
    return f"{name} read as {split} {kind} in {'fractions' if unit == 'fraction' else 'percent'}{why}"


def _in_order(table: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, int]:
    """One run's rows by iteration, without the start; and how many a resumed log replaced.

    A resumed run logs some iterations again: its rows take the place of those from there on. Rows at one iteration that
    follow one another are one, as where training and test are logged apart.
    """
    table = table[table["iteration"] > 0]
    if table.empty:
        raise RecordError(f"{path}: has no row beyond iteration 0")
    if not any(table.dropna(subset=[key])["iteration"].duplicated().any() for key in _ERRORS):
        return table.groupby("iteration").last(), 0  # no restart, though one error may stand below the other
    groups = table.assign(line=table.index).groupby(table["iteration"].diff().ne(0).cumsum().rename("group"))
    several = (groups[_ERRORS].nunique() > 1).any(axis=1)
    if several.mean() > 0.5:
        raise RecordError(
            f"{path}: line {groups['line'].first()[several].iloc[0]} and those below it differ at one iteration, as at "
            f"most others: keep rows of one kind, or --column COLUMN=ignore; {_RUNS}"
        )
    rows, replaced = groups.last().set_index("line"), int((groups[_ERRORS].count().max(axis=1) - 1).clip(lower=0).sum())
    at = rows["iteration"]
    if at.is_unique:
        return rows.set_index("iteration").sort_index(), replaced
    held = [rows.index[rows[key].notna()] for key in _ERRORS]
    if all(map(len, held)) and at[line := max(map(min, held))] < at.loc[:line].max() and line > min(map(max, held)):
        # The rows of one would seem to replace those of the other.
        raise RecordError(f"{path}: line {line}: one error stands below the other, and a restart in it: a file each")
    if line := _line(at <= at.cummin().shift()):
        raise RecordError(
            f"{path}: line {line} begins again at iteration {at[line]:,}: {_RUNS}; for one run whose epochs only "
            f"begin anew, --column {_ROW}=epoch, and --column COLUMN=ignore for what counts them now"
        )
    kept = rows[~(at >= at[::-1].cummin()[::-1].shift(-1))]
    return kept.set_index("iteration"), replaced + len(rows) - len(kept)


def _former(folder: RunFolder) -> tuple[pd.DataFrame, str]:
    """The curve that was brought into a folder before, by iteration, without rows if none was; and of which files."""
    import pandas as pd

    former = read_record(folder.record_path) if folder.record_path.exists() else None
    if former and former.status != "foreign":
        raise RecordError(f"{folder.path} holds a run of this program: give another name as --as")
    rows = read_curve(folder.curve_path) if former else []
    files = (former.data.source if former else None) or "another file"
    return pd.DataFrame(rows, columns=list(COLUMNS)).set_index("iteration"), files


def _write(results: Path, run: Run, rows: pd.DataFrame, path: Path) -> str:
    """Write a run's folder; gives the files that the columns kept from before are of."""
    folder = RunFolder(results, run)
    old, files = _former(folder)
    kept = [key for key in _ERRORS if rows[key].isna().all() and old[key].notna().any()]
    if kept:
        rows = rows.combine_first(old[["epoch", *kept]].dropna(subset=kept, how="all"))
    before = files if kept else ""
    curve = [Row(*values) for values in rows.reset_index().reindex(columns=list(COLUMNS)).itertuples(False, None)]
    # How it was trained is not known beyond its length.
    schedule = run.schedule if run.schedule.iterations == curve[-1].iteration else Schedule(curve[-1].iteration)
    folder.run = replace(run, schedule=schedule, log_every=1, evaluate_every=1)
    folder.path.mkdir(parents=True, exist_ok=True)
    write_curve(folder.curve_path, curve)
    final = {key: float(rows[key].dropna().iloc[-1]) for key in _ERRORS if rows[key].notna().any()}
    about = {"source": f"{before}, {path.name}" if before else path.name}
    folder.write({"status": "foreign", "iteration": curve[-1].iteration, "final": final, "data": about})
    return before
