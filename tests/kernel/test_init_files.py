"""What ``odibi init`` writes, as far as the kernel alone can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from odibi.cli.init import TEMPLATES, template_files, write_files
from odibi.cli.main import main
from odibi.errors import ConfigError
from odibi.scaffold import clean_name, clean_names, scalar


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_written_and_the_next_steps_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], template: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my shop", "--template", template]) == 0
    out = capsys.readouterr().out
    assert "wrote my shop/odibi.yaml\n" in out
    assert out.endswith("Next:\n  cd 'my shop'\n  odibi validate\n  odibi graph\n  odibi run\n")
    made = {str(path.relative_to(tmp_path / "my shop")) for path in tmp_path.rglob("*") if path.is_file()}
    assert made == set(template_files(template, "x"))
    assert yaml.safe_load((tmp_path / "my shop" / "odibi.yaml").read_text())["project"] == "my shop"


def test_in_this_folder_with_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--name", 'a "b": ${c}\n#']) == 0
    assert "  cd " not in capsys.readouterr().out
    data = yaml.safe_load((tmp_path / "odibi.yaml").read_text())
    assert data["project"] == 'a "b": $${c}\n#'
    assert [pipeline["pipeline"] for pipeline in data["pipelines"]] == ["bronze", "silver"]


def test_nothing_is_overwritten_unless_forced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "transforms.py").write_text("mine")
    assert main(["init"]) == 2
    assert "transforms.py is there already. Use --force to overwrite it." in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["transforms.py"]
    assert (tmp_path / "transforms.py").read_text() == "mine"
    assert main(["init", "--force"]) == 0
    assert (tmp_path / "transforms.py").read_text() != "mine"


def test_a_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    outside.mkdir()
    (outside / "file").write_text("theirs")
    (home / "odibi.yaml").symlink_to(outside / "file")
    (home / "dangling").symlink_to(outside / "nothing")
    for name in ("odibi.yaml", "dangling"):
        with pytest.raises(ConfigError, match="is there already"):
            write_files(home, {name: "ours"})
        write_files(home, {name: "ours"}, force=True)
        assert (home / name).read_text() == "ours"
    (home / "data").symlink_to(outside)
    with pytest.raises(ConfigError, match="leads out of"):
        write_files(home, {"data/orders.csv": "ours"}, force=True)
    with pytest.raises(ConfigError, match="leads out of"):
        write_files(home, {"../outside/new": "ours"}, force=True)
    assert [path.name for path in outside.iterdir()] == ["file"]
    assert (outside / "file").read_text() == "theirs"


def test_where_nothing_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_files(tmp_path / "file" / "folder", {"odibi.yaml": ""})
    assert main(["init", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err


def test_both_a_template_and_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["init", str(tmp_path), "--from", ".", "--template", "empty"]) == 2
    assert "not both" in capsys.readouterr().err


def test_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["init", str(tmp_path), "--from", str(tmp_path / "nosuch")]) == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("Order ID", "order_id"),
        ("orderId", "order_id"),
        ("  Price (€) ", "price"),
        ("2013", "_2013"),
        ("select", "select_"),
        ("Straße", "straße"),
        ("a__b--c", "a_b_c"),
        ("", "unnamed"),
        ("%%", "unnamed"),
    ],
)
def test_clean_names(name: str, clean: str) -> None:
    assert clean_name(name) == clean


@given(st.lists(st.text(max_size=8), unique=True, max_size=12))
def test_no_two_clean_names_are_equal(names: list[str]) -> None:
    clean = clean_names(names)
    assert list(clean) == names
    assert len(set(clean.values())) == len(names)


@given(st.text())
def test_a_scalar_means_the_text(text: str) -> None:
    assert yaml.safe_load(f"{{key: {scalar(text)}}}") == {"key": text.replace("${", "$${")}
