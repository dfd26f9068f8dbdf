"""Curves of other programs, brought in: the right values, or a line that says which option gives them."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted import plant

from repro import report
from repro.errors import UserError
from repro.records import Source, collect
from repro.records.foreign import Target, bring_in

NAN = math.nan


def file(tmp_path: Path, text: str, name: str = "curves.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def curve(results: Path) -> list[tuple[float, float, float]]:
    """Iteration, training error, test error of the one run there."""
    records = collect([Source("x", results)])
    assert len(records.runs) == 1 and not records.damaged
    return [tuple(row) for row in records.curves[["iteration", "train_error", "test_error"]].itertuples(index=False)]


def same(found: list[tuple[float, float, float]], expected: list[tuple[float, float, float]]) -> bool:
    return [round(x, 6) for row in found for x in row] == pytest.approx(
        [x for row in expected for x in row], nan_ok=True
    )


KERAS = "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.45,1.50,0.50,1.40\n1,0.55,1.20,0.60,1.10\n"
TENSORBOARD = "Wall time,Step,Value\n1700000000.1,390,45.8\n1700000100.2,780,56.9\n"
MLFLOW = "Run ID,Name,Metric Name,epoch,timestamp,Metric Value\n" + "".join(
    f"{run},x-1,{name},{epoch},{at},{value}\n"
    for run, more in (("a1f", 0), ("b2e", 1))
    for name, first in (("val_acc", 40), ("train_acc", 30))
    for epoch, at, value in ((1, 17, first + more), (2, 18, first + more + 20))
)
MMENGINE = "".join(
    f'{{"loss": 1.5, "epoch": {epoch}, "iter": {391 * epoch}, "step": {391 * epoch}}}\n'
    f'{{"val/acc": {40 + 10 * epoch}, "time": 0.1, "step": {epoch}}}\n'
    for epoch in (1, 2)
)
AIM = "metric.name,metric.context.subset,idx,step,epoch,value\n" + "".join(
    f"{name},{subset},{at},{391 * at},{at},{first + 10 * at}\n"
    for name, first in (("loss", 1), ("acc", 50))
    for subset, first in (("train", first), ("val", first + 5))
    for at in (1, 2)
)
COMET = json.dumps(
    [
        {
            "metricName": f"{context}_{name}",
            "metricValue": f"{first + 10 * epoch}",
            "timestamp": 1_700_000_000_000 + epoch,
        }
        | {"step": 391 * epoch, "epoch": epoch, "runContext": context, "offset": None, "experimentKey": "9a1f"}
        for context, first in (("train", 40), ("validate", 45))
        for name in ("accuracy", "loss")
        for epoch in (1, 2)
    ]
)
LATE = "epoch,train_error\n150,0.62\n155,0.48\n164,0.31\n"
#: An epoch of 50,000 images in batches of 128 has 390.625 iterations.
READ = {
    "keras, from epoch 0": (KERAS, {}, [(391, 55, 50), (781, 45, 40)]),
    "errors from epoch 0": (
        "epoch,train_error,test_error\n0,60.0,55.0\n1,50.0,45.0\n163,0.4,8.8\n",
        {},
        [(391, 60, 55), (781, 50, 45), (64_062, 0.4, 8.8)],
    ),
    "each column in its unit": (
        "epoch,train_error,test_error\n1,0.61,57.0\n82,0.12,20.1\n164,0.004,8.75\n",
        {},
        [(391, 61, 57), (32_031, 12, 20.1), (64_062, 0.4, 8.75)],
    ),
    "percent below 1": (
        LATE, {"unit": "percent"}, [(58_594, 0.62, NAN), (60_547, 0.48, NAN), (64_062, 0.31, NAN)]
    ),
    "45,000 images": (
        "epoch,test_error\n91,20\n137,9.5\n182,8.75\n",
        {"images": 45_000},
        [(31_992, NAN, 20), (48_164, NAN, 9.5), (63_984, NAN, 8.75)],
    ),
    "batches of 256": ("epoch,test_error\n2,20\n", {"batch": 256}, [(391, NAN, 20)]),
    "a resumed log": (
        "iteration,test_error\n1000,40\n2000,35\n3000,33\n2000,35\n3000,32.5\n4000,31\n",
        {},
        [(1000, NAN, 40), (2000, NAN, 35), (3000, NAN, 32.5), (4000, NAN, 31)],
    ),
    "tensorboard": (TENSORBOARD, {"columns": {"Value": "test_accuracy"}}, [(390, NAN, 54.2), (780, NAN, 43.1)]),
    "weights & biases": (
        '"Step","run - val/acc","run - val/acc__MIN","run - val/acc__MAX"\n391,0.5,0.5,0.5\n782,0.6,0.6,0.6\n',
        {},
        [(391, NAN, 50), (782, NAN, 40)],
    ),
    "steps that are epochs": (
        "Step,Test Accuracy\n0,50\n1,60\n",
        {"columns": {"Step": "epoch"}, "first_epoch": 0},
        [(391, NAN, 50), (781, NAN, 40)],
    ),
    "lightning, split by row": (
        "epoch,step,train_acc,val_acc\n0,390,0.45,\n0,390,,0.5\n1,781,0.55,\n1,781,,0.6\n",
        {},
        [(390, 55, 50), (781, 45, 40)],
    ),
    "timm": (
        "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n1,1.5,1.4,50.5,90,0.1\n2,1.2,1.1,60.5,95,0.1\n",
        {},
        [(391, NAN, 49.5), (781, NAN, 39.5)],
    ),
    "a spreadsheet's semicolons and decimal commas": (
        "Epoch;Training Error;Validation Error\n1;45,8;50,5\n2;40,5;47\n",
        {},
        [(391, 45.8, 50.5), (781, 40.5, 47)],
    ),
    "iterations in any order, without the start": (
        "iteration, test_error\n64000, 8.75\n0, 90\n32000, 20\n",
        {},
        [(32_000, NAN, 20), (64_000, NAN, 8.75)],
    ),
    "epoch 0 before training": (
        "epoch,test_error\n0,90\n1,50\n", {"first_epoch": 1}, [(391, NAN, 50)]
    ),
    "fb.resnet.torch, whose top1 are errors": (
        "epoch\ttrainTop1\ttrainTop5\ttestTop1\n1\t55.1\t6.2\t50.2\n2\t41.3\t5.0\t40.4\n164\t0.1\t0\t6.9\n",
        {},
        [(391, 55.1, 50.2), (781, 41.3, 40.4), (64_062, 0.1, 6.9)],
    ),
    "accuracies named errors, told": (
        "epoch,test_error\n1,45\n164,91\n",
        {"columns": {"test_error": "test_accuracy"}},
        [(391, NAN, 55), (64_062, NAN, 9)],
    ),
    "a net that diverges, told": (
        "epoch,test_error\n1,45\n2,90\n",
        {"columns": {"test_error": "test_error"}},
        [(391, NAN, 45), (781, NAN, 90)],
    ),
    "an object a line, with a split in each and settings first": (
        '{"env_info": {"gpu": "x"}, "seed": 0}\n'
        '{"mode": "train", "epoch": 1, "iter": 100, "loss": 1.5, "accuracy_top-1": 40}\n'
        '{"mode": "val", "epoch": 1, "iter": 79, "accuracy_top-1": 45, "accuracy_top-5": 90}\n'
        '{"mode": "train", "epoch": 2, "iter": 100, "loss": 1.2, "accuracy_top-1": 50}\n'
        '{"mode": "val", "epoch": 2, "iter": 79, "accuracy_top-1": 55, "accuracy_top-5": 95}\n',
        {},
        [(391, 60, 55), (781, 50, 45)],
    ),
    "a list of objects, some within": (
        '[{"epoch": 1, "train": {"err": 60}, "val": {"err": 55}},\n {"epoch": 2, "train": {"err": 50}, "val": null}]',
        {},
        [(391, 60, 55), (781, 50, NAN)],
    ),
    "keras' history, whose rows are epochs": (
        '{"accuracy": [0.45, 0.55], "val_accuracy": [0.5, 0.6], "loss": [1.5, 1.2]}',
        {"columns": {"row": "epoch"}},
        [(391, 55, 50), (781, 45, 40)],
    ),
    "seconds of an iteration, which count nothing": (
        "training_iteration,train_acc,val_acc,time_this_iter_s\n1,45,50,25.3\n2,55,60,25.1\n",
        {"columns": {"training_iteration": "epoch"}},
        [(391, 55, 50), (781, 45, 40)],
    ),
    "rows that are epochs, counted from 0": (
        "Train Acc.\tValid Acc.\t\n45\t50\t\n55\t60\t\n",
        {"columns": {"row": "epoch"}, "first_epoch": 0},
        [(391, 55, 50), (781, 45, 40)],
    ),
    "a header again, where a job went on": (
        "epoch,test_error\n1,50\n2,40\n\nepoch,test_error\n2,41\n3,30\n",
        {},
        [(391, NAN, 50), (781, NAN, 41), (1172, NAN, 30)],
    ),
    "tags and values": (
        "run,tag,step,value\n.,train/acc,390,45\n.,train/loss,390,1.5\n.,val/acc,390,50\n.,train/acc,780,55\n"
        ".,val/acc,780,60\n",
        {},
        [(390, 55, 50), (780, 45, 40)],
    ),
    "lightning, steps and losses between": (
        "epoch,lr-SGD,step,train_acc_epoch,train_loss_step,val_acc\n,0.1,49,,,\n0,,49,,1.9,\n0,,390,,,0.5\n"
        "0,,390,0.45,,\n,0.1,439,,,\n1,,781,,,0.6\n1,,781,0.55,,\n",
        {},
        [(49, NAN, NAN), (390, 55, 50), (439, NAN, NAN), (781, 45, 40)],
    ),
    "errors below one another, in a table of names and values": (
        "key,step,value\n"
        "train_acc,99,40\ntrain_acc,390,45\ntrain_acc,780,55\nval_acc,390,50\nval_acc,780,60\nval_loss,780,2\n",
        {},
        [(99, 60, NAN), (390, 55, 50), (780, 45, 40)],
    ),
    "errors below one another, each a column": (
        "iteration,train_error,test_error\n99,60,\n390,55,\n780,45,\n390,,50\n780,,40\n",
        {},
        [(99, 60, NAN), (390, 55, 50), (780, 45, 40)],
    ),
    "a list of objects among other things": (
        '{"best_metric": 0.6, "args": {"epoch": 9}, "log_history": [{"epoch": 1.0, "loss": 1.5, "step": 391},'
        '{"epoch": 1.0, "eval_accuracy": 0.5, "step": 391}, {"epoch": 2.0, "eval_accuracy": 0.6, "step": 782}]}',
        {},
        [(391, NAN, 50), (782, NAN, 40)],
    ),
    "a list of objects a split": (
        '{"train": [{"loss": 1.5, "top1err": 0.55}, {"loss": 1.2, "top1err": 0.45}],'
        '"val": [{"loss": 1.4, "top1err": 0.5}, {"loss": 1.1, "top1err": 0.4}]}',
        {"columns": {"row": "epoch"}},
        [(391, 55, 50), (781, 45, 40)],
    ),
    "rows of a test whose steps are epochs": (
        MMENGINE,
        {"columns": {"step": "epoch"}},
        [(391, NAN, 50), (781, NAN, 40)],
    ),
    "a split known by its cells, in a long table": (AIM, {}, [(391, 40, 35), (782, 30, 25)]),
    "a split known by its cells": (
        "epoch,images,acc\n1,Train,45\n1,Test,50\n2,Train,55\n2,Test,60\n", {}, [(391, 55, 50), (781, 45, 40)]
    ),
    "settings in each row": (
        '{"epochs": 164, "epoch_step": "[82,123]", "train_acc": 45, "test_acc": 50, "epoch": 1}\n'
        '{"epochs": 164, "epoch_step": "[82,123]", "train_acc": 55, "test_acc": 60, "epoch": 2}\n',
        {},
        [(391, 55, 50), (781, 45, 40)],
    ),
    "of two columns the one that is told": (
        "epoch,val_acc,test_acc\n1,40,50\n2,50,60\n", {"columns": {"test_acc": "test_accuracy"}},
        [(391, NAN, 50), (781, NAN, 40)],
    ),
    "a split that is told, whose words count": (
        '{"_type": "train_epoch", "epoch": "1/2", "top1_err": 55, "eta": "0:01"}\n'
        '{"_type": "test_epoch", "epoch": "1/2", "top1_err": 50}\n',
        {"columns": {"_type": "split"}},
        [(391, 55, 50)],
    ),
    "a split that is told": (
        "epoch,images,acc\n1,train-augmented,45\n1,test,50\n2,train-augmented,55\n2,test,60\n",
        {"columns": {"images": "split"}},
        [(391, 55, 50), (781, 45, 40)],
    ),
    "names in camel case, and numbers as text, in a long table": (COMET, {}, [(391, 50, 45), (782, 40, 35)]),
    "a list of a list a row, as TensorBoard's": (
        "[[1700000000.5, 390, 0.45], [1700000030.5, 780, 0.55]]",
        {"columns": {"Value": "test_accuracy"}},
        [(390, NAN, 55), (780, NAN, 45)],
    ),
    "numpy.savetxt": (
        "# epoch train_err test_err\n1.00e+00 5.5e+01 5.0e+01\n2.00e+00  4.5e+01 4.0e+01 \n",
        {},
        [(391, 55, 50), (781, 45, 40)],
    ),
    "comments above the header": (
        "% resnet-20, one seed\n% by pgfplots\niteration train_err test_err\n391 55 50\n782 45 40\n",
        {},
        [(391, 55, 50), (782, 45, 40)],
    ),
    "numpy.savetxt, by commas": ("# epoch,test_err\n1.00e+00,5.0e+01\n", {}, [(391, NAN, 50)]),
    "a metric of MLflow under names": (
        "timestamp value step\n1700000000000 0.45 390\n1700000030000 0.55 780\n",
        {"columns": {"value": "test_accuracy"}},
        [(390, NAN, 55), (780, NAN, 45)],
    ),
    "headers with colons, brackets and numbers, and lists beside": (
        '[{"Unnamed: 0": 0, "epoch": 1, "val acc [%]": 50, "val acc by class": [1, 2]}]',
        {"columns": {"val acc by class": "ignore"}},
        [(391, NAN, 50)],
    ),
    "a table whose first names have a colon and a bracket": (
        "Time [s],Unnamed: 0,epoch,val_acc\n1,0,1,50\n2,1,2,60\n", {}, [(391, NAN, 50), (781, NAN, 40)]
    ),
    "Markdown": (
        "| Epoch | Train Acc | Test Acc |\n|:---|---:|-----|\n| 1/60 | 45.00% | 50 % |\n| 2/60 | 55.00% | 60 % |\n",
        {},
        [(391, 55, 50), (781, 45, 40)],
    ),
    "small percent with their sign": (
        "epoch,test_err\n150,0.62%\n164,0.31 %\n", {}, [(58_594, NAN, 0.62), (64_062, NAN, 0.31)]
    ),
    "no percent at all, with their sign": (
        "epoch,train_err,test_err\n164,0%,8.4%\n", {}, [(64_062, 0, 8.4)]
    ),
    "the top five by other names": (
        "epoch,accuracy,accuracy05,top_k_categorical_accuracy,val_accuracy\n0,0.5,0.9,0.9,0.4\n1,0.6,1,1,0.5\n",
        {},
        [(391, 50, 60), (781, 40, 50)],
    ),
    "columns some spaces apart": (
        "   epoch     lr   train acc   test acc\n       1  0.040        45.5         50\n       2  0.08    55   60\n",
        {},
        [(391, 54.5, 50), (781, 45, 40)],
    ),
    "a logger's mark before each object": (
        'DLLL {"epoch": 1, "val": {"acc": 50}}\nDLLL {"epoch": 2, "val": {"acc": 60}}\n',
        {},
        [(391, NAN, 50), (781, NAN, 40)],
    ),
    "epochs and steps that go together": (
        "epoch,step,test_error\n0,195,50\n59,11759,10\n", {"batch": 256}, [(195, NAN, 50), (11_759, NAN, 10)]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "options", "expected"), READ.values(), ids=READ)
def test_the_values_are_right(text: str, options: dict, expected: list, tmp_path: Path) -> None:
    (said,) = bring_in([file(tmp_path, text)], tmp_path / "r", Target("resnet-20", **options))
    assert same(curve(tmp_path / "r"), expected)
    assert "marked foreign" in said and "\n" not in said


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("keras, from epoch 0", ["epochs counted from 0", "accuracy read as train accuracy in fractions", "50,000"]),
        ("fb.resnet.torch, whose top1 are errors", ["testTop1 read as test error in percent, as it falls"]),
        ("keras, from epoch 0", ["; left aside: loss, val_loss; marked foreign"]),
        ("rows of a test whose steps are epochs", ["; left aside: loss, epoch, iter, time; marked foreign"]),
        ("a resumed log", ["2 rows of before a restart replaced", "iteration read as iterations"]),
        ("45,000 images", ["of 45,000 images in batches of 128", "test_error read as test error in percent"]),
    ],
)
def test_the_line_says_how_it_was_read(name: str, parts: list[str], tmp_path: Path) -> None:
    text, options, _ = READ[name]
    (said,) = bring_in([file(tmp_path, text)], tmp_path / "r", Target("resnet-20", **options))
    assert all(part in said for part in parts), said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LATE, "--unit percent or --unit fraction"),
        (TENSORBOARD, "--column COLUMN=WHAT"),
        ("Step,test_error\n1,50\n100,40\n", "--column Step=epoch if it counts those"),
        ("epoch,accuracy\n1,50\n", "--column accuracy=train_accuracy"),
        ("epoch,step,test_error\n0,195,50\n59,11759,10\n", "batches of 128 is epoch 30.1: give --batch or --images"),
        ("epoch,val_acc,test_acc\n1,50,50\n", "--column test_acc=ignore"),
        ("epoch,test_error\n0,90\n1,50\n", "--first-epoch 0"),
        ("epoch,test_error\n1,50\n2,40\n1,45\n2,35\n", "--column COLUMN=seed"),
        ("", "line 1 has the columns (none)"),
        ("epoch,1,2,3\ntrain error,50,40,30\n", "or are rows and columns to change places?"),
        ("step,err\n1,2\n", "--column err=train_error"),
        ("epoch,test_error\n", "has no rows"),
        ("# mine\nepoch,test_error\n1,abc\n", "line 3: test_error is 'abc'"),
        ("epoch,test_error\n1,abc\n", "line 2: test_error is 'abc'"),
        ("epoch,test_error\n1,inf\n", "line 2: test_error is 'inf'"),
        ("epoch,test_error\n1,50\n2,101\n", "line 3: test_error is 101 %"),
        ("epoch,test_error\n1,50,7\n", "line 2 has 3 cells, not 2"),
        ("epoch,test_error\n,50\n", "line 2: its iteration is missing"),
        ("epoch,test_error\n1e300,50\n", "line 2: epoch is '1e300'"),
        ("Iteration;test_error\n500;40,5\n1.000;30\n", "line 3: '1.000' has a point, others a decimal comma"),
        ("Iteration;test_error\n500;40\n1.500;30\n", "line 3: Iteration is '1.500': a whole number"),
        (
            "train iteration,train error,test iteration,test error\n400,50,500,45\n800,40,900,35\n",
            "columns 'train iteration' and 'test iteration' are both iterations: give training and test a file each",
        ),
        ("iter. (1e4),test_error\n1,40\n6,30\n", "--column 'iter. (1e4)'=epoch if it counts those"),
        ("epoch,Test err (%)\n1,0.6\n2,0.5\n", "has the sign of percent, but numbers as of fractions"),
        ("step,step,test_error\n1,1,50\n", "has several columns 'step'"),
        ("iteration,test_error\n0,90\n", "no row beyond iteration 0"),
        ("epoch,test_error\n1,45\n164,91\n", "--column test_error=test_error or --column test_error=test_accuracy"),
        ("epoch,test_error\n163,91.1\n164,91.2\n", "goes from 91.1 to 91.2 %"),
        ("epoch,val_acc\n1,55\n164,9\n", "--column val_acc=test_error or --column val_acc=test_accuracy"),
        ("epoch,val_acc\n163,8.8\n164,8.7\n", "goes from 8.8 to 8.7 %"),
        ("epoch,network,test_err\n1,resnet-20,50\n2,resnet-20,40\n1,plain-20,50\n2,plain-20,60\n", "may be errors"),
        ("epoch,top1\n1,50\n", "--column top1=train_error or test_error or train_accuracy or test_accuracy"),
        ("train_acc,val_acc\n45,50\n", "row=epoch"),
        ("epoch,best_val_acc,val_top3\n1,50,80\n2,60,90\n", "an error or accuracy"),
        ("model,epoch,val_acc\na,1,45\nb,1,50\na,2,55\nb,2,60\n", "line 2 and those below it differ"),
        (
            "run,tag,step,value\na,val/acc,391,45\nb,val/acc,391,55\n",
            "keep rows of one kind, or --column COLUMN=ignore; for several runs",
        ),
        ("epoch,val acc,test_err\n1,50,50\n", "are both test accuracy and test error: give"),
        ("my step,test_error\n1,50\n100,40\n", "--column 'my step'=epoch if it counts those"),
        (MLFLOW, "line 4 begins again at iteration 391: for several runs, give network or seed a column"),
        ("step,train_err,val_err\n90,50,\n780,40,\n390,42,\n780,41,\n391,,55\n782,,45\n", "line 6: one error stands"),
        ("[[1700000000.1, 390, 45.8]]", "line 1 has the columns Wall time, Step, Value"),
        (
            '{"accuracy": {"train": {"name": "train", "x": [391], "y": [0.5]}}, "loss": {}}',
            "'accuracy' holds lists or objects, not numbers: write its numbers as a table",
        ),
        ('[{"epoch": [1, 2], "val_acc": 50}]', "line 1: epoch is '[1, 2]': a list, or an object: write its numbers as"),
        ("{'loss': [1.5], 'val_accuracy': [0.5]}", "is what Python prints of its objects"),
        ("- epoch: 1\n  train: {err: 54.2}\n- epoch: 2\n", "seems to be what a program prints, or YAML"),
        ("[2023-10-04 11:00] epoch 1 acc 45\n[2023-10-04 11:01] epoch 2 acc 55\n", "seems to be what a program"),
        (
            ",train,train,test,test\n,loss,acc,loss,acc\nepoch,,,,\n1,1.6,45,1.6,50\n2,1.3,55,1.4,60\n",
            "line 2 is a second header: join the two",
        ),
        ("1700000000000 0.47 0\n1700000030000 0.59 1\n", "line 1 holds numbers"),
        ('{"acc": [1, 2], "val_acc": [1]}', "no list of objects"),
        ('{"epoch": 1, "val_acc": 50}\n{"epoch": 2, "val_', "no list of objects"),
        ("[" * 100_000, "no list of objects"),
        ("epoch,test_error,seed\n1,50,x\n", "line 2: seed is 'x'"),
        ("epoch,test_error,network\n1,50,resnet-21\n", "did you mean 'resnet-20'"),
    ],
)
def test_what_is_wrong_or_not_safe_is_said_and_nothing_written(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        bring_in([file(tmp_path, text)], tmp_path / "r", Target("resnet-20"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_iterations_that_the_epochs_of_other_rows_rule_out_are_not_offered(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        bring_in([file(tmp_path, MMENGINE)], tmp_path / "r", Target("resnet-20"))
    assert str(caught.value).endswith("give --column step=epoch if it counts those")


def test_rows_that_may_be_no_epochs_are_not_counted(tmp_path: Path) -> None:
    path = file(tmp_path, '{"args": {"lr": 0.1}}\n{"val_acc": 50}\n{"val_acc": 60}\n')
    with pytest.raises(UserError, match="line 1 holds nothing of use: is it an epoch"):
        bring_in([path], tmp_path / "r", Target("resnet-20", columns={"row": "epoch"}))


def test_files_of_one_run_add_up_and_a_newer_column_replaces(tmp_path: Path) -> None:
    train = file(tmp_path, "iteration,train_error\n1000,40\n2000,30\n", "train.csv")
    test = file(tmp_path, "iteration,test_error\n1000,45\n3000,35\n", "test.csv")
    bring_in([train], tmp_path / "r", Target("resnet-20"))
    (said,) = bring_in([test], tmp_path / "r", Target("resnet-20"))
    assert "added to train.csv" in said
    expected = [(1000, 40, 45), (2000, 30, NAN), (3000, NAN, 35)]
    assert same(curve(tmp_path / "r"), expected)
    runs = collect([Source("x", tmp_path / "r")])
    (run,) = runs.runs.to_dict("records")
    assert (run["train_error"], run["test_error"], run["iterations"]) == (30, 35, 3000)
    assert runs.record("x", run["folder"]).data.source == "train.csv, test.csv"
    bring_in([file(tmp_path, "iteration,test_error\n1000,44\n", "test.csv")], tmp_path / "r", Target("resnet-20"))
    assert same(curve(tmp_path / "r"), [(1000, 40, 44), (2000, 30, NAN)])


def test_one_file_may_hold_several_runs(tmp_path: Path) -> None:
    text = "network,seed,epoch,test_error\n" + "".join(
        f"{network},{seed},{epoch},{10 + seed + epoch}\n"
        for network in ("plain-20", "resnet-20")
        for seed in (0, 1)
        for epoch in (1, 2)
    )
    said = bring_in([file(tmp_path, text)], tmp_path / "r", Target())
    assert len(said) == 4
    runs = collect([Source("x", tmp_path / "r")]).runs.set_index(["network", "seed"])["test_error"]
    assert runs.to_dict() == {("plain-20", 0): 12, ("plain-20", 1): 13, ("resnet-20", 0): 12, ("resnet-20", 1): 13}


def test_images_are_no_iterations(tmp_path: Path) -> None:
    path = file(tmp_path, "samples,test_error\n64000,50\n128000,40\n")
    with pytest.raises(UserError, match="column 'samples' seems to count images: divide it"):
        bring_in([path], tmp_path / "r", Target("resnet-20", columns={"samples": "iteration"}))


def test_a_run_of_ours_is_never_replaced(tmp_path: Path) -> None:
    folder = plant(tmp_path / "r", "resnet-20", preset="paper", coarse=10)
    before = (folder / "curve.csv").read_bytes()
    with pytest.raises(UserError, match="holds a run of this program"):
        bring_in([file(tmp_path, "iteration,test_error\n1000,30\n")], tmp_path / "r", Target("resnet-20"))
    assert (folder / "curve.csv").read_bytes() == before


def test_where_one_run_of_a_file_cannot_be_written_none_is(tmp_path: Path) -> None:
    folder = plant(tmp_path / "r", "resnet-20", preset="paper", coarse=10)
    text = "network,iteration,test_error\nplain-20,1000,40\nresnet-20,1000,30\n"
    with pytest.raises(UserError, match="holds a run of this program"):
        bring_in([file(tmp_path, text)], tmp_path / "r", Target())
    assert list((tmp_path / "r").rglob("run.json")) == [folder / "run.json"]


def test_files_that_are_no_text_and_unknown_targets(tmp_path: Path) -> None:
    path = file(tmp_path, "epoch,test_error\n1,50\n")
    for target, said in (
        (Target(), "which network is it"),
        (Target("resnet-20", data="cifar-10"), "did you mean 'cifar10'"),
        (Target("resnet-20", preset="shrot"), "did you mean 'short'"),
        (Target("resnet-20", columns={"err": "test_error"}), "--column err: there is no such column"),
    ):
        with pytest.raises(UserError, match=said):
            bring_in([path], tmp_path / "r", target)
    path.write_bytes("epoch,Prüffehler\n".encode("cp1252"))
    for gone, said in (path, "its byte 9 is no text in utf-8: save it as UTF-8"), (tmp_path / "nowhere.csv", "No such"):
        with pytest.raises(UserError, match=f"cannot be read as a file of curves: {said}"):
            bring_in([gone], tmp_path / "r", Target("resnet-20"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(KERAS.encode(), mtime=0), "is packed by gzip, no file of curves: unpack it: gunzip FILE"),
        (b"\x93NUMPY\x01\0", "is no text, no file of curves: save what it holds as CSV"),
    ],
)
def test_what_is_no_text_is_named_for_what_it_is(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        bring_in([path], tmp_path / "r", Target("resnet-20"))
    assert said in str(caught.value) and "UTF-8" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_a_spreadsheet_saves_has_a_mark_of_its_encoding(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "curves.txt"
    path.write_bytes("Epoch\tTest error (%)\r\n1\t50,5\r\n2\t40\r\n".replace(",", ".").encode(encoding))
    bring_in([path], tmp_path / "r", Target("resnet-20"))
    assert same(curve(tmp_path / "r"), [(391, NAN, 50.5), (781, NAN, 40)])


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (AIM, "metric.context.subset"),
        (MLFLOW, "Metric Name"),
        ("epoch,of,acc\n1,train-augmented,45\n1,test,50\n", "of"),
        ("epoch,of,acc\n1,train,45\n1,val,50\n", "of"),
    ],
)
def test_what_a_row_is_of_is_no_run(text: str, column: str, tmp_path: Path) -> None:
    """Or training would be a run, and the test another: training accuracy as the test error of seed 0."""
    with pytest.raises(UserError, match=r"says what a row is of .*, no run: give --column .*=split"):
        bring_in([file(tmp_path, text)], tmp_path / "r", Target("resnet-20", columns={column: "seed"}))
    assert not (tmp_path / "r").exists()


def test_a_number_of_both_splits_is_of_neither_alone(tmp_path: Path) -> None:
    path = file(tmp_path, "name,x,y\ntrain,1,55\ntrain,2,45\ntest,1,50\ntest,2,40\n")
    told = {"row": "epoch", "x": "ignore", "y": "test_error"}
    with pytest.raises(UserError, match=r"there is no such column: they are .*train y, test y"):
        bring_in([path], tmp_path / "r", Target("resnet-20", columns=told))
    told = {"x": "epoch", "train y": "train_error", "test y": "test_error"}
    bring_in([path], tmp_path / "r", Target("resnet-20", columns=told))
    assert same(curve(tmp_path / "r"), [(391, 55, 50), (781, 45, 40)])


def test_a_split_that_no_file_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--column of: there is no such column"):
        bring_in([file(tmp_path, KERAS)], tmp_path / "r", Target("resnet-20", columns={"of": "split"}))


def test_names_of_runs_are_numbered_as_seeds(tmp_path: Path) -> None:
    said = bring_in([file(tmp_path, MLFLOW)], tmp_path / "r", Target("resnet-20", columns={"Run ID": "seed"}))
    assert len(said) == 2
    runs = collect([Source("x", tmp_path / "r")]).runs.set_index("seed")[["train_error", "test_error", "iterations"]]
    assert runs.to_dict("list") == {"train_error": [50, 49], "test_error": [40, 39], "iterations": [781, 781]}


def test_the_command_takes_several_files_and_what_their_columns_are(tmp_path: Path, elsewhere, capsys) -> None:
    (tmp_path / "results" / "local").mkdir(parents=True)
    train = file(tmp_path, "iteration,train_error\n1000,40\n64000,30\n", "train.csv")
    test = file(tmp_path, TENSORBOARD.replace("390", "64000").replace("780", "63000"), "run-tag-acc.csv")
    words = ["--import-curves", str(train), "--import-curves", str(test), "--as", "theirs", "--network", "resnet-20"]
    assert report.main([*words, "--out", str(tmp_path / "o")]) == 1
    assert not (tmp_path / "results" / "theirs").exists(), "all of it, or nothing"
    assert "--column COLUMN=WHAT" in capsys.readouterr().err
    assert report.main([*words, "--column", "Value=test_accuracy", "--out", str(tmp_path / "o")]) == 0
    assert "Value read as test accuracy in percent" in capsys.readouterr().out
    assert same(curve(tmp_path / "results" / "theirs"), [(1000, 40, NAN), (63_000, NAN, 43.1), (64_000, 30, 54.2)])
    (page,) = (tmp_path / "o" / "runs").glob("theirs--*.html")
    assert "training error (%), last value" in page.read_text(encoding="utf-8")
    for wrong in (["--column", "Value"], ["--column", "Value=acc"], ["--batch", "0"]):
        assert report.main([*words, *wrong, "--out", str(tmp_path / "o")]) == 2


WORDS = [
    "epoch",
    "Step",
    "iteration",
    "train/acc",
    "val_accuracy",
    "test_error",
    "accuracy",
    "network",
    "seed",
    "x",
    "mode",
    "top1",
]
CELLS = st.sampled_from(["", "0", "1", "0.5", "57", "1e400", "nan", "resnet-20", '"', "1,5"]) | st.text(max_size=4)


@given(
    begin=st.sampled_from(["", "", "[", "{", '{"epoch": [1, 2], "top1": ', '{"mode": 1, "step": 2, "val/acc": 3}\n']),
    header=st.lists(st.sampled_from(WORDS) | st.text(max_size=6), max_size=5),
    rows=st.lists(st.lists(CELLS, max_size=5), max_size=5),
    mark=st.sampled_from([",", ";", "\t"]),
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_table_is_read_or_refused_in_a_line(
    begin: str, header: list, rows: list, mark: str, tmp_path: Path
) -> None:
    path = tmp_path / "any.csv"
    path.write_text(
        begin + "\n".join(mark.join(cells) for cells in [header, *rows]), encoding="utf-8", errors="replace"
    )
    try:
        bring_in([path], tmp_path / "fuzz", Target("resnet-20"))
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000


CELL = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["train", "1"])
JSON = st.recursive(
    CELL,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)


@given(content=JSON | st.lists(st.dictionaries(st.sampled_from(WORDS), CELL), max_size=4), by_line=st.booleans())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_read_or_refused_in_a_line(content: object, by_line: bool, tmp_path: Path) -> None:
    path = tmp_path / "any.json"
    rows = content if by_line and isinstance(content, list) else [content]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8", errors="replace")
    try:
        bring_in([path], tmp_path / "fuzz", Target("resnet-20", columns={"row": "epoch"}))
    except UserError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000


def test_two_files_that_both_have_a_number_of_one_run_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    """Two legs whose epochs both begin at 1: either would replace the other."""
    legs = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for leg in legs:
        leg.write_text("epoch,train_error,test_error\n1,60,65\n2,20,25\n")
    with pytest.raises(UserError, match=r"b\.csv: has train_error of resnet-20 seed 0, and so has .*a\.csv: join them"):
        bring_in(legs, tmp_path / "results", Target(network="resnet-20"))
    assert not (tmp_path / "results").exists()
    legs[1].write_text("epoch,test_loss,test_error\n1,2,65\n")
    legs[0].write_text("epoch,train_error\n1,60\n2,20\n")
    assert len(bring_in(legs, tmp_path / "results", Target(network="resnet-20"))) == 2
