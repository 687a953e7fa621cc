"""Storage in a folder of a local, or mounted, file system."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, TypeVar

import attrs

from odibi import option
from odibi.contracts.storage import ALWAYS, Stat, check_path
from odibi.errors import InvalidPath, NotFound
from odibi_local import staging
from odibi_local.drafts import Draft, ObjectFile, draft_at, remove, remove_empty_above, stat_of
from odibi_local.failures import display, mapped
from odibi_local.listing import objects_under
from odibi_local.names import STAGE, is_reserved, is_stage, stage_of
from odibi_local.places import make_folders, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from odibi.contracts.storage import When
    from odibi_local.places import Place

T = TypeVar("T")

_BUFFER = 1 << 17
_CHUNK = 1 << 20


@attrs.frozen
class LocalStorage:
    """Objects as files below one folder; see :class:`odibi.contracts.Storage` for what it promises.

    Nothing outside the folder is ever read or written: a path cannot climb out, and a symbolic link that leads out is
    refused. Links that stay inside are followed; deleting one removes the link alone. Deleting the last object of a
    folder removes the folder, as folders are nothing but the prefixes of objects here.

    What lies below a folder called ``.odibi-stage-...`` is an object to whoever names it, and shows in no listing of a
    folder above: it waits to be put in place by :meth:`replace_folder`. What a writer that was killed has left there
    goes when the next folder is staged beside it.
    """

    capabilities: ClassVar[Mapping[str, str]] = {
        "replace_folder": "partial: where the file system can let two names change places",
    }
    effects: ClassVar[tuple[str, ...]] = ("files",)
    etag_resolution: ClassVar[float] = 2.0
    """Seconds. The etag of what other programs change in place is made of its size and time of change, and a system's
    clock may stand still for that long (the two seconds are FAT's; ext4's clock ticks every few milliseconds). git
    calls such an entry of its index racy, and looks at the content. What is written through here has a new inode, and
    a time from the fine clock."""

    base_path: str = option(
        ".", help="The folder that holds the objects.", is_path=True, aliases=("path",), converter=os.path.abspath
    )
    create_base: bool = option(True, help="Make the folder when the first object is written.", aliases=("create",))
    fsync: bool = option(
        True, help="Have each write on disk before it counts as done; without, a power cut may undo the last writes."
    )

    def read(self, path: str) -> bytes:
        """The whole object."""
        with self.open(path) as file:
            return file.read()

    def open(self, path: str) -> BinaryIO:
        """The object as a seekable binary file."""
        path = _object_path(path)
        handle = self._seen(path, _opened)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise _not_found(path)
        return io.BufferedReader(ObjectFile(handle, "rb", path), _BUFFER)

    def write(self, path: str, data: bytes | memoryview | BinaryIO, *, when: When = ALWAYS) -> Stat:
        """Make ``data`` the object at ``path``, atomically and durably."""
        with self._draft(path) as draft:
            if isinstance(data, memoryview):
                draft.file.write(data if data.contiguous else data.tobytes())
            elif isinstance(data, (bytes, bytearray)):
                draft.file.write(data)
            else:
                copyfileobj(data, draft.file, _CHUNK)
            return draft.publish(when)

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """A binary file that becomes the object when the ``with`` block ends."""
        with self._draft(path) as draft:
            yield draft.file
            draft.publish(when)

    def stat(self, path: str) -> Stat:
        """What is at ``path``."""
        path = _object_path(path)
        status = self._seen(path, _status)
        if not stat.S_ISREG(status.st_mode):
            raise _not_found(path)
        return stat_of(path, status)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """All objects at or under ``prefix``, in the order of their paths."""
        return self._list(check_path(prefix))

    def delete(self, path: str) -> None:
        """Remove the object."""
        path = _object_path(path)
        with mapped(path), suppress(FileNotFoundError, NotADirectoryError):
            remove(self.base_path, path, durable=self.fsync)
        stage = stage_of(path)
        if stage is not None:
            staging.let_go_if_gone(self.base_path, stage)

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """Make the objects below ``staged`` those below ``path``, in one step."""
        staged, path = check_path(staged), _object_path(path)
        if not is_stage(staged.rpartition("/")[2]) or staged.rpartition("/")[0] != path.rpartition("/")[0]:
            raise InvalidPath(
                f"it is not staged beside {display(path)}",
                where=display(staged),
                remedy=f"Stage it in the same folder, under a name that begins with {STAGE}.",
            )
        with mapped(path):
            return staging.replace(self.base_path, staged, path, when, durable=self.fsync)

    def uri(self, path: str) -> str:
        """The ``file://`` address."""
        return Path(self.base_path, check_path(path)).as_uri()

    def native_options(self, for_: str) -> Mapping[str, Any]:  # noqa: ARG002 - a file needs none for any reader
        """Nothing: the address is enough."""
        return {}

    def close(self) -> None:
        """Nothing is held open."""

    def _seen(self, path: str, look: Callable[[Place], T]) -> T:
        """What a look at the place of an object gives.

        Who is on the way to an object in a folder that is replaced just then may end up in the old folder, where the
        object is gone by now. So what is missing is looked for again, from the base on.
        """
        for last in (False, False, True):
            with mapped(path):
                try:
                    with place_of(self.base_path, path) as place:
                        return look(place)
                except FileNotFoundError:
                    if last:
                        raise
        raise AssertionError("the last look returns or raises")

    def _list(self, prefix: str) -> Iterator[Stat]:
        with suppress(NotFound, InvalidPath):
            yield self.stat(prefix)
            return
        with mapped(prefix):
            yield from objects_under(self.base_path, prefix)

    @contextmanager
    def _draft(self, path: str) -> Iterator[Draft]:
        path = _object_path(path)
        with mapped(self.base_path):
            if self.create_base:
                make_folders(self.base_path, durable=self.fsync)
            elif not os.path.isdir(self.base_path):  # noqa: PTH112
                raise NotFound(
                    "the folder of the connection does not exist",
                    where=self.base_path,
                    remedy="Make it, or set create_base: true.",
                )
        stage = stage_of(path)
        if stage is None:
            with draft_at(self.base_path, path, durable=self.fsync) as draft:
                yield draft
            return
        with mapped(path):
            staging.hold(self.base_path, stage)
        try:
            with draft_at(self.base_path, path, durable=self.fsync) as draft:
                yield draft
        except BaseException:
            remove_empty_above(self.base_path, path)
            staging.let_go_if_gone(self.base_path, stage)
            raise


def _opened(place: Place) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a named pipe would keep us waiting
    return os.open(place.name, flags, dir_fd=place.folder)


def _status(place: Place) -> os.stat_result:
    return os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)


def _object_path(path: str) -> str:
    clean = check_path(path)
    if not clean:
        raise InvalidPath("the path is empty", where=repr(path), remedy="Name an object below the connection's base.")
    if is_reserved(clean):
        raise InvalidPath("the name is one that the storage uses itself", where=display(path), remedy="Use another.")
    return clean


def _not_found(path: str) -> NotFound:
    return NotFound(
        "there is no such object", where=display(path), remedy="There is a folder or a device of that name."
    )
