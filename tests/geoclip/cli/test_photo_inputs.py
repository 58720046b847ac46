"""What a command's arguments may name: paths, addresses and tar files, alone and in lists."""

import io
import tarfile
from pathlib import Path

import pytest

from geoclip.cli.photo_inputs import photo_inputs
from geoclip.photos.elsewhere import Unusable
from geoclip.photos.tar import TarMember
from geoclip.remote.photo import RemotePhoto


def test_a_tar_file_at_an_address_of_this_machine_is_opened(tmp_path: Path) -> None:
    shard = tmp_path / "with spaces.tar"
    with tarfile.open(shard, "w") as tar:
        about = tarfile.TarInfo("1.jpg")
        about.size = 3
        tar.addfile(about, io.BytesIO(b"abc"))
    address = shard.as_uri()
    assert "%20" in address
    (member,) = photo_inputs([address], None)
    assert isinstance(member, TarMember)
    assert (member.shard, member.content(10)) == (str(shard), b"abc")


@pytest.mark.parametrize("name", ["shard-000.tar", "shard.tar.gz"])
def test_a_tar_file_elsewhere_is_a_row_with_a_reason(tmp_path: Path, name: str) -> None:
    address = f"https://user:secret@example.org/{name}?sig=secret"
    listed = tmp_path / "list.txt"
    listed.write_text(f"{address}\nhttps://example.org/1.jpg\n")
    alone, (row, photo) = list(photo_inputs([address], None)), photo_inputs([], listed)
    assert alone == [row]
    assert isinstance(row, Unusable)
    assert row.name == f"https://example.org/{name}"
    assert row.reason.startswith("A tar file is not read at an address")
    assert isinstance(photo, RemotePhoto)
