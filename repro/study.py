"""Studies: reads experiments/*.toml, applies a preset and overrides, yields Runs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, fields, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from repro import names as network_names
from repro.checked import Text, Whole, checked, flattened
from repro.data.table import DATA_SETS
from repro.errors import UserError, unknown
from repro.names import Family
from repro.places import EXPERIMENTS
from repro.spec import AtLeastOne, Run, fields_of, override

#: Larger than any study a person writes; a file beyond it is refused unread.
LARGEST_FILE = 1_000_000
#: Whose networks each family's are.
SECTIONS: dict[Family, str] = {"cifar": "Section 4.2's", "imagenet": "Table 1's"}


def _preset(name: str) -> str:
    if name not in presets():
        raise unknown("preset", name, presets())
    return name


def _shown(text: str) -> str:
    if not text.replace("\n", "").isprintable():
        raise PydanticCustomError("hidden", "a text that can be shown")
    return text


Words = Annotated[Text, AfterValidator(_shown)]
PresetName = Annotated[Text, AfterValidator(_preset)]
Settings = Annotated[Mapping[str, Any], AfterValidator(flattened)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Study:
    """A file of experiments/: a question, and the networks and settings whose runs answer it."""

    name: str
    title: Words
    question: Words
    expected: Words
    #: By the shortest of their names, each once: resnet-20-A is resnet-20.
    networks: Annotated[tuple[Words, ...], Field(min_length=1)]
    #: What the paper shows of it; a study of one's own may have nothing there.
    paper: Words = ""
    seeds: Annotated[tuple[Whole, ...], Field(min_length=1)] = (0,)
    #: Settings of every run, and alternatives of them: each run is repeated once per variant.
    settings: Settings = field(default_factory=dict)
    variants: Annotated[tuple[Settings, ...], Field(min_length=1)] = ({},)
    #: Networks that stop after an iteration of their unchanged schedule, to be carried on by whoever has the time:
    #: --stop-at takes the place of these, and one at the end of the schedule lifts them.
    stop_at: Mapping[Words, AtLeastOne] = field(default_factory=dict)
    #: What a preset changes of this study: its networks, seeds, settings, variants or stop_at.
    presets: Mapping[PresetName, Mapping[str, Any]] = field(default_factory=dict)
    #: The presets for whose iterations and images its numbers are made; others are refused. Empty: all will do.
    sized_for: tuple[PresetName, ...] = ()
    #: Of its networks; it runs at the presets of this family alone.
    family: Family = "cifar"

    def __post_init__(self) -> None:
        # A frozen value is set this way alone; which names are one is known once the family is.
        object.__setattr__(self, "networks", tuple(dict.fromkeys(map(self._shortest, self.networks))))
        object.__setattr__(self, "stop_at", {self._shortest(name): at for name, at in self.stop_at.items()})
        for network in self.stop_at:
            if network not in self.networks:
                raise unknown("network of stop_at", network, self.networks)

    def _shortest(self, network: str) -> str:
        return str(network_names.parse(network, self.family))

    def fits(self, preset: str) -> bool:
        """Whether its networks are of a preset's family, and its numbers made for it."""
        return family_of(preset) == self.family and (not self.sized_for or preset in self.sized_for)

    def for_preset(self, preset: str) -> Study:
        """The study as one preset runs it."""
        study = _study({**vars(self), **self.presets.get(preset, {}), "presets": {}})
        return replace(study, settings={**self.settings, **study.settings})

    def runs(
        self,
        preset: str,
        *,
        seeds: Sequence[int] | None = None,
        only: Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        data: str | None = None,
    ) -> list[Run]:
        """The runs of this study at a preset, without repetition, in the order of the file.

        Args:
            preset: a name from experiments/presets.toml.
            seeds: instead of the study's own.
            only: of the study's networks, these.
            settings: dotted settings that override preset and study.
            data: name of the data set, instead of the preset's.

        Raises:
            UserError: an unknown preset, or one that the study's numbers do not fit; an unknown network of `only`, or
                setting.
        """
        if preset in presets() and family_of(preset) != self.family:
            known = ", ".join(name for name in presets() if family_of(name) == self.family)
            raise UserError(f"study {self.name!r} trains {SECTIONS[self.family]} networks: its presets are {known}")
        if preset in presets() and not self.fits(preset):
            raise UserError(
                f"study {self.name!r} has numbers for {', '.join(self.sized_for)} alone: give it those for {preset} "
                f"under [presets.{preset}] in its file, and add {preset} to sized_for there"
            )
        study = self.for_preset(preset)
        only = [self._shortest(name) for name in only or ()]
        for name in only:
            if name not in study.networks:
                raise UserError(f"study {self.name!r} has no network {name!r}: it has {', '.join(study.networks)}")
        found: dict[PurePosixPath, Run] = {}
        for network in study.networks:
            if only and network not in only:
                continue
            for variant in study.variants:
                for seed in seeds if seeds is not None else study.seeds:
                    base = preset_run(preset, network, seed, data)
                    run = _with_settings(base, {**study.settings, **variant, **(settings or {})})
                    found[run.path] = run
        return list(found.values())


def preset_run(preset: str, network: str, seed: int = 0, data: str | None = None) -> Run:
    """The run of one network as a preset has it."""
    values = {key: value for key, value in presets()[_preset(preset)].items() if key != "summary"}
    own = {"preset": preset, "seed": seed, **({"data": data} if data else {})}
    return override(Run(network), {**values, **own})


def _with_settings(base: Run, settings: Mapping[str, Any]) -> Run:
    """Apply settings and name the run by those that depart from its preset."""
    for key in settings:
        if key in _NOT_SETTINGS:
            raise UserError(f"{key} is no setting of a run: use {_NOT_SETTINGS[key]}")
    if base.parsed.kind == "plain":
        # It has no residual functions: a study of these has its plain nets once.
        settings = {key: value for key, value in settings.items() if key != "model.block"}
    run = override(base, settings)
    _check_size(run)
    return override(run, {"variant": _variant(_changed(run, base))})


def _check_size(run: Run) -> None:
    """That photographs are cropped and small images are not, and that a network of Table 1 halves no map that is down
    to a pixel already, as digits through its 7x7 stem are.
    """
    least, row = {"7x7": 32, "3x3": 8}[run.model.stem], DATA_SETS.get(run.data)
    if row and (row.family == "imagenet") != bool(run.images.crop):
        what = "needs" if row.family == "imagenet" else "has no use for"
        raise UserError(
            f"{run.data} {what} images.crop, which preset {run.preset} sets: give another --preset or --data"
        )
    if run.family == "imagenet" and row and (size := run.images.crop or min(row.shape[1:])) < least:
        raise UserError(
            f"{run.network} with the stem {run.model.stem} needs images of {least} pixels or more, "
            f"and those of {run.data} have {size}: set model.stem=3x3"
        )


def _changed(run: Run, base: Run) -> dict[str, Any]:
    ours, theirs = fields_of(run), fields_of(base)
    return {key: ours[key] for key in sorted(ours) if key not in _NOT_SETTINGS and ours[key] != theirs[key]}


def _variant(settings: Mapping[str, Any]) -> str:
    return ",".join(f"{key}={_text(value)}" for key, value in settings.items())


@cache
def settings_of(run: Run) -> dict[str, Any]:
    """The settings by which a run departs from its preset, as its variant says.

    Empty where they are not known: the preset is none of this project's, or has changed since the run.
    """
    if run.preset not in presets():
        return {}
    changed = _changed(run, preset_run(run.preset, run.network, run.seed, run.data))
    return changed if _variant(changed) == run.variant else {}


_NOT_SETTINGS = {
    "network": "networks of the study, or --only",
    "data": "--data",
    "family": "--preset: presets say it",
    "preset": "--preset",
    "seed": "seeds of the study, or --seeds",
    "variant": "settings: they name the variant",
}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "-".join(str(item) for item in value)
    return str(value)


def data_words(preset: str, data: str) -> list[str]:
    """What has `repro.run` train on a data set, after its --preset; CIFAR-10 lies in DIR.

    Raises:
        UserError: an unknown preset.
    """
    words = [] if data == preset_run(preset, "resnet-20").data else ["--data", data]
    return words + (["--data-dir", "DIR"] if data not in DATA_SETS or DATA_SETS[data].in_folder else [])


@cache
def presets() -> dict[str, dict[str, Any]]:
    """All presets by name, their settings flattened to dotted names; 'summary' describes each."""
    path = EXPERIMENTS / "presets.toml"
    found = {}
    for name, values in _read_toml(path).items():
        if not isinstance(values, Mapping) or not isinstance(values.get("summary"), str):
            raise UserError(f'{path}: {name}: a table with a summary is needed: [{name}], then summary = "what it is"')
        found[name] = flattened(values)
        for key in found[name]:
            if key in _NOT_SETTINGS and key not in ("data", "family"):
                raise UserError(f"{path}: {name}: {key} is no setting of a preset: use {_NOT_SETTINGS[key]}")
    return found


def family_of(preset: str) -> Family:
    """The family of a preset's networks; "cifar" for one that is not known here."""
    family: Family = presets().get(preset, {}).get("family", "cifar")
    return family


def names() -> list[str]:
    """The names of all studies."""
    return sorted(path.stem for path in EXPERIMENTS.glob("*.toml") if path.stem != "presets")


def load(name: str) -> Study:
    """Read a study by its name, or from a file whose path ends in .toml.

    Raises:
        UserError: no such study (the nearest is named), or a file that is not a study: which file, what is wrong.
    """
    path = Path(name) if name.endswith(".toml") else EXPERIMENTS / f"{name}.toml"
    if not name.endswith(".toml") and name not in names():
        raise _no_study(name)
    try:
        table = _read_toml(path)
        if "name" in table:
            raise UserError("name is given: a study has that of its file, leave it out")
        study = _study({"name": name, **table})
        for preset in study.presets:
            study.for_preset(preset)
        return study
    except UserError as error:
        text = str(error)
        raise UserError(text if str(path) in text else f"{path}: {text}") from error


def _no_study(name: str) -> UserError:
    """What a word is, where it is no study's name."""
    if name in presets():
        return UserError(f"{name} is a preset: give a study, as in python -m repro.run degradation --preset {name}")
    shortest: dict[Family, str] = {}
    for family in get_args(Family):
        with suppress(UserError):
            shortest[family] = str(network_names.parse(name, family))
    if not shortest:
        return unknown("study", name, names())
    training = [study for study in map(load, names()) if shortest.get(study.family) in study.networks]
    how = "name it in an experiment file of your own"
    if training:
        study = max(training, key=lambda study: len(study.networks))
        preset = "" if study.fits("demo") else f" --preset {next(filter(study.fits, presets()))}"
        how = f"python -m repro.run {study.name}{preset} --only {shortest[study.family]}"
    return UserError(f"{name} is a network, which a study trains: {how}")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: is no file")
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{path}: larger than {LARGEST_FILE:,} bytes, no experiment file")
        return _parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as an experiment file: {error}") from error


def _parse(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        ValueError: it is none, or holds numbers longer or tables deeper than Python reads.
    """
    try:
        table = tomllib.loads(text)
        repr(table)  # dotted keys are read to any depth, but what follows goes through them level by level
    except RecursionError as error:
        raise ValueError("its tables or lists are nested too deep") from error
    return table


_STUDIES = TypeAdapter(Study)


def _study(table: Mapping[str, Any]) -> Study:
    study: Study = checked(_STUDIES, table, (item.name for item in fields(Study)), "key")
    return study


_EXAMPLES = {"--set": "schedule.iterations=4000", "--slurm": "time=240"}


def parse_settings(pairs: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """Read the KEY=VALUE words of an option of a command line; the value is TOML, or else a text.

    Raises:
        UserError: a word without '='.
    """
    settings = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise UserError(f"{option} {pair}: KEY=VALUE is needed, such as {_EXAMPLES[option]}")
        try:
            table = _parse(f"value = {text}")
        except ValueError:
            table = {}
        settings[key.strip()] = table["value"] if table.keys() == {"value"} else text.strip()
    return settings
