"""Studies: reads experiments/*.toml, applies a preset and overrides, yields Runs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from repro import names as network_names
from repro.errors import UserError, shown, unknown
from repro.spec import LARGEST, Run, fields_of, override

EXPERIMENTS = Path(__file__).resolve().parent.parent / "experiments"
#: Larger than any study a person writes; a file beyond it is refused unread.
LARGEST_FILE = 1_000_000


@dataclass(frozen=True)
class Study:
    """A file of experiments/: a question, and the networks and settings whose runs answer it."""

    name: str
    title: str
    question: str
    expected: str
    paper: str
    networks: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    #: Settings of every run, and alternatives of them: each run is repeated once per variant.
    settings: Mapping[str, Any] = field(default_factory=dict)
    variants: tuple[Mapping[str, Any], ...] = ({},)
    #: Networks that stop after an iteration of their unchanged schedule, to be carried on by whoever has the time:
    #: --stop-at takes the place of these, and one at the end of the schedule lifts them.
    stop_at: Mapping[str, int] = field(default_factory=dict)
    #: What a preset changes of this study: its networks, seeds, settings, variants or stop_at.
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    #: The presets for whose iterations and images its numbers are made; others are refused. Empty: all will do.
    sized_for: tuple[str, ...] = ()

    def fits(self, preset: str) -> bool:
        """Whether its numbers are made for a preset."""
        return not self.sized_for or preset in self.sized_for

    def for_preset(self, preset: str) -> Study:
        """The study as one preset runs it."""
        changes = dict(self.presets.get(preset, {}))
        settings = {**self.settings, **_settings(changes.pop("settings", {}))}
        return _study(self.name, {**_as_dict(self), **changes, "settings": settings, "presets": {}})

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
        if preset in presets() and not self.fits(preset):
            raise UserError(
                f"study {self.name!r} has numbers for {', '.join(self.sized_for)} alone: give it those for {preset} "
                f"under [presets.{preset}] in its file, and add {preset} to sized_for there"
            )
        study = self.for_preset(preset)
        only = [_shortest(name) for name in only or ()]
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


def _shortest(network: str) -> str:
    """The one name of a network: resnet-20-A is resnet-20, and trained once."""
    return str(network_names.parse(network, "cifar"))


def preset_run(preset: str, network: str, seed: int = 0, data: str | None = None) -> Run:
    """The run of one network as a preset has it."""
    values = presets().get(preset)
    if values is None:
        raise unknown("preset", preset, presets())
    values = {key: value for key, value in values.items() if key != "summary"}
    run = override(Run(network=network, preset=preset, seed=seed), values)
    return override(run, {"data": data}) if data else run


def _with_settings(base: Run, settings: Mapping[str, Any]) -> Run:
    """Apply settings and name the run by those that depart from its preset."""
    for key in settings:
        if key in _NOT_SETTINGS:
            raise UserError(f"{key} is no setting of a run: use {_NOT_SETTINGS[key]}")
    run = override(base, settings)
    ours, theirs = fields_of(run), fields_of(base)
    changed = {key: ours[key] for key in sorted(settings) if ours[key] != theirs[key]}
    return override(run, {"variant": ",".join(f"{key}={_text(value)}" for key, value in changed.items())})


_NOT_SETTINGS = {
    "network": "networks of the study, or --only",
    "data": "--data",
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
    return words + ([] if data == "digits" else ["--data-dir", "DIR"])


@cache
def presets() -> dict[str, dict[str, Any]]:
    """All presets by name, their settings flattened to dotted names; 'summary' describes each."""
    path = EXPERIMENTS / "presets.toml"
    found = {}
    for name, values in _read_toml(path).items():
        if not isinstance(values, Mapping) or not isinstance(values.get("summary"), str):
            raise UserError(f'{path}: {name}: a table with a summary is needed: [{name}], then summary = "what it is"')
        found[name] = _flatten(values)
        for key in found[name]:
            if key in _NOT_SETTINGS and key != "data":
                raise UserError(f"{path}: {name}: {key} is no setting of a preset: use {_NOT_SETTINGS[key]}")
    return found


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
        raise unknown("study", name, names())
    try:
        study = _study(name, _read_toml(path))
        for preset in study.presets:
            study.for_preset(preset)
        return study
    except UserError as error:
        text = str(error)
        raise UserError(text if str(path) in text else f"{path}: {text}") from error


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


def _study(name: str, table: Mapping[str, Any]) -> Study:
    """Check a table of a file, key by key."""
    texts = ("title", "question", "expected", "paper")
    known = (*texts, "networks", "seeds", "settings", "variants", "stop_at", "presets", "sized_for")
    for key in table:
        if key not in known:
            raise unknown("key", key, known)
    for key in texts:
        text = table.get(key)
        if not isinstance(text, str):
            raise UserError(f"{key} is {'no text' if key in table else 'missing'}: a text is needed")
        if not text.replace("\n", "").isprintable():
            raise UserError(f"{key} holds control characters: a text that can be shown is needed")
    networks = table.get("networks")
    if not _is_list_of(networks, str) or not networks:
        raise UserError('it names no network: networks = ["plain-20", ...] is needed')
    networks = list(dict.fromkeys(map(_shortest, networks)))
    seeds = table.get("seeds", [0])
    if not _is_list_of(seeds, int) or not seeds or not all(0 <= seed <= LARGEST for seed in seeds):
        raise UserError(f"seeds is {shown(seeds)}: a list of whole numbers from 0 is needed, such as [0, 1, 2]")
    variants = table.get("variants", [{}])
    if not _is_list_of(variants, Mapping) or not variants:
        raise UserError("variants must be a list of tables of settings")
    stops = table.get("stop_at", {})
    if (
        not isinstance(stops, Mapping)
        or not _is_list_of(list(stops.values()), int)
        or min(stops.values(), default=1) < 1
    ):
        raise UserError(f"stop_at is {shown(stops)}: a table of iterations by network is needed")
    for network in stops:
        if _shortest(network) not in networks:
            raise unknown("network of stop_at", network, networks)
    sized_for = table.get("sized_for", [])
    if not _is_list_of(sized_for, str):
        raise UserError(f"sized_for is {shown(sized_for)}: a list of presets is needed")
    for preset in sized_for:
        if preset not in presets():
            raise unknown("preset", preset, presets())
    presets_changed = table.get("presets", {})
    if not isinstance(presets_changed, Mapping):
        raise UserError("presets must be a table of presets")
    for preset, changes in presets_changed.items():
        if preset not in presets():
            raise unknown("preset", preset, presets())
        if not isinstance(changes, Mapping):
            raise UserError(f"presets.{preset} must be a table")
    return Study(
        name=name,
        networks=tuple(networks),
        seeds=tuple(seeds),
        settings=_settings(table.get("settings", {})),
        variants=tuple(_flatten(item) for item in variants),
        stop_at={_shortest(network): last for network, last in stops.items()},
        presets=presets_changed,
        sized_for=tuple(sized_for),
        **{key: table[key] for key in texts},
    )


def _as_dict(study: Study) -> dict[str, Any]:
    return {key: value for key, value in vars(study).items() if key != "name"}


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(item, kind) and not isinstance(item, bool) for item in value
    )


def _settings(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"settings is {shown(value)}: a table of settings is needed")
    return _flatten(value)


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted names: {"schedule": {"lr": 1}} becomes {"schedule.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


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
