import pytest

from speciarl.files import atomic_directory, atomic_write, content_hash


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "deep" / "table.csv"
    with pytest.raises(RuntimeError), atomic_write(path) as partial:
        partial.write_text("half")
        raise RuntimeError("interrupted")
    assert list(path.parent.iterdir()) == []
    with atomic_write(path) as partial:
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_is_whole_or_as_before(tmp_path):
    path = tmp_path / "model"
    with atomic_directory(path) as partial:
        (partial / "old").write_text("1")
    with pytest.raises(RuntimeError), atomic_directory(path) as partial:
        (partial / "new").write_text("2")
        raise RuntimeError("interrupted")
    assert [p.name for p in path.iterdir()] == ["old"]
    (tmp_path / ".model.part").mkdir()  # what a killed writer leaves
    (tmp_path / ".model.part/rest").write_text("3")
    with atomic_directory(path) as partial:
        (partial / "new").write_text("2")
    assert [p.name for p in path.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_the_hash_follows_names_bytes_and_values(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "x").write_text("1")
    first = content_hash([folder], {"seed": 1})
    assert content_hash([folder], {"seed": 1}) == first
    (folder / ".snakemake_timestamp").touch()
    assert content_hash([folder], {"seed": 1}) == first
    assert content_hash([folder], {"seed": 2}) != first
    (folder / "x").rename(folder / "y")
    assert content_hash([folder], {"seed": 1}) != first
    (folder / "y").rename(folder / "x")
    (folder / "x").write_text("2")
    assert content_hash([folder], {"seed": 1}) != first
