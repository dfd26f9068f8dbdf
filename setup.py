"""Puts experiments/, which lies beside the package, into it. All else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["repro*"]), "repro.experiments"],
    package_dir={"repro.experiments": "experiments"},
)
