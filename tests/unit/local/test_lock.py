from __future__ import annotations

import re

import pytest

from lockgate.errors import StackError
from lockgate.local.lock import locked

GOOD = "kafka org.example:thing:jar:1.2 10 " + "a" * 64


def test_a_coordinate_is_a_path_in_a_maven_repository() -> None:
    (artifact,) = locked(GOOD)
    assert artifact.path == "org/example/thing/1.2/thing-1.2.jar"


def test_a_classifier_goes_behind_the_version() -> None:
    (artifact,) = locked("registry org.example:thing:tar.gz:all:1.2 10 " + "b" * 64)
    assert artifact.path == "org/example/thing/1.2/thing-1.2-all.tar.gz"
    assert artifact.file == "thing-1.2-all.tar.gz"


def test_comments_and_empty_lines_are_passed_over() -> None:
    assert len(locked(f"# made by hand\n\n{GOOD}\n")) == 1


@pytest.mark.parametrize(
    "line",
    ["kafka", GOOD.replace("a" * 64, "a"), GOOD.replace("kafka ", "other "), GOOD.replace(" 10 ", " ten ")],
)
def test_a_malformed_line_is_named_by_its_number(line: str) -> None:
    with pytest.raises(StackError, match=r"jars\.lock:2: "):
        locked(f"{GOOD}\n{line}")


def test_the_shipped_lock_is_whole() -> None:
    artifacts = locked()
    assert len({artifact.path for artifact in artifacts}) == len(artifacts)
    assert all(re.fullmatch(r"[0-9a-f]{64}", artifact.sha256) and artifact.size > 0 for artifact in artifacts)
    names = {artifact.name for artifact in artifacts}
    # The broker logs nothing without the last, not even why it died.
    assert {"kafka_2.13", "kafka-tools", "kafka-clients", "log4j-slf4j-impl"} <= names


def test_all_of_kafka_has_one_version() -> None:
    kafka = {artifact.version for artifact in locked() if artifact.group == "org.apache.kafka"}
    assert len(kafka) == 1
