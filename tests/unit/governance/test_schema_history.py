"""Where a schema's versions come from: git's first-parent history, through renames, moves and removals."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lockgate.contracts.load import load
from lockgate.errors import UsageError
from lockgate.governance.check import against_git
from lockgate.governance.findings import Comparison, Finding, Verdict
from tests.projects import PROJECT, Files, write_project
from tests.repositories import Git, new_repository

WATERED = "schemas/garden/Watered.avsc"
PLANTED = "schemas/garden/Planted.avsc"
GARDEN = "schemas/garden/domain.yaml"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Git:
    """Return a repository whose second commit holds the project of the tests."""
    git = new_repository(tmp_path_factory.mktemp("template"))
    write(git)
    git.commit("the project")
    return git


@pytest.fixture
def git(template: Git, tmp_path: Path) -> Git:
    """Return a copy of that repository: it takes a tenth of the time that git would take to make it."""
    shutil.copytree(template.root, tmp_path, dirs_exist_ok=True)
    return Git(tmp_path)


def write(git: Git, files: Files | None = None) -> None:
    """Write the project with some files in place of its own; None takes one away."""
    changes = files or {}
    write_project(git.root, {**PROJECT, **changes})
    for name, content in changes.items():
        if content is None:
            (git.root / name).unlink(missing_ok=True)


def watered(*fields: str) -> dict[str, str]:
    text = ",\n    ".join(('{"name": "bed", "type": "string"}', *fields))
    head = '  "type": "record", "name": "Watered", "namespace": "garden",'
    return {WATERED: f'{{\n{head}\n  "fields": [\n    {text}\n  ]\n}}\n'}


def domain(**changes: str) -> dict[str, str]:
    text = PROJECT[GARDEN]
    for old, new in changes.items():
        line = next(line for line in text.splitlines() if line.startswith(old))
        text = text.replace(line, new)
    return {GARDEN: text}


TRANSITIVE = domain(compatibility="compatibility: BACKWARD_TRANSITIVE")
LITRES = '{"name": "litres", "type": "int"}'
LITRES_OR_NONE = '{"name": "litres", "type": "int", "default": 0}'


def checked(git: Git, ref: str | None = "HEAD") -> Verdict:
    return against_git(load(git.root), ref)


def of(verdict: Verdict, event_type: str) -> Comparison:
    (found,) = [one for one in verdict.comparisons if one.event_type == event_type]
    return found


def rules(found: Comparison | Verdict) -> list[str]:
    return [finding.rule for finding in found.findings if finding.kind != "unsafe"]


def only(found: Comparison) -> Finding:
    (finding,) = [one for one in found.findings if one.kind != "unsafe"]
    return finding


def test_every_content_of_the_history_is_a_version(git: Git) -> None:
    write(git, {**TRANSITIVE, **watered(LITRES_OR_NONE)})
    second = git.commit()
    write(git, TRANSITIVE)
    third = git.commit()  # the first content again, and so the latest
    write(git, {**TRANSITIVE, **watered(LITRES)})
    found = of(checked(git), "garden.Watered")
    assert found.names == (f"git:{second}", f"git:{third}")
    assert only(found).earlier == f"git:{third}"


def test_what_breaks_only_an_older_version_breaks_at_transitive_levels_only(git: Git) -> None:
    first = git("rev-parse", "HEAD")[:12]
    write(git, {**TRANSITIVE, **watered(LITRES_OR_NONE)})
    git.commit()
    write(git, {**TRANSITIVE, **watered(LITRES)})
    assert only(of(checked(git), "garden.Watered")).earlier == f"git:{first}"
    backward = domain(compatibility="compatibility: BACKWARD")
    write(git, {**backward, **watered(LITRES_OR_NONE)})
    git.commit()
    write(git, {**backward, **watered(LITRES)})
    assert checked(git).compatible


def test_what_is_the_same_with_several_versions_is_shown_with_the_latest(git: Git) -> None:
    write(git, {**TRANSITIVE, **watered(LITRES_OR_NONE.replace("litres", "minutes"))})
    git.commit()
    write(git, {**TRANSITIVE, **watered(LITRES_OR_NONE.replace("litres", "minutes"), LITRES)})
    found = [one for one in of(checked(git), "garden.Watered").findings if one.kind == "breaking"]
    assert [one.place for one in found] == ["litres", "litres"]
    older, latest = found
    assert older.witness is None
    assert latest.witness is not None
    assert (latest.witness.found, latest.witness.datum) == (True, {"bed": "", "minutes": 0})


def test_only_what_came_to_the_first_parents_is_a_version(git: Git) -> None:
    write(git, TRANSITIVE)
    git.commit()
    git("checkout", "-q", "-b", "side")
    write(git, {**TRANSITIVE, **watered('{"name": "tried", "type": "long", "default": 0}')})
    tried = git.commit()
    write(git, {**TRANSITIVE, **watered(LITRES_OR_NONE)})
    git.commit()
    git("checkout", "-q", "main")
    git("merge", "-q", "--no-ff", "-m", "merge", "side")
    merged = git("rev-parse", "HEAD")[:12]
    write(git, {**TRANSITIVE, **watered(LITRES_OR_NONE, LITRES.replace("litres", "minutes"))})
    names = of(checked(git), "garden.Watered").names
    assert f"git:{tried}" not in names
    assert names[-1] == f"git:{merged}"
    assert len(names) == 2


def test_a_shared_type_makes_versions_of_each_event_type_that_bundles_it(git: Git) -> None:
    plant = PROJECT["schemas/garden/Plant.avsc"].replace('"BEAN"]', '"BEAN", "LEEK"]')
    write(git, {"schemas/garden/Plant.avsc": plant})
    verdict = checked(git)
    found = of(verdict, "garden.Planted")
    finding = only(found)
    assert (finding.direction, finding.rule) == ("forward", "MISSING_ENUM_SYMBOLS")
    # each side is placed in the shared type's own file, on the line of the symbols
    assert str(finding.location) == "schemas/garden/Plant.avsc:5"
    commit = git("rev-parse", "HEAD")[:12]
    assert finding.reader_at == f"git:{commit}:schemas/garden/Plant.avsc:5"
    assert finding.writer_at == "schemas/garden/Plant.avsc:5"
    assert of(verdict, "garden.Watered").status == "unchanged"


def test_both_sides_have_their_lines(git: Git) -> None:
    write(git, watered(LITRES_OR_NONE))
    litres = git.commit()
    write(git, watered('{"name": "note", "type": "string", "default": ""}', LITRES.replace("int", "string")))
    found = [one for one in of(checked(git), "garden.Watered").findings if one.rule == "TYPE_MISMATCH"]
    assert {str(one.location) for one in found} == {f"{WATERED}:6"}
    assert {one.earlier_at for one in found} == {f"git:{litres}:{WATERED}:5"}


def test_who_reads_and_writes_is_told_with_the_order_to_upgrade_in(git: Git) -> None:
    write(git, watered(LITRES))
    found = of(checked(git), "garden.Watered")
    assert [str(who) for who in found.readers] == ["kitchen-service.garden (Chefs, @chefs)"]
    assert [str(who) for who in found.writers] == ["gardener (Green, @green)"]
    # new readers need what old writers have not written; old readers do not miss it
    assert (only(found).direction, found.order) == ("backward", "producers-first")
    write(git, watered(LITRES_OR_NONE))
    assert of(checked(git), "garden.Watered").order == "any"


def test_a_level_that_does_not_ask_for_it_still_tells_the_order(git: Git) -> None:
    level = domain(compatibility="compatibility: BACKWARD")
    write(git, {**level, **watered(LITRES)})
    git.commit()
    write(git, {**level, **watered()})
    found = of(checked(git), "garden.Watered")
    assert (found.status, found.order) == ("compatible", "consumers-first")


def renamed(name: str, **more: Any) -> dict[str, str | None]:
    old = PROJECT[WATERED]
    aliases = f', "aliases": {more["aliases"]}' if "aliases" in more else ""
    service = PROJECT["services/garden/service.yaml"].replace("garden.Watered", f"garden.{name}")
    kitchen = PROJECT["services/kitchen/service.yaml"].replace("garden.Watered", f"garden.{name}")
    return {
        WATERED: None,
        f"schemas/garden/{name}.avsc": old.replace('"Watered"', f'"{name}"{aliases}'),
        **domain(events=f"events: [Planted, {name}]", compatibility="compatibility: BACKWARD"),
        "services/garden/service.yaml": service,
        "services/kitchen/service.yaml": kitchen,
    }


@pytest.fixture
def backward(git: Git) -> Git:
    """Return the repository with the level BACKWARD."""
    write(git, domain(compatibility="compatibility: BACKWARD"))
    git.commit()
    return git


def test_a_rename_by_alias_carries_the_history_on_and_is_told_to_those_who_read(backward: Git) -> None:
    commit = backward("rev-parse", "HEAD")[:12]
    write(backward, renamed("Sprinkled", aliases='["Watered"]'))
    verdict = checked(backward)
    new, old = of(verdict, "garden.Sprinkled"), of(verdict, "garden.Watered")
    assert (new.renamed_from, new.status, len(new.names)) == ("garden.Watered", "unsafe", 1)
    assert (old.renamed_to, old.status, old.subject) == ("garden.Sprinkled", "renamed", "garden-garden.Watered")
    finding = only(old)
    assert (finding.kind, finding.rule) == ("removed", "EVENT_TYPE_RENAMED")
    assert finding.earlier_at == f"git:{commit}:{WATERED}:3"
    assert "kitchen-service.garden (Chefs, @chefs)" in finding.message
    assert "its alias says so" in finding.message
    assert "another subject, garden-garden.Sprinkled" in finding.message
    assert not verdict.compatible


def test_a_rename_without_alias_is_known_by_its_fields(backward: Git) -> None:
    write(backward, renamed("Sprinkled"))
    verdict = checked(backward)
    assert rules(of(verdict, "garden.Sprinkled")) == ["NAME_MISMATCH"]
    assert "nearly the same fields" in only(of(verdict, "garden.Watered")).message


def test_a_rename_that_lies_in_the_past_is_followed(backward: Git) -> None:
    files = renamed("Sprinkled", aliases='["Watered"]')
    write(backward, files)
    backward.commit()
    transitive = domain(events="events: [Planted, Sprinkled]", compatibility="compatibility: BACKWARD_TRANSITIVE")
    sprinkled = str(files["schemas/garden/Sprinkled.avsc"])
    write(backward, {**files, **transitive})
    backward.commit()
    added = sprinkled.replace('"fields": [', f'"fields": [{LITRES},')
    write(backward, {**files, **transitive, "schemas/garden/Sprinkled.avsc": added})
    found = of(checked(backward), "garden.Sprinkled")
    assert len(found.names) == 2
    assert str(found.findings[0].earlier_at).split(":")[2] == WATERED
    assert str(found.findings[1].earlier_at).split(":")[2] == "schemas/garden/Sprinkled.avsc"


def test_an_event_type_that_moves_to_another_domain_is_known_by_its_name(backward: Git) -> None:
    kitchen = PROJECT["schemas/kitchen/domain.yaml"]
    files: dict[str, str | None] = {
        WATERED: None,
        "schemas/kitchen/Watered.avsc": PROJECT[WATERED].replace('"garden"', '"kitchen"').replace("bed", "dish"),
        **domain(events="events: [Planted]", compatibility="compatibility: BACKWARD"),
        "schemas/kitchen/domain.yaml": kitchen.replace("[Cooked]", "[Cooked, Watered]"),
        "services/garden/service.yaml": PROJECT["services/garden/service.yaml"].replace(", garden.Watered", ""),
        "services/kitchen/service.yaml": PROJECT["services/kitchen/service.yaml"].replace(", garden.Watered", ""),
    }
    write(backward, files)
    verdict = checked(backward)
    assert of(verdict, "kitchen.Watered").renamed_from == "garden.Watered"
    finding = only(of(verdict, "garden.Watered"))
    assert finding.rule == "EVENT_TYPE_MOVED"
    assert "on another topic" in finding.message


def removed() -> dict[str, str | None]:
    return {
        WATERED: None,
        **domain(events="events: [Planted]"),
        "services/garden/service.yaml": PROJECT["services/garden/service.yaml"].replace(", garden.Watered", ""),
        "services/kitchen/service.yaml": PROJECT["services/kitchen/service.yaml"].replace(", garden.Watered", ""),
    }


def test_a_removal_is_told_where_somebody_read_it(git: Git) -> None:
    write(git, removed())
    verdict = checked(git)
    found = of(verdict, "garden.Watered")
    finding = only(found)
    assert (found.status, found.location, found.order) == ("removed", None, "consumers-first")
    assert (finding.kind, finding.rule, str(finding.location)) == ("removed", "EVENT_TYPE_REMOVED", f"{GARDEN}:5")
    assert "still read by kitchen-service.garden (Chefs, @chefs)" in finding.message
    assert not verdict.compatible


def test_what_nobody_reads_any_more_may_go(git: Git) -> None:
    kitchen = PROJECT["services/kitchen/service.yaml"].replace(", garden.Watered", "")
    write(git, {"services/kitchen/service.yaml": kitchen})
    git.commit()
    write(git, removed())
    verdict = checked(git)
    assert verdict.compatible
    assert of(verdict, "garden.Watered").status == "removed"


@pytest.mark.parametrize(("discard", "said"), [("", ["EVENT_TYPE_RETIRED"]), (", discard: [unread]", [])])
def test_what_is_retired_with_a_reason_does_not_shut_the_gate(git: Git, discard: str, said: list[str]) -> None:
    files = removed()
    files[GARDEN] = f"{files[GARDEN]}retired:\n  - {{event: Watered, reason: it rains{discard}}}\n"
    write(git, files)
    verdict = checked(git)
    found = of(verdict, "garden.Watered")
    assert (found.status, [finding.rule for finding in found.findings]) == ("retired", said)
    assert verdict.compatible
    assert verdict.says_no(fail_on_unsafe=True) == bool(said)
    for finding in found.findings:
        assert (finding.kind, str(finding.location).split(":")[0]) == ("unsafe", GARDEN)
        assert "it rains" in finding.message
        assert "kitchen-service.garden (Chefs, @chefs)" in finding.message


@pytest.mark.parametrize(
    ("entry", "status"),
    [
        ("{topic: garden, events: [kitchen.Cooked, garden.Watered], reason: moved}", "retired"),
        ("{topic: garden, events: [kitchen.Cooked], reason: moved}", "removed"),
        ("{topic: allotment, events: [garden.Watered], reason: moved}", "removed"),
    ],
)
def test_only_an_entry_for_the_very_subject_retires_it(git: Git, entry: str, status: str) -> None:
    files = removed()
    topic = "topic: {name: plot, partitions: 2, replication: 1, retention: 7d}"
    files |= domain(events="events: [Planted]", topic=topic)
    files[GARDEN] = f"{files[GARDEN]}retired:\n  - {entry}\n"
    write(git, files)
    verdict = checked(git)
    assert of(verdict, "garden.Watered").status == status
    # the one that is read all the same is on another topic now: no entry opens the gate for that
    planted = [one for one in verdict.comparisons if one.subject == "garden-garden.Planted"]
    assert [rules(one) for one in planted] == [["TOPIC_RENAMED"]]
    assert not verdict.compatible


def test_an_entry_that_speaks_of_the_new_topic_does_not_retire_what_was_on_the_old_one(git: Git) -> None:
    files = removed()
    topic = "topic: {name: plot, partitions: 2, replication: 1, retention: 7d}"
    files |= domain(events="events: [Planted]", topic=topic)
    files[GARDEN] = f"{files[GARDEN]}retired:\n  - {{event: Watered, reason: it rains}}\n"
    write(git, files)
    assert rules(of(checked(git), "garden.Watered")) == ["EVENT_TYPE_REMOVED"]


def test_a_topic_that_is_renamed_leaves_its_subjects_behind(git: Git) -> None:
    topic = "topic: {name: allotment, partitions: 2, replication: 1, retention: 7d}"
    write(git, domain(topic=topic))
    verdict = checked(git)
    found = [one for one in verdict.comparisons if one.subject == "garden-garden.Watered"]
    assert [rules(one) for one in found] == [["TOPIC_RENAMED"]]
    assert "becomes allotment-garden.Watered" in only(found[0]).message


def test_a_domain_that_is_gone_takes_its_event_types_along(git: Git) -> None:
    kitchen = PROJECT["services/kitchen/service.yaml"]
    write(
        git,
        {
            "schemas/kitchen/domain.yaml": None,
            "schemas/kitchen/Cooked.avsc": None,
            "services/kitchen/service.yaml": kitchen.replace(
                "  kitchen-service: {consumes: [kitchen.Cooked]}\n", ""
            ).replace("    publishes: [kitchen.Cooked]\n", ""),
        },
    )
    assert rules(of(checked(git), "kitchen.Cooked")) == ["EVENT_TYPE_REMOVED"]


def test_a_level_cannot_be_lowered_to_let_the_same_change_through(git: Git) -> None:
    write(git, {**domain(compatibility="compatibility: NONE"), **watered(LITRES)})
    verdict = checked(git)
    assert rules(verdict) == ["READER_FIELD_MISSING_DEFAULT_VALUE"]
    assert of(verdict, "garden.Watered").level == "FULL"
    (lowered,) = verdict.domains
    assert (lowered.kind, lowered.rule, str(lowered.location)) == ("unsafe", "COMPATIBILITY_LOWERED", f"{GARDEN}:4")
    git.commit("agreed upon")
    write(git, {**domain(compatibility="compatibility: NONE"), **watered(LITRES, LITRES.replace("litres", "minutes"))})
    assert checked(git).findings == ()


def test_another_team_that_owns_a_domain_is_told_and_another_contact_is_not(git: Git) -> None:
    write(git, {GARDEN: PROJECT[GARDEN].replace('"@green"', '"#green"')})
    assert checked(git).findings == ()
    write(git, {GARDEN: PROJECT[GARDEN].replace("team: Green", "team: Gold")})
    (finding,) = checked(git).findings
    assert (finding.kind, finding.rule, str(finding.location)) == ("unsafe", "OWNER_CHANGED", f"{GARDEN}:1")
    assert finding.message.startswith("garden is Green's in git:")


def test_a_level_that_is_raised_judges_what_is_there(git: Git) -> None:
    level = domain(compatibility="compatibility: NONE")
    write(git, level)
    git.commit()
    write(git, {**level, **watered(LITRES)})
    git.commit()
    write(git, {**TRANSITIVE, **watered(LITRES)})
    verdict = checked(git)
    assert verdict.domains == ()
    assert rules(of(verdict, "garden.Watered")) == ["READER_FIELD_MISSING_DEFAULT_VALUE"]


def test_on_main_the_first_parent_is_compared_with(git: Git) -> None:
    write(git, watered(LITRES))
    git.commit()
    assert rules(checked(git, None)) == ["READER_FIELD_MISSING_DEFAULT_VALUE"]
    git.commit("nothing of schemas")
    assert checked(git, None).findings == ()


def test_on_main_what_is_not_committed_is_compared_with_the_last_commit(git: Git) -> None:
    write(git, watered(LITRES_OR_NONE))
    last = git.commit()
    write(git, watered(LITRES))
    verdict = checked(git, None)
    assert of(verdict, "garden.Watered").source == f"git:{last}"


def test_the_first_commit_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    git = Git(tmp_path)
    git("init", "-q", "-b", "main")
    write(git)
    git.commit()
    assert {one.status for one in checked(git, None).comparisons} == {"new"}


def test_a_shallow_clone_is_refused_with_the_remedy(git: Git, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{tmp_path}", str(clone)], check=True)
    with pytest.raises(UsageError, match="shallow") as caught:
        checked(Git(clone))
    assert "git fetch --unshallow" in str(caught.value.next_step)


def test_a_repository_may_name_its_objects_in_another_way(tmp_path: Path) -> None:
    git = Git(tmp_path)
    git("init", "-q", "-b", "main", "--object-format=sha256")
    write(git)
    git.commit()
    assert {one.status for one in checked(git).comparisons} == {"unchanged"}
    write(git, watered(LITRES))
    assert rules(checked(git)) == ["READER_FIELD_MISSING_DEFAULT_VALUE"]


def test_what_was_deleted_and_comes_back_has_its_versions_still(git: Git) -> None:
    write(git, TRANSITIVE)
    first = git.commit()
    write(git, {**TRANSITIVE, **removed(), **domain(events="events: [Planted]")})
    git.commit()
    write(git, {**TRANSITIVE, **watered(LITRES)})
    found = of(checked(git), "garden.Watered")
    assert len(found.names) == 1
    assert only(found).earlier in (f"git:{first}", *found.names)


def test_names_of_files_need_not_be_plain(git: Git) -> None:
    notes = git.root / "schemas" / "garden" / "nötes \t.txt"
    notes.write_text("no schema", encoding="utf-8")
    git.commit()
    write(git, watered(LITRES))
    assert rules(checked(git)) == ["READER_FIELD_MISSING_DEFAULT_VALUE"]
