"""A run's folder on disk: written whole, read back exactly, and whatever else lies there told in a line."""

import contextlib
import json
import math
import os
import shutil
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted import plant

from repro.checked import LARGEST
from repro.errors import RecordError, UserError
from repro.records import (
    COLUMNS,
    HEALTH_COLUMNS,
    HealthRow,
    Row,
    RunFolder,
    Source,
    collect,
    format_row,
    read_curve,
    read_health,
    read_record,
    read_responses,
    replacing,
    write_health,
    write_json,
    write_responses,
    write_text,
)
from repro.spec import Run

FAST = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
HEADER = ",".join(COLUMNS)
GOOD = "10,0.9,0.1,2.3,90.0,,"


@pytest.fixture
def planted(tmp_path):
    """The folder of one good run, with a curve, responses and health."""
    folder = plant(tmp_path / "results", "resnet-20", preset="demo", data="digits", responses=1.0)
    write_health(folder / "health.csv", [HealthRow(0, 1, "conv1", 1.0, 2.0, 3.0)])
    return folder


@pytest.fixture
def begun(tmp_path):
    """The folder of a run, still empty."""
    folder = RunFolder(tmp_path, Run("plain-20"))
    folder.path.mkdir(parents=True)
    return folder


def row_at(iteration):
    return Row(iteration, *[1.0] * 6)


def health_at(iteration, norm=2.0):
    return HealthRow(iteration, 1, "conv1", 1.0, norm, 3.0)


def results(planted):
    return planted.parents[3]


def damage(planted):
    """The one reason why the run is passed over."""
    records = collect([Source("ours", results(planted))])
    assert len(records.runs) == len(records.curves) == len(records.responses) == len(records.health) == 0
    (damaged,) = records.damaged
    assert (damaged.source, damaged.folder) == ("ours", "digits/demo/resnet-20/seed-0")
    assert "\n" not in damaged.reason
    assert damaged.reason.startswith(str(planted))
    return damaged.reason


# Writing


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    write_text(path, "before")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path
        raise RuntimeError
    assert path.read_text() == "before"
    with replacing(path) as temporary:
        temporary.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_null_where_a_number_is_not_finite(tmp_path):
    write_json(tmp_path / "x.json", {"a": math.nan, "b": [1.5, math.inf, {"c": -math.inf}], "d": "ü"})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": [1.5, None, {"c": None}], "d": "ü"}


def test_what_a_killed_process_left_half_written_is_cleared_away_by_the_next(begun):
    left = begun.path / ".checkpoint.pt.123456.tmp"
    left.write_bytes(b"half")
    (begun.path / ".keep").touch()
    with begun.claim() as mine:
        assert mine and not left.exists()
    assert (begun.path / ".keep").exists()


NUMBERS = st.floats(0, allow_infinity=True) | st.just(math.nan)
PERCENT = st.floats(0, 100) | st.just(math.nan)
ROWS = st.builds(
    lambda at, values: [Row(i, *v) for i, v in zip(sorted(at), values, strict=False)],
    st.sets(st.integers(0, LARGEST), max_size=6),
    st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, PERCENT, NUMBERS, PERCENT), max_size=6),
)


def same(one, other):
    """Equal to the bit; NaN is NaN."""
    return list(map(format_row, one)) == list(map(format_row, other))


@given(rows=ROWS)
@FAST
def test_a_curve_comes_back_with_all_its_bits(rows, begun):
    begun.curve_path.unlink(missing_ok=True)
    for row in rows:
        begun.append(row)
    if rows:
        assert same(read_curve(begun.curve_path), rows)
        assert begun.curve_path.read_text().splitlines()[0] == HEADER


@given(rows=ROWS.filter(bool), cut=st.integers(1, 40))
@FAST
def test_of_a_curve_torn_anywhere_all_whole_lines_are_kept(rows, cut, tmp_path):
    path = tmp_path / "curve.csv"
    text = "\n".join([HEADER, *map(format_row, rows)]) + "\n"
    path.write_text(text[:-cut])
    whole = text[:-cut].count("\n") - 1
    torn = not text[:-cut].endswith("\n")
    with pytest.warns(UserWarning, match="torn off") if torn else contextlib.nullcontext():
        assert same(read_curve(path), rows[: max(whole, 0)])


def test_responses_and_health_come_back(tmp_path):
    write_responses(tmp_path / "r.csv", [("conv1", 0.1), ("layer1.0.conv1", 1 / 3)])
    assert read_responses(tmp_path / "r.csv") == [(1, "conv1", 0.1), (2, "layer1.0.conv1", 1 / 3)]
    rows = [HealthRow(0, 1, "conv1", 1 / 3, 2.0, 1e-300), HealthRow(5, 1, "conv1", 0.0, 1.0, 2.0)]
    write_health(tmp_path / "h.csv", rows)
    assert read_health(tmp_path / "h.csv") == rows


# The folder of a run


def test_a_record_comes_back_and_one_of_another_run_is_refused_by_its_differences(begun):
    assert RunFolder(begun.path / "none", Run("plain-20")).read() is None
    begun.write({"status": "stopped", "iteration": 3})
    record = begun.read()
    assert (record.status, record.iteration, record.hash) == ("stopped", 3, Run("plain-20").hash)
    spec = record.spec.to_dict() | {"seed": 4, "log_every": 50}
    begun.write({"status": "stopped", "iteration": 3, "spec": spec})
    with pytest.raises(RecordError, match=r"another run \(seed: 0 against 4; log_every: 100 against 50\)"):
        begun.read()


def test_a_row_is_on_the_disk_before_anything_can_say_that_the_run_is_complete(begun, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    for iteration in (100, 200):
        begun.append(row_at(iteration))
        assert synced[-1] == begun.curve_path.stat().st_size
    assert len(synced) == 2


def test_tables_are_put_back_as_a_checkpoint_has_them(begun):
    for iteration in (100, 200):
        begun.append(row_at(iteration))
    begun.add_health([health_at(0)])
    kept = begun.tables()
    assert kept.keys() == {"curve.csv", "health.csv"}
    begun.append(row_at(300))
    assert begun.put_back(kept) == []
    assert begun.tables() == kept
    begun.curve_path.write_text(begun.curve_path.read_text().replace("1.0", "1.5", 1))
    begun.health_path.unlink()
    assert begun.put_back(kept) == ["curve.csv", "health.csv"]
    assert begun.tables() == kept
    begun.curve_path.write_bytes(b"\xff\x00")
    assert begun.put_back(kept) == ["curve.csv"]
    assert begun.put_back({"../run.json": "x"}) == []
    assert begun.tables() == {}
    assert not begun.record_path.exists()


def test_a_second_look_at_an_iteration_takes_the_place_of_the_first_and_of_later_ones(begun):
    for iteration, norm in ((0, 1.0), (5, 2.0), (9, 3.0), (5, 4.0)):
        begun.add_health([health_at(iteration, norm)])
    assert [(row.iteration, row.gradient_norm) for row in read_health(begun.health_path)] == [(0, 1.0), (5, 4.0)]


# Reading what others wrote


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["iteration,loss"], "line 1 is not the header"),
        ([HEADER, GOOD, "20,1,1"], "line 3 is malformed: it has 3 fields, not 7"),
        ([HEADER, "10,0.9,0.1,high,90.0,,"], "train_loss is 'high': a number"),
        ([HEADER, "10,0.9,0.1,2.3,190.0,,"], "train_error is '190.0'"),
        ([HEADER, "10,0.9,0.1," + "x" * 200_000 + ",90.0,,"], "train_loss is 'xxx"),
        ([HEADER, GOOD, GOOD], "line 3 is malformed: iteration 10 is not beyond"),
        ([HEADER, "\u2028".join([GOOD, GOOD])], "line 2 is malformed"),
        *(([HEADER, cell + GOOD[2:]], "line 2 is malformed: iteration is") for cell in ("-10", "９", "9" * 5000)),
    ],
    ids=range(10),
)
def test_the_malformed_line_of_a_curve_is_named(lines, said, planted):
    (planted / "curve.csv").write_text("\n".join(lines) + "\n")
    reason = damage(planted)
    assert said in reason
    assert "curve.csv" in reason
    assert len(reason) < 500


def test_numbers_that_are_none_are_read_as_such_and_an_empty_curve_has_no_rows(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text(f"{HEADER}\n10,0.9,1e999,nan,90.0,inf,\n")
    (row,) = read_curve(path)
    assert math.isnan(row.train_loss) and math.isnan(row.test_error)
    assert row.test_loss == row.lr == math.inf
    for text in ("", HEADER + "\n"):
        path.write_text(text)
        assert read_curve(path) == []


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("responses.csv", "layer,name\n", "line 1 is not the header layer,name,std"),
        ("responses.csv", "layer,name,std\n1,\x1b[2J,1.0\n", "a layer's name"),
        ("health.csv", f"{','.join(HEALTH_COLUMNS)}\n0,1,conv1,1,-2,1\n", "gradient_norm is '-2'"),
        ("health.csv", b"\xff", "cannot be read as a table of signal health"),
        ("responses.csv", "layer,name,std\n1,conv1,1.0\n", "has 1 layer, but resnet-20 has 19"),
        ("run.json", "", "cannot be read as a record"),
        ("run.json", "[" * 100_000, "cannot be read as a record"),
        ("run.json", '{"iteration": ' + "1" * 5000 + "}", "cannot be read as a record"),
    ],
    ids=range(8),
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(file, content, said, planted):
    (planted / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    reason = damage(planted)
    assert said in reason
    assert file in reason


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("format", 2, "has format 2, this version reads format 1"),
        ("status", "done", "unknown value of status 'done'"),
        ("iteration", 10**30, "9,007,199,254,740,992 or less"),
        ("iteration", 599, "status is 'complete', but iteration is 599, not 600"),
        ("numerics", {"threads": 10**6}, "numerics.threads is 1000000: 1,024 or less"),
        ("final", None, "final.train_error is missing"),
        ("final", {"train_error": 1.0, "test_error": 100.5}, "final.test_error is 100.5"),
        ("error", "\ud800", "cannot be read as a record"),
        ("spec", {"network": "vgg-16"}, "unknown network 'vgg-16'"),
        ("spec", {"network": "plain-20", "schedul": {}}, "did you mean 'spec.schedule"),
        ("spec", {"network": "plain-20", "seed": 10**400}, "spec.seed is 1000"),
    ],
    ids=range(11),
)
def test_what_is_wrong_with_a_record_is_said(key, value, said, planted):
    path = planted / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert said in damage(planted)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**400, -(10**400), 1e308, "\ud800", "../../etc", "<script>", "\x1b[2J"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """The way to every value in a record."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


@contextlib.contextmanager
def changed(path, content):
    """For as long as this lasts, the file has that content."""
    original = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(original)


@given(data=st.data())
@FAST
def test_a_record_with_any_value_anywhere_is_read_or_listed_as_damaged(data, planted):
    record = json.loads((planted / "run.json").read_text())
    for _ in range(data.draw(st.integers(1, 2))):
        *way, last = data.draw(st.sampled_from([place for place in places(record) if place]))
        node = record
        for key in way:
            node = node[key]
        if data.draw(st.booleans()):
            node[last] = data.draw(ANYTHING)
        else:
            del node[last]
    with changed(planted / "run.json", json.dumps(record).encode()):
        read_every_way(planted)


FILES = ("run.json", "curve.csv", "responses.csv", "health.csv")


@given(data=st.data(), file=st.sampled_from(FILES))
@FAST
def test_a_file_with_bits_flipped_or_cut_off_is_read_or_listed_as_damaged(data, file, planted):
    content = bytearray((planted / file).read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with changed(planted / file, content[: data.draw(st.integers(0, len(content)))]):
        read_every_way(planted)


def read_every_way(planted):
    """Read the planted run: only errors in a line may come of it, and tables that can be worked with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = collect([Source("ours", results(planted))])
    assert len(records.runs) + len(records.damaged) == 1
    for damaged in records.damaged:
        assert damaged.reason.isprintable()
    for table in (records.runs.drop(columns="run"), records.curves, records.responses, records.health):
        table.to_json()
        table.drop_duplicates()
    folder = RunFolder(results(planted), Run("resnet-20"))
    folder.path, folder.record_path = planted, planted / "run.json"
    with contextlib.suppress(RecordError):
        assert folder.read() is not None
    with contextlib.suppress(UserError):
        read_record(planted / "run.json")


# Folders that are not what they should be


def both(tmp_path):
    plant(tmp_path, "plain-20")
    return plant(tmp_path, "plain-56")


def outcome(tmp_path):
    """Networks that were read, and reasons why others were not."""
    records = collect([Source("ours", tmp_path)])
    return list(records.runs["network"]), [damaged.reason for damaged in records.damaged]


@pytest.mark.parametrize("file", FILES[:3])
def test_a_pipe_or_folder_in_the_place_of_a_file_stops_nothing(file, tmp_path):
    for make in (os.mkfifo, Path.mkdir):
        folder = both(tmp_path)
        (folder / file).unlink(missing_ok=True)
        make(folder / file)
        read, (reason,) = outcome(tmp_path)
        assert read == ["plain-20"]
        assert f"{file}: is no file" in reason
        shutil.rmtree(tmp_path / "cifar10")


def test_a_huge_file_is_refused_unread(tmp_path):
    folder = both(tmp_path)
    for file in ("curve.csv", "run.json"):
        with (folder / file).open("wb") as sparse:
            sparse.truncate(10**12)
        read, (reason,) = outcome(tmp_path)
        assert read == ["plain-20"] and f"{file}: larger than" in reason


def test_symbolic_links_that_lead_in_circles_or_nowhere_stop_nothing(tmp_path):
    both(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "cifar10" / "loop").symlink_to("loop")
    assert outcome(tmp_path) == (["plain-20", "plain-56"], [])


def test_folders_whose_names_are_no_text_or_markup_are_listed_so_that_they_can_be_shown(tmp_path):
    for name in (b"\xff\xfe", b"<script>alert(1)<script>", b"\x1b[2J", b"a b\nc"):
        folder = tmp_path / os.fsdecode(name)
        folder.mkdir()
        (folder / "run.json").write_bytes(b"{")
    damaged = collect([Source("ours", tmp_path)]).damaged
    assert len(damaged) == 4
    for one in damaged:
        one.folder.encode()
        assert one.reason.isprintable()


@pytest.mark.skipif(os.name == "nt", reason="permissions are another matter there")
def test_files_that_may_not_be_read_are_listed_as_damaged(tmp_path, unprivileged):
    folder = both(tmp_path)
    for path in (folder / "run.json", folder / "curve.csv", folder):
        mode = path.stat().st_mode
        path.chmod(0)
        try:
            with unprivileged():
                read, reasons = outcome(tmp_path)
                with contextlib.suppress(RecordError):
                    RunFolder(tmp_path, Run("plain-56", preset="short")).read()
        finally:
            path.chmod(mode)
        assert read == ["plain-20"]
        assert "Permission denied" in reasons[0]


def test_the_records_that_come_with_the_project_can_all_be_read():
    reference = Path(__file__).resolve().parents[2] / "results" / "reference"
    records = collect([Source("reference", reference)])
    if not len(records.runs) and not records.damaged:
        pytest.skip("none are here")
    assert records.damaged == ()
    for source, name, run in zip(records.runs["source"], records.runs["folder"], records.runs["run"], strict=True):
        written = json.loads((reference / name / "run.json").read_text())
        record = RunFolder(reference, run).read()
        assert record == records.record(source, name)
        again = record.to_dict()
        # Settings that came later have their defaults, which change no hash.
        assert Run.from_dict(again.pop("spec")) == Run.from_dict(written.pop("spec")) == run
        assert again == written, "nothing is lost or added on the way"
        assert run.hash == written["hash"]


def test_a_source_without_runs_gives_empty_tables_with_all_columns(tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        records = collect([Source("ours", path)])
        assert len(records.runs) == len(records.curves) == len(records.responses) == len(records.health) == 0
        assert {"network", "test_error", "run"} <= set(records.runs)
        assert {"network", "iteration", "train_error"} <= set(records.curves)


def test_what_is_collected_is_what_was_written(planted):
    records = collect([Source("ours", results(planted))])
    run = records.runs.iloc[0]
    written = json.loads((planted / "run.json").read_text())
    assert records.record("ours", run["folder"]).to_dict() == written
    assert run["run"].to_dict() == written["spec"]
    assert (run["kind"], run["depth"], run["option"], run["seed"]) == ("resnet", 20, "A", 0)
    assert run["test_error"] == written["final"]["test_error"]
    assert list(records.curves["iteration"]) == [row.iteration for row in read_curve(planted / "curve.csv")]
    assert len(records.responses) == 19
    assert list(records.health["gradient_norm"]) == [2.0]
    assert set(records.curves["folder"]) == {"digits/demo/resnet-20/seed-0"}


def test_a_run_that_trains_is_as_far_as_its_curve(tmp_path):
    plant(tmp_path, "plain-20", status="running", iteration=400, extra={"iteration": 0})
    assert collect([Source("ours", tmp_path)]).runs["iteration"].tolist() == [400]
