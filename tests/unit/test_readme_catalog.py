"""The README's ownership matrix is what the contracts say."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from lockgate.cli.catalog import catalog
from lockgate.cli.options import Project

ROOT = Path(__file__).resolve().parents[2]


def test_the_ownership_matrix_in_the_readme_is_current() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- catalog -->\n(.*?)\n<!-- /catalog -->", readme, re.DOTALL)
    assert found is not None
    printed = CliRunner().invoke(catalog, [], obj=Project(ROOT))
    assert found[1].strip() == printed.output.strip()
