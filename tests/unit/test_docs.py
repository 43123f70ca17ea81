"""The documentation: numbers of decisions, every page listed, links that lead somewhere, commands that exist."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lockgate.cli.main import _root

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")))
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors that forges make of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = Counter(page.name[:4] for page in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [number for number, count in numbers.items() if count > 1 or not number.isdigit()] == []


def test_the_readme_lists_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in ROOT.glob("docs/*.md") if f"(docs/{page.name})" not in readme] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for target, anchor in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))):
        there = (page.parent / target).resolve() if target else page
        if not there.exists() or (anchor and anchor[1:] not in anchors(there)):
            lost.append(target + anchor)
    assert lost == []


def shown(page: Path) -> Iterator[str]:
    """Yield what a page tells people to type: from its code blocks and from what stands between backquotes."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```(?:bash|sh|yaml)?\n(.*?)^```", text, re.M | re.S):
        yield from re.findall(r"(?:^|[;&|] |\d )\s*(?:\$ )?(lockgate (?!import\b).*)$", block, re.M)
    yield from re.findall(r"`(lockgate [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def mistakes(line: str) -> Iterator[str]:
    """Yield what of a line is no command or no option."""
    words = re.split(r" #|[|>;&)]", line.replace("[", " ").replace("]", " "))[0].split()[1:]
    command: click.Command = _root
    context = click.Context(command)
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            name = word.partition("=")[0]
            option = next((o for o in command.params if name in (*o.opts, *o.secondary_opts)), None)
            if option is None and name not in ("-h", "--help"):
                yield f"{line}: {name}"
            elif option is not None and "=" not in word and not getattr(option, "is_flag", False) and words:
                words.pop(0)
        elif isinstance(command, click.Group):
            found = command.get_command(context, word.strip(",.…"))
            if found is None:
                yield f"{line}: {word}"
                return
            command = found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    assert [mistake for line in shown(page) for mistake in mistakes(line)] == []


def test_a_command_or_an_option_that_does_not_exist_is_found() -> None:
    assert list(mistakes("lockgate plan --save FILE --no-such x")) == [
        "lockgate plan --save FILE --no-such x: --no-such"
    ]
    assert list(mistakes("lockgate dlq mend ID")) == ["lockgate dlq mend ID: mend"]
    assert list(mistakes("lockgate -C ../contracts schemas check --against git:main  # text")) == []
    assert sum(1 for page in PAGES for _ in shown(page)) > 80
