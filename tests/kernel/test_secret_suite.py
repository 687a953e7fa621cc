"""The suite for secret stores accepts the kit's own, and what else those promise."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from odibi.errors import AccessDenied, StorageError, Transient
from odibi.testing.reference.secret import EnvironmentSecrets, FolderSecrets
from odibi.testing.secret import SecretSuite
from odibi.testing.zoo.secret import FolderSecretsSuite

NOBODY = 65534


class TestFolderSecrets(FolderSecretsSuite):
    pass


class TestEnvironmentSecrets(SecretSuite):
    component = EnvironmentSecrets

    @pytest.fixture(autouse=True)
    def _environment_as_it_was(self) -> Iterator[None]:
        before = dict(os.environ)
        yield
        for name in set(os.environ) - set(before):
            del os.environ[name]

    def options(self, place: Path) -> dict[str, Any]:
        return {"prefix": f"ODIBI_TEST_{abs(hash(str(place)))}_"}

    def plant(self, place: Path, name: str, value: str) -> None:
        os.environ[self.options(place)["prefix"] + name] = value

    def remove(self, place: Path, name: str) -> None:
        del os.environ[self.options(place)["prefix"] + name]


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    value = "0123456789" * 20_000

    def write() -> None:
        (tmp_path / "key").write_text(value)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    assert FolderSecrets(folder=str(tmp_path), timeout=30).get("key").reveal() == value
    writer.join(30)


def test_a_pipe_whose_writer_stops_half_way_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key")
    opened = os.open(tmp_path / "key", os.O_RDWR)
    try:
        os.write(opened, b"half")
        with pytest.raises(Transient, match="'key'"):
            FolderSecrets(folder=str(tmp_path), timeout=0.05).get("key")
    finally:
        os.close(opened)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "key").write_text("value")
    (tmp_path / "key").symlink_to(Path("data", "key"))
    assert FolderSecrets(folder=str(tmp_path)).get("key").reveal() == "value"
    assert FolderSecrets(folder=str(tmp_path)).get("data/key").reveal() == "value"


def test_links_that_go_in_a_circle_are_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to("key")
    with pytest.raises(StorageError, match="'key'"):
        FolderSecrets(folder=str(tmp_path)).get("key")


def test_a_file_that_may_not_be_read_is_denied(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("value")
    (tmp_path / "key").chmod(0)
    secrets = FolderSecrets(folder=str(tmp_path))
    us = os.geteuid()
    if us == 0:  # whom rights do not bind
        os.seteuid(NOBODY)
    try:
        with pytest.raises(AccessDenied, match="'key'"):
            secrets.get("key")
    finally:
        os.seteuid(us)


def test_bytes_that_are_no_text_are_not_quoted(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"pl4nted\xff")
    with pytest.raises(StorageError, match="not text in UTF-8") as caught:
        FolderSecrets(folder=str(tmp_path)).get("key")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
