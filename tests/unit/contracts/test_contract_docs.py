"""The reference in docs/contracts.md: its examples load, and say what really happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lockgate.contracts.load import load
from lockgate.errors import ContractsError
from tests.projects import write_project

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "contracts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def files() -> dict[str, str]:
    """Return the examples as files, and those that they mention without showing them."""
    schema = next(text for language, text in BLOCKS if language == "json")
    shown = {text.split("\n", 1)[0].removeprefix("# "): text for language, text in BLOCKS if language == "yaml"}
    weight = '{"type": "record", "name": "Weight", "namespace": "common", "fields": [{"name": "g", "type": "long"}]}'
    return {
        **shown,
        "schemas/parcels/ParcelSent.avsc": schema,
        "schemas/parcels/ParcelLost.avsc": schema.replace("ParcelSent", "ParcelLost"),
        "schemas/common/Weight.avsc": weight,
    }


def test_the_examples_load(tmp_path: Path, files: dict[str, str]) -> None:
    contracts = load(write_project(tmp_path, files))
    assert [domain.name for domain in contracts.domains] == ["parcels"]
    assert [service.folder for service in contracts.services] == ["tracking"]
    assert contracts.workload("tracker").retry_ms == (1_000, 30_000, 600_000)


def test_the_errors_of_a_grant_that_one_side_makes_are_quoted_as_they_are(
    tmp_path: Path, files: dict[str, str]
) -> None:
    domain = "schemas/parcels/domain.yaml"
    files[domain] = files[domain].replace("readers: [tracker]", "readers: [depot]")
    with pytest.raises(ContractsError) as caught:
        load(write_project(tmp_path, files))
    quoted = next(text for _, text in BLOCKS if "consumes nothing of" in text)
    assert [str(problem) for problem in caught.value.problems] == quoted.splitlines()
