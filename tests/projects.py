"""A small project of contract files, for tests that change one thing in it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from lockgate.contracts.load import load
from lockgate.errors import ContractsError

Files = Mapping[str, str | bytes | None]
"""Contents by path; None stands for a file that is not there."""


def _text(text: str) -> str:
    return textwrap.dedent(text).lstrip()


PROJECT: Mapping[str, str] = {
    "schemas/garden/domain.yaml": _text(
        """
        owner: {team: Green, contact: "@green"}
        topic: {name: garden, partitions: 2, replication: 1, retention: 7d}
        key: bed
        compatibility: FULL
        events: [Planted, Watered]
        readers: [garden-service, kitchen-service.garden]
        writers: [gardener]
        """
    ),
    "schemas/garden/Planted.avsc": _text(
        """
        {
          "type": "record",
          "name": "Planted",
          "namespace": "garden",
          "fields": [
            {"name": "bed", "type": "string"},
            {"name": "plant", "type": "garden.Plant"},
            {"name": "price", "type": "common.Price"}
          ]
        }
        """
    ),
    "schemas/garden/Watered.avsc": _text(
        """
        {
          "type": "record",
          "name": "Watered",
          "namespace": "garden",
          "fields": [
            {"name": "bed", "type": "string"}
          ]
        }
        """
    ),
    "schemas/garden/Plant.avsc": _text(
        """
        {
          "type": "enum",
          "name": "Plant",
          "namespace": "garden",
          "symbols": ["PEA", "BEAN"]
        }
        """
    ),
    "schemas/common/Price.avsc": _text(
        """
        {
          "type": "record",
          "name": "Price",
          "namespace": "common",
          "fields": [
            {"name": "cents", "type": "long"}
          ]
        }
        """
    ),
    "schemas/kitchen/domain.yaml": _text(
        """
        owner: {team: Chefs, contact: "@chefs"}
        topic: {name: kitchen}
        key: dish
        events: [Cooked]
        readers: [kitchen-service]
        writers: [kitchen-service.garden]
        """
    ),
    "schemas/kitchen/Cooked.avsc": _text(
        """
        {
          "type": "record",
          "name": "Cooked",
          "namespace": "kitchen",
          "fields": [
            {"name": "dish", "type": "string"}
          ]
        }
        """
    ),
    "services/garden/service.yaml": _text(
        """
        name: garden-service
        owner: {team: Green, contact: "@green"}
        workloads:
          garden-service: {consumes: [garden.Planted]}
          gardener: {publishes: [garden.Planted, garden.Watered]}
        """
    ),
    "services/kitchen/service.yaml": _text(
        """
        name: kitchen-service
        owner: {team: Chefs, contact: "@chefs"}
        workloads:
          kitchen-service: {consumes: [kitchen.Cooked]}
          kitchen-service.garden:
            consumes: [garden.Planted, garden.Watered]
            publishes: [kitchen.Cooked]
            retry: [1s, 1m]
        """
    ),
}


def write_project(root: Path, files: Files = PROJECT) -> Path:
    """Write a project's files below `root` and return it."""
    for name, content in files.items():
        if content is not None:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def changed(name: str, old: str, new: str) -> dict[str, str | bytes | None]:
    """Return one file of the project with one part replaced."""
    content = PROJECT[name]
    assert old in content, f"{name} does not hold {old!r}"
    return {name: content.replace(old, new, 1)}


def mistakes(root: Path, files: Files) -> list[str]:
    """Return what is said about the project with these files in place of its own."""
    with pytest.raises(ContractsError) as caught:
        load(write_project(root, {**PROJECT, **files}))
    return [str(problem) for problem in caught.value.problems]
