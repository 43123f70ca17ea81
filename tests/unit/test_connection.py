from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from lockgate.connection import (
    Settings,
    credentials_directory,
    home_directory,
    read_env_file,
    settings_for,
    write_env_file,
    write_private,
)
from lockgate.errors import SettingsError


def home_with(tmp_path: Path, name: str, text: str) -> dict[str, str]:
    write_private(tmp_path / "home" / "credentials" / f"{name}.env", text)
    return {"LOCKGATE_HOME": str(tmp_path / "home")}


def test_the_home_is_beside_the_compose_file_unless_it_is_moved(tmp_path: Path) -> None:
    assert home_directory(tmp_path, {}) == tmp_path / ".lockgate"
    assert home_directory(tmp_path, {"LOCKGATE_HOME": "/elsewhere"}) == Path("/elsewhere")
    assert credentials_directory(tmp_path, {}) == tmp_path / ".lockgate" / "credentials"


class TestSettingsFor:
    def test_variables_alone_are_enough(self, tmp_path: Path) -> None:
        environ = {
            "LOCKGATE_BOOTSTRAP_SERVERS": "a:1,b:2",
            "LOCKGATE_USERNAME": "tracker",
            "LOCKGATE_PASSWORD": "s3cret",
            "LOCKGATE_REGISTRY_URL": "https://registry",
            "LOCKGATE_KAFKA_CLIENT_RACK": "x",
            "UNRELATED": "y",
        }
        assert settings_for("tracker", tmp_path, environ) == Settings(
            "a:1,b:2",
            username="tracker",
            password="s3cret",
            registry_url="https://registry",
            kafka={"client.rack": "x"},
        )

    def test_metrics_are_off_unless_a_port_is_named(self, tmp_path: Path) -> None:
        environ = {"LOCKGATE_BOOTSTRAP_SERVERS": "a:1"}
        assert settings_for("tracker", tmp_path, environ).metrics_port is None
        environ |= {"LOCKGATE_METRICS_PORT": "0", "LOCKGATE_METRICS_HOST": "0.0.0.0"}  # noqa: S104  # a container's
        settings = settings_for("tracker", tmp_path, environ)
        assert (settings.metrics_host, settings.metrics_port) == ("0.0.0.0", 0)  # noqa: S104  # as above

    @pytest.mark.parametrize("port", ["x", "-1", "65536", "80.5", "²"])
    def test_what_is_no_port_is_refused(self, tmp_path: Path, port: str) -> None:
        environ = {"LOCKGATE_BOOTSTRAP_SERVERS": "a:1", "LOCKGATE_METRICS_PORT": port}
        with pytest.raises(SettingsError, match="LOCKGATE_METRICS_PORT is"):
            settings_for("tracker", tmp_path, environ)

    def test_the_local_stacks_file_is_read_where_no_brokers_are_named(self, tmp_path: Path) -> None:
        environ = home_with(
            tmp_path,
            "tracker",
            "# made\n\nLOCKGATE_BOOTSTRAP_SERVERS=local:9092\nLOCKGATE_USERNAME=tracker\nLOCKGATE_PASSWORD=a=b\n",
        )
        settings = settings_for("tracker", tmp_path, environ)
        assert (settings.bootstrap_servers, settings.password) == ("local:9092", "a=b")

    def test_other_variables_override_the_file(self, tmp_path: Path) -> None:
        environ = home_with(
            tmp_path, "tracker", "LOCKGATE_BOOTSTRAP_SERVERS=local:9092\nLOCKGATE_REGISTRY_URL=http://a\n"
        )
        assert (
            settings_for("tracker", tmp_path, environ | {"LOCKGATE_REGISTRY_URL": "http://b"}).registry_url
            == "http://b"
        )

    def test_the_file_is_not_mixed_into_variables_that_name_brokers(self, tmp_path: Path) -> None:
        environ = home_with(
            tmp_path,
            "tracker",
            "LOCKGATE_BOOTSTRAP_SERVERS=local:9092\nLOCKGATE_USERNAME=tracker\nLOCKGATE_PASSWORD=x\n",
        )
        assert settings_for("tracker", tmp_path, environ | {"LOCKGATE_BOOTSTRAP_SERVERS": "remote:9092"}) == Settings(
            "remote:9092"
        )

    def test_neither_is_an_error_with_a_next_step(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="no settings for tracker") as caught:
            settings_for("tracker", tmp_path, {})
        assert "lockgate up" in str(caught.value.next_step)

    def test_a_password_can_come_from_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("s3cret\n")
        environ = {
            "LOCKGATE_BOOTSTRAP_SERVERS": "a:1",
            "LOCKGATE_USERNAME": "tracker",
            "LOCKGATE_PASSWORD_FILE": str(tmp_path / "secret"),
        }
        assert settings_for("tracker", tmp_path, environ).password == "s3cret"

    def test_all_mistakes_come_in_one_message(self, tmp_path: Path) -> None:
        environ = {
            "LOCKGATE_BOOTSTRAP_SERVERS": "a:1",
            "LOCKGATE_USERNAME": "tracker",
            "LOCKGATE_PASSWORD_FILE": str(tmp_path / "gone"),
            "LOCKGATE_CA_FILE": str(tmp_path / "ca.pem"),
            "LOCKGATE_KAFKA_ACKS": "0",
            "LOCKGATE_KAFKA_ENABLE_IDEMPOTENCE": "false",
        }
        with pytest.raises(SettingsError) as caught:
            settings_for("tracker", tmp_path, environ)
        for part in ("LOCKGATE_PASSWORD_FILE", "LOCKGATE_CA_FILE", "LOCKGATE_KAFKA_ACKS", "enable.idempotence"):
            assert part in caught.value.message

    def test_a_user_without_a_password_is_a_mistake(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="neither LOCKGATE_PASSWORD nor"):
            settings_for("t", tmp_path, {"LOCKGATE_BOOTSTRAP_SERVERS": "a:1", "LOCKGATE_USERNAME": "t"})

    def test_a_broken_file_is_told_with_its_line_and_not_its_content(self, tmp_path: Path) -> None:
        environ = home_with(tmp_path, "tracker", "LOCKGATE_USERNAME=tracker\ns3cret\n")
        with pytest.raises(SettingsError, match=r"tracker\.env:2: expected NAME=VALUE") as caught:
            settings_for("tracker", tmp_path, environ)
        assert "s3cret" not in str(caught.value)


class TestClientConfig:
    def test_a_user_behind_a_ca_speaks_sasl_ssl(self) -> None:
        config = Settings("a:1", username="t", password="p", ca_file="/ca.pem").client_config()
        assert config == {
            "bootstrap.servers": "a:1",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "t",
            "sasl.password": "p",
            "ssl.ca.location": "/ca.pem",
        }

    @pytest.mark.parametrize(
        ("settings", "protocol"),
        [
            (Settings("a:1", username="t", password="p"), "SASL_PLAINTEXT"),
            (Settings("a:1", ca_file="/ca.pem"), "SSL"),
            (Settings("a:1"), None),
            (Settings("a:1", kafka={"security.protocol": "SSL"}), "SSL"),
        ],
    )
    def test_the_protocol_follows_from_what_is_there(self, settings: Settings, protocol: str | None) -> None:
        assert settings.client_config().get("security.protocol") == protocol


def test_secrets_do_not_show() -> None:
    settings = Settings("a:1", username="t", password="s3cret-1", registry_password="s3cret-2")
    assert "s3cret" not in repr(settings)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("x")
    settings = Settings("a:1", "t", "p=\"x'", str(ca_file), "https://r", "reader", "rp")
    file = tmp_path / "home" / "credentials" / "t.env"
    write_env_file(file, settings)
    assert settings_for("t", tmp_path, {"LOCKGATE_HOME": str(tmp_path / "home")}) == settings
    assert read_env_file(file)["LOCKGATE_PASSWORD"] == "p=\"x'"


class TestWritePrivate:
    def test_only_the_owner_can_read_it(self, tmp_path: Path) -> None:
        file = tmp_path / "new" / "secret"
        write_private(file, "x")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def test_an_open_file_is_closed_to_others_by_writing_it_anew(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text("old")
        file.chmod(0o644)
        write_private(file, "new")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == "new"

    def test_a_reader_never_sees_it_half_written(self, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        texts = {"a" * 200_000, "b" * 200_000}
        write_private(file, next(iter(texts)))
        done = threading.Event()

        def write() -> None:
            for _ in range(20):
                for text in texts:
                    write_private(file, text)
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        while not done.is_set():
            assert file.read_text() in texts
        writer.join()
        assert [path.name for path in tmp_path.iterdir()] == ["secret"]
