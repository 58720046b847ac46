"""What a command's arguments may name: paths, addresses and tar files, alone and in lists."""

import io
import tarfile
from pathlib import Path

import pytest

from geoclip.cli.photo_inputs import photo_inputs
from geoclip.errors import InputError
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


@pytest.mark.parametrize(
    ("name", "said"), [("shard.tar.gz", "is compressed; unpack it"), ("s-{1..0}.tar", "names 0 tar files")]
)
def test_tar_files_that_are_not_read_are_refused_or_a_row(tmp_path: Path, name: str, said: str) -> None:
    """Nothing is asked of the server, and nothing secret is said."""
    address = f"https://user:secret@example.org/{name}?sig=secret"
    listed = tmp_path / "list.txt"
    listed.write_text(f"{address}\nhttps://example.org/1.jpg\n")
    with pytest.raises(InputError, match=said) as refused:
        list(photo_inputs([address], None))
    row, photo = photo_inputs([], listed)
    assert isinstance(row, Unusable)
    assert (row.name, row.reason) == (f"https://example.org/{name}", str(refused.value))
    assert "secret" not in row.reason
    assert isinstance(photo, RemotePhoto)
