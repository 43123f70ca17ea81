"""`retired`: what contracts no longer use, and what of it is a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockgate.contracts.load import load
from lockgate.contracts.model import Location, Retired
from lockgate.errors import ContractsError
from tests.projects import write_project

DOMAIN, SERVICE = "schemas/parcels/domain.yaml", "services/tracking/service.yaml"


def project(root: Path, domain: str = "", service: str = "") -> Path:
    """Write the smallest project, with lines added to its two contracts."""
    write_project(
        root,
        {
            DOMAIN: "owner: {team: Post, contact: x}\ntopic: {name: parcels}\nkey: id\nevents: [Sent]\n"
            "readers: [tracker]\nwriters: [depot]\n" + domain,
            "schemas/parcels/Sent.avsc": '{"type": "record", "name": "Sent", "namespace": "parcels", '
            '"fields": [{"name": "id", "type": "string"}]}',
            SERVICE: "name: tracking\nowner: {team: Post, contact: x}\nworkloads:\n"
            "  tracker: {consumes: [parcels.Sent]}\n  depot: {publishes: [parcels.Sent]}\n" + service,
        },
    )
    return root


def test_each_kind_of_entry_is_read_with_its_line(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        "retired:\n  - {event: Lost, reason: nothing gets lost}\n"
        "  - topic: letters\n    events: [letters.Sent]\n    reason: mail is over\n    discard: [unread]\n",
        "retired:\n  - {workload: sorter, topic: parcels, reason: nobody sorts, discard: [letters, unread]}\n",
    )
    assert load(root).retired == (
        Retired("event", "parcels.Lost", "parcels", (), "post", "nothing gets lost", frozenset(), Location(DOMAIN, 8)),
        Retired(
            "topic",
            "letters",
            None,
            ("letters.Sent",),
            "post",
            "mail is over",
            frozenset({"unread"}),
            Location(DOMAIN, 9),
        ),
        Retired(
            "workload",
            "sorter",
            "parcels",
            (),
            "post",
            "nobody sorts",
            frozenset({"letters", "unread"}),
            Location(SERVICE, 7),
        ),
    )


def test_without_entries_nothing_is_retired(tmp_path: Path) -> None:
    assert load(project(tmp_path)).retired == ()


@pytest.mark.parametrize(
    ("domain", "service", "message"),
    [
        (
            "retired:\n  - {event: Sent, reason: x}\n",
            "",
            "domain.yaml:8: retired: the event parcels.Sent is still declared",
        ),
        (
            "retired:\n  - {topic: parcels, reason: x}\n",
            "",
            "domain.yaml:8: retired: the topic parcels is still declared",
        ),
        (
            "",
            "retired:\n  - {workload: depot, reason: x}\n",
            f"{SERVICE}:7: retired: the workload depot is still declared",
        ),
        ("retired:\n  - {event: Lost}\n", "", "missing field retired[0].reason"),
        ("retired:\n  - {reason: x}\n", "", "retired[0]: expected one of topic or event, got none"),
        ("retired:\n  - {event: Lost, topic: letters, reason: x}\n", "", "got topic and event"),
        ("retired:\n  - {workload: sorter, reason: x}\n", "", "unknown field retired[0].workload"),
        ("", "retired:\n  - {event: Lost, reason: x}\n", "unknown field retired[0].event"),
        ("retired:\n  - {event: Lost, events: [a.B], reason: x}\n", "", "retired[0].events belongs to a topic"),
        ("retired:\n  - {topic: old, reason: x, discard: [all]}\n", "", "retired[0].discard: there is no all"),
        ("retired: [Lost]\n", "", "retired[0]: expected fields"),
        ("retired: {event: Lost}\n", "", "retired: expected a list"),
        (
            "retired:\n  - {event: Lost, reason: x}\n  - {event: Lost, reason: y}\n",
            "",
            f"{DOMAIN}:9: retired: the event parcels.Lost stands here twice; see also {DOMAIN}:8",
        ),
    ],
)
def test_each_mistake_is_reported(domain: str, service: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ContractsError) as caught:
        load(project(tmp_path, domain, service))
    assert message in caught.value.message
