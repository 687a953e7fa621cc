"""Storages with one defect each, such as plugins of other hosts have had."""

from __future__ import annotations

import io
import threading
import time
import unicodedata
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import islice
from posixpath import normpath
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast
from urllib.parse import quote, unquote

import attrs

from odibi import option
from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat, check_path
from odibi.errors import Conflict, NotFound, StorageError, Transient
from odibi.testing.reference.storage import STAGE, Draft, FolderMemoryStorage, MemoryStorage, cut_off, is_below, shelf
from odibi.testing.storage import StorageSuite
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from odibi.contracts.storage import When

Data = bytes | memoryview | BinaryIO


class SoundStorageSuite(StorageSuite):
    """The suite on the storage in memory."""

    component: ClassVar[type] = FolderMemoryStorage
    in_this_process: ClassVar[bool] = True

    def options(self, place: Path) -> dict[str, Any]:
        """A name a place."""
        return {"name": str(place)}

    def raw_get(self, place: Path, path: str) -> bytes | None:
        """From the shelf itself."""
        kept = shelf(str(place)).objects.get(path)
        return kept.data if kept else None

    def raw_put(self, place: Path, path: str, data: bytes) -> None:
        """On the shelf itself."""
        with shelf(str(place)).lock:
            shelf(str(place)).keep(path, data)

    @contextmanager
    def disconnected(self, place: Path) -> Iterator[None]:
        """The shelf does not answer."""
        with cut_off(str(place)):
            yield


zoo = Zoo(SoundStorageSuite)


def _all_of(data: Data) -> bytes:
    return bytes(data) if isinstance(data, (bytes, bytearray, memoryview)) else data.read()


# --- data that is lost or changed on the way in -----------------------------------------------------------------------


@zoo.defect
class TakesOneBuffer(MemoryStorage):
    """Of a file it keeps what one read gives, and says that it kept all."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Read once."""
        check_path(path)
        one = isinstance(data, (bytes, bytearray, memoryview))
        return super().write(path, data if one else cast("BinaryIO", data).read(1 << 20), when=when)


@zoo.defect
class StopsAtAShortRead(MemoryStorage):
    """It takes a read that gives less than was asked for as the end of the file."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Read until a part is short."""
        check_path(path)
        if isinstance(data, (bytes, bytearray, memoryview)):
            return super().write(path, data, when=when)
        parts = [data.read(1 << 16)]
        while len(parts[-1]) == 1 << 16:
            parts.append(data.read(1 << 16))
        return super().write(path, b"".join(parts), when=when)


@zoo.defect
class LosesTheLastPart(MemoryStorage):
    """Of what is written in parts of 5 MiB, the last one, which is smaller, is lost."""

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        part = 5 << 20
        return super()._put(path, data[: len(data) // part * part] if len(data) > part else data, when)


@zoo.defect
class WritesInPlace(MemoryStorage):
    """A shorter object leaves the end of the longer one that was there."""

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        with self._shelf.lock:
            old = self._shelf.objects.get(path)
            return super()._put(path, data + old.data[len(data) :] if old else data, when)


@zoo.defect
class Appends(MemoryStorage):
    """A created object begins with what was there."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """Opened for appending."""
        with super().create(path, when=when) as file:
            with suppress(NotFound):
                file.write(self.read(path))
            yield file


@zoo.defect
class TranslatesLineEnds(MemoryStorage):
    """Objects are written through a file in text mode."""

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        return super()._put(path, data.replace(b"\r\n", b"\n"), when)


@zoo.defect
class CountsElements(MemoryStorage):
    """Of a view of numbers it takes as many bytes as there are numbers."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Cut at ``len``."""
        return super().write(path, bytes(data)[: len(data)] if isinstance(data, memoryview) else data, when=when)


@zoo.defect
class KeepsTheBuffer(MemoryStorage):
    """It keeps the caller's buffer, which the caller goes on to use."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Without a copy."""
        seen = super().write(path, data, when=when)
        if isinstance(data, (bytearray, memoryview)):
            kept = self._shelf.objects[seen.path]
            self._shelf.objects[seen.path] = attrs.evolve(kept, data=cast("bytes", data))
        return seen


@zoo.defect
class Rewinds(MemoryStorage):
    """It writes a file from its beginning, wherever it stands."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """From 0."""
        if not isinstance(data, (bytes, bytearray, memoryview)) and data.seekable():
            data.seek(0)
        return super().write(path, data, when=when)


@zoo.defect
class ClosesTheFile(MemoryStorage):
    """It closes the caller's file, as clients that take it over do."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """And close."""
        seen = super().write(path, data, when=when)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            data.close()
        return seen


@zoo.defect
class NeedsToSeek(MemoryStorage):
    """It asks a file for its size by seeking, which pipes cannot."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """With a length ahead."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            at = data.tell()
            data.seek(0, io.SEEK_END)
            data.seek(at)
        return super().write(path, data, when=when)


@zoo.defect
class DoesNotWriteEmpty(MemoryStorage):
    """An empty object is not written at all, as nothing was sent."""

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        if not data:
            return Stat(path, 0, time.time(), "empty")
        return super()._put(path, data, when)


@zoo.defect
class TakesEmptyForMissing(MemoryStorage):
    """An object of size 0 is not found."""

    def stat(self, path: str) -> Stat:
        """If it has a size."""
        seen = super().stat(path)
        if not seen.size:
            raise NotFound("there is no such object", where=path)
        return seen


# --- writes that are not atomic ---------------------------------------------------------------------------------------


@zoo.defect
class WritesInTwoSteps(MemoryStorage):
    """Between the first half and the second, readers see the half."""

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        with self._shelf.lock:
            self._check(path, when)
        if len(data) > 1000:
            super()._put(path, data[: len(data) // 2], ALWAYS)
            time.sleep(0)
        return super()._put(path, data, ALWAYS if len(data) > 1000 else when)


@zoo.defect
class DeletesBeforeItWrites(MemoryStorage):
    """An object that is overwritten is away for a moment."""

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        with self._shelf.lock:
            self._check(path, when)
            self._shelf.objects.pop(path, None)
        time.sleep(0)
        return super()._put(path, data, when if when is ABSENT else ALWAYS)


@zoo.defect
class WritesWhileItReads(MemoryStorage):
    """What it has read of a file shows at once, and stays if the rest does not come."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Part by part."""
        check_path(path)
        if isinstance(data, (bytes, bytearray, memoryview)):
            return super().write(path, data, when=when)
        so_far = data.read(1 << 16)
        seen = super().write(path, so_far, when=when)
        while part := data.read(1 << 16):
            so_far += part
            seen = super().write(path, so_far)
        return seen


@zoo.defect
class DeletesWhenItFails(MemoryStorage):
    """A write that fails takes the old object with it."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Clean up too much."""
        try:
            return super().write(path, data, when=when)
        except Conflict:
            raise
        except BaseException:
            with suppress(StorageError):
                self.delete(path)
            raise


@zoo.defect
class SwallowsTheErrorOfAFile(MemoryStorage):
    """A file whose disk fails is taken for one that ends."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Until it raises."""
        check_path(path)
        if isinstance(data, (bytes, bytearray, memoryview)):
            return super().write(path, data, when=when)
        parts = []
        with suppress(OSError):
            while part := data.read(1 << 16):
                parts.append(part)
        return super().write(path, b"".join(parts), when=when)


@zoo.defect
class PublishesWhatRaised(MemoryStorage):
    """A created object is there though the block raised."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """In ``finally``."""
        check_path(path)
        file = Draft()
        try:
            yield file
        finally:
            self.write(path, file.whole(), when=when)


@zoo.defect
class PublishesWhatWasInterrupted(MemoryStorage):
    """A created object is there though somebody pressed Ctrl-C in the block."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """Discard after an Exception alone."""
        check_path(path)
        file, failed = Draft(), False
        try:
            yield file
        except Exception:
            failed = True
            raise
        finally:
            if not failed:
                self.write(path, file.whole(), when=when)


@zoo.defect
class SwallowsTheBlocksError(MemoryStorage):
    """What the block raised does not come out."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """Keep quiet."""
        with suppress(KeyError), super().create(path, when=when) as file:
            yield file


class _PublishesOnClose(io.BytesIO):
    def __init__(self, storage: MemoryStorage, path: str) -> None:
        super().__init__()
        self._to = storage, path

    def close(self) -> None:
        if not self.closed:
            storage, path = self._to
            storage.write(path, self.getvalue())
        super().close()


@zoo.defect
class PublishesOnClose(MemoryStorage):
    """A created object is there as soon as its file is closed, whatever the block goes on to do."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """As if the end of the file were the end of the block."""
        check_path(path)
        file = _PublishesOnClose(self, path)
        yield file
        if not file.closed:
            self.write(path, file.getvalue(), when=when)


@zoo.defect
class CannotBeClosedInTheBlock(MemoryStorage):
    """A library that closes the file it was given loses what it wrote."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """A plain file in memory."""
        file = io.BytesIO()
        yield file
        self.write(path, file.getvalue(), when=when)


_drafts: dict[str, io.BytesIO] = {}


@zoo.defect
class SharesDrafts(MemoryStorage):
    """Two objects that are created at one path at once are written into one draft."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """A draft a path."""
        key = f"{self.name}/{path}"
        with super().create(path, when=when) as file:
            yield _Tee(file, _drafts.setdefault(key, io.BytesIO()))
            draft = _drafts.pop(key, None)
            if draft is not None:
                file.seek(0)
                file.write(draft.getvalue())


class _Tee(io.BytesIO):
    def __init__(self, *to: BinaryIO) -> None:
        super().__init__()
        self._to = to

    def write(self, data: Any, /) -> int:
        for each in self._to:
            each.write(data)
        return super().write(data)


@zoo.defect
class ShowsDrafts(MemoryStorage):
    """What is being created shows in listings, under a name with ``.tmp``."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """Beside it."""
        check_path(path)
        self.write(f"{path}.tmp", b"")
        try:
            with super().create(path, when=when) as file:
                yield file
        finally:
            self.delete(f"{path}.tmp")


@zoo.defect
class LeavesDrafts(MemoryStorage):
    """A write that fails leaves its draft where listings show it."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Without cleaning up."""
        try:
            return super().write(path, data, when=when)
        except OSError:
            super().write(f"{path}.tmp", b"")
            raise


# --- compare-and-set --------------------------------------------------------------------------------------------------


@zoo.defect
class ChecksThenWrites(MemoryStorage):
    """Between the look and the write there is room for another winner."""

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        self._check(path, when)
        time.sleep(0.0005)
        return super()._put(path, data, ALWAYS)


@zoo.defect
class ChecksBeforeItReads(MemoryStorage):
    """The condition is checked before the data is read, and not again."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """In this order."""
        if isinstance(data, (bytes, bytearray, memoryview)):
            return super().write(path, data, when=when)
        self._check(path, when)
        return super().write(path, data)


@zoo.defect
class IgnoresTheEtag(MemoryStorage):
    """Match is taken for "if something is there"."""

    def _check(self, path: str, when: When) -> None:
        if isinstance(when, Match) and path in self._shelf.objects:
            return
        super()._check(path, when)


@zoo.defect
class MatchesNothing(MemoryStorage):
    """Match writes where the object is gone."""

    def _check(self, path: str, when: When) -> None:
        if isinstance(when, Match) and path not in self._shelf.objects:
            return
        super()._check(path, when)


@zoo.defect
class MatchesAnEmptyEtag(MemoryStorage):
    """An empty etag is sent as no condition at all."""

    def _check(self, path: str, when: When) -> None:
        if isinstance(when, Match) and not when.etag:
            return
        super()._check(path, when)


@zoo.defect
class OverwritesThoughAbsent(MemoryStorage):
    """ABSENT is ignored."""

    def _check(self, path: str, when: When) -> None:
        if when is not ABSENT:
            super()._check(path, when)


@zoo.defect
class CreatesWithoutCondition(MemoryStorage):
    """``create`` takes a condition and forgets it."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:  # noqa: ARG002
        """Always."""
        with super().create(path) as file:
            yield file


@zoo.defect
class ChecksWhenItBegins(MemoryStorage):
    """``create`` checks its condition when the block begins, and refuses what would do when it ends."""

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """Also at the end."""
        self._check(path, when)
        with super().create(path, when=when) as file:
            yield file


@zoo.defect
class TakesItsOwnWriteForAnothers(MemoryStorage):
    """A lost race is told as a passing fault, so that it is tried for ever."""

    def _check(self, path: str, when: When) -> None:
        try:
            super()._check(path, when)
        except Conflict as error:
            raise Transient("the precondition failed", where=path) from error


# --- etags and what else is known -------------------------------------------------------------------------------------


class _OtherEtags(MemoryStorage):
    def stat(self, path: str) -> Stat:
        return self._other(super().stat(path))

    def _list(self, prefix: str) -> Iterator[Stat]:
        return map(self._other, super()._list(prefix))

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        with self._shelf.lock:
            if isinstance(when, Match):
                kept = self._shelf.objects.get(path)
                if kept is None or self.stat(path).etag != when.etag:
                    raise Conflict("the object has changed", where=path)
                when = ALWAYS
            return self._other(super()._put(path, data, when))

    def _other(self, seen: Stat) -> Stat:
        raise NotImplementedError


@zoo.defect
class EtagOfTheSize(_OtherEtags):
    """The etag is made of the size, and of the day."""

    def _other(self, seen: Stat) -> Stat:
        return attrs.evolve(seen, etag=f"{seen.size}-{seen.modified // 86_400:g}")


@zoo.defect
class EtagOfTheSecond(_OtherEtags):
    """The etag is made of size and time in whole seconds."""

    def _other(self, seen: Stat) -> Stat:
        return attrs.evolve(seen, etag=f"{seen.size}-{int(seen.modified)}")


@zoo.defect
class EtagWithQuotesInListings(MemoryStorage):
    """Listings give etags in another way than ``stat`` does."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        return (attrs.evolve(seen, etag=f'"{seen.etag}"') for seen in super()._list(prefix))


@zoo.defect
class EtagOfTheOldObject(MemoryStorage):
    """A write returns what was known of the object that it replaced."""

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        with self._shelf.lock:
            old = self._shelf.objects.get(path)
            seen = super()._put(path, data, when)
            return attrs.evolve(seen, etag=old.etag) if old else seen


@zoo.defect
class EtagOfTheHandle(MemoryStorage):
    """Two handles give different etags for one object."""

    def stat(self, path: str) -> Stat:
        """With a mark of its own."""
        seen = super().stat(path)
        return attrs.evolve(seen, etag=f"{seen.etag}-{id(self)}")


@zoo.defect
class TimeInMilliseconds(MemoryStorage):
    """``modified`` is in milliseconds."""

    def stat(self, path: str) -> Stat:
        """Times a thousand."""
        seen = super().stat(path)
        return attrs.evolve(seen, modified=seen.modified * 1000)


@zoo.defect
class TimeOfTheWall(MemoryStorage):
    """``modified`` is what the clock on the wall shows, as if that were UTC."""

    def stat(self, path: str) -> Stat:
        """Off by the zone."""
        seen = super().stat(path)
        offset = datetime.fromtimestamp(seen.modified).astimezone().utcoffset()
        assert offset is not None
        return attrs.evolve(seen, modified=seen.modified + offset.total_seconds())


@zoo.defect
class WriteSaysNothing(MemoryStorage):
    """A write returns None."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Without an answer."""
        super().write(path, data, when=when)
        return cast("Stat", None)


@zoo.defect
class FindsFolders(MemoryStorage):
    """``stat`` of a folder gives an object of size 0."""

    def stat(self, path: str) -> Stat:
        """Something, if anything lies below."""
        try:
            return super().stat(path)
        except NotFound:
            if next(self.list(path), None) is None:
                raise
            return Stat(path, 0, 0.0, "folder")


@attrs.define(eq=False)
class _WithMemory(MemoryStorage):
    _seen: dict[str, Any] = attrs.field(init=False, repr=False, factory=dict)


@zoo.defect
class RemembersStats(_WithMemory):
    """``stat`` remembers what it said before, whatever others write."""

    def stat(self, path: str) -> Stat:
        """From memory."""
        if path not in self._seen:
            self._seen[path] = super().stat(path)
        return cast("Stat", self._seen[path])

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        self._seen.pop(path, None)
        return super()._put(path, data, when)

    def delete(self, path: str) -> None:
        """And forget."""
        super().delete(path)
        self._seen.pop(path, None)


@zoo.defect
class RemembersListings(_WithMemory):
    """A listing is remembered until this handle writes or deletes, as file systems of clients do."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        if prefix not in self._seen:
            self._seen[prefix] = list(super()._list(prefix))
        return iter(self._seen[prefix])

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        self._seen.clear()
        return super()._put(path, data, when)

    def delete(self, path: str) -> None:
        """And forget."""
        super().delete(path)
        self._seen.clear()


# --- listings ---------------------------------------------------------------------------------------------------------


@zoo.defect
class ListsOnePage(MemoryStorage):
    """A listing ends after 1000 objects."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        return islice(super()._list(prefix), 1000)


@zoo.defect
class PagesOverlap(MemoryStorage):
    """The last object of a page is the first of the next, too."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        for number, seen in enumerate(super()._list(prefix), 1):
            yield seen
            if number % 1000 == 0:
                yield seen


@zoo.defect
class PrefixIsAString(MemoryStorage):
    """``list("etl")`` shows ``etl_daily/x``."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        return (seen for seen in super()._list("") if seen.path.startswith(prefix))


@zoo.defect
class PrefixIsNeverAnObject(MemoryStorage):
    """A listing of the path of an object shows nothing."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        return (seen for seen in super()._list(prefix) if seen.path != prefix)


@zoo.defect
class ListsOneLevel(MemoryStorage):
    """A listing does not go into folders of folders."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        return (seen for seen in super()._list(prefix) if seen.path[len(prefix) :].count("/") <= 2)


@zoo.defect
class ListsAsWritten(MemoryStorage):
    """A listing is in the order in which objects were written."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        paths = list(self._shelf.objects)
        return iter(sorted(super()._list(prefix), key=lambda seen: paths.index(seen.path)))


@zoo.defect
class ListsFolderByFolder(MemoryStorage):
    """A listing sorts the names in each folder, so that ``a/b`` comes before ``a-b``."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        return iter(sorted(super()._list(prefix), key=lambda seen: seen.path.split("/")))


@zoo.defect
class ListsByUtf16(MemoryStorage):
    """A listing is in the order of UTF-16, as Java and JavaScript compare."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        return iter(sorted(super()._list(prefix), key=lambda seen: seen.path.encode("utf-16-be", "surrogatepass")))


@zoo.defect
class ListsAtOnce(MemoryStorage):
    """All of a listing is held before its first object is shown."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        return iter(list(super()._list(prefix)))


@zoo.defect
class GivesAList(MemoryStorage):
    """A listing is a list."""

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Not an iterator."""
        return cast("Iterator[Stat]", [*super().list(prefix)])


@zoo.defect
class ListsFolders(MemoryStorage):
    """A listing shows folders, with the slash that consoles put there."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        shown: set[str] = set()
        for seen in super()._list(prefix):
            folder = seen.path.rpartition("/")[0]
            if folder and folder not in shown:
                shown.add(folder)
                yield Stat(f"{folder}/", 0, seen.modified, "folder")
            yield seen


@zoo.defect
class StumblesOverWhatGoes(MemoryStorage):
    """An object that goes while a listing is under way ends it with NotFound."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        paths = [seen.path for seen in super()._list(prefix)]
        for path in paths:
            yield self.stat(path)


@zoo.defect
class ListsWhatIsNotThere(MemoryStorage):
    """A listing of a folder that is not there is NotFound."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        empty = True
        for seen in super()._list(prefix):
            empty = False
            yield seen
        if empty and prefix:
            raise NotFound("there is no such folder", where=prefix)


# --- deleting ---------------------------------------------------------------------------------------------------------


@zoo.defect
class CannotDeleteNothing(MemoryStorage):
    """Deleting what is not there is NotFound."""

    def delete(self, path: str) -> None:
        """If it is there."""
        self.stat(path)
        super().delete(path)


@zoo.defect
class DeletesFolders(MemoryStorage):
    """Deleting a folder deletes all below it."""

    def delete(self, path: str) -> None:
        """With all below."""
        super().delete(path)
        for seen in [*self.list(path)]:
            super().delete(seen.path)


@zoo.defect
class DeletesLater(MemoryStorage):
    """A deleted object is marked, and can still be had by its name."""

    def delete(self, path: str) -> None:
        """By its handle, at some later time."""
        with suppress(NotFound):
            self.write(path, b"")


# --- paths ------------------------------------------------------------------------------------------------------------


@zoo.defect
class ClimbsOut(MemoryStorage):
    """``a/../b`` is resolved instead of refused."""

    def read(self, path: str) -> bytes:
        """Of what it comes to."""
        return super().read(normpath(path) if path else path)


@zoo.defect
class TakesAbsolutePaths(MemoryStorage):
    """An absolute path is taken for one from the root of the storage."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Without its slash."""
        return super().write(path.lstrip("/"), data, when=when)


@zoo.defect
class TurnsBackslashes(MemoryStorage):
    """A backslash is taken for a slash."""

    def stat(self, path: str) -> Stat:
        """As on Windows."""
        return super().stat(path.replace("\\", "/"))


@zoo.defect
class ReadsBeforeItRefuses(MemoryStorage):
    """The data is read before the path is looked at."""

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """In this order."""
        return super().write(path, _all_of(data), when=when)


@zoo.defect
class AsksBeforeItRefuses(MemoryStorage):
    """The backend is asked before the path is looked at."""

    def delete(self, path: str) -> None:
        """In this order."""
        self._reach(path)
        super().delete(path)


@zoo.defect
class ListsAnything(MemoryStorage):
    """The prefix of a listing is not looked at."""

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Whatever it is."""
        return self._list("/".join(part for part in prefix.split("/") if part not in ("", ".")))


@zoo.defect
class AddressesAnything(MemoryStorage):
    """``uri`` leads out."""

    def uri(self, path: str) -> str:
        """Whatever it is."""
        clean = "/".join(part for part in path.split("/") if part not in ("", "."))
        return f"odibi-memory://{quote(self.name, safe='')}/{quote(clean)}"


@zoo.defect
class SpellsTwice(MemoryStorage):
    """``a//b`` is another object than ``a/b``."""

    def read(self, path: str) -> bytes:
        """As spelled."""
        if "//" in path:
            raise NotFound("there is no such object", where=path)
        return super().read(path)


class _OtherNames(MemoryStorage):
    def read(self, path: str) -> bytes:
        return super().read(self._name(path))

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        return super().write(self._name(path), data, when=when)

    def stat(self, path: str) -> Stat:
        return super().stat(self._name(path))

    def delete(self, path: str) -> None:
        super().delete(self._name(path))

    def _name(self, path: str) -> str:
        raise NotImplementedError


@zoo.defect
class NormalisesNames(_OtherNames):
    """Names are brought to one normal form of Unicode."""

    def _name(self, path: str) -> str:
        return unicodedata.normalize("NFC", path)


@zoo.defect
class FoldsCase(_OtherNames):
    """Names are kept in lower case."""

    def _name(self, path: str) -> str:
        return path.lower()


@zoo.defect
class UnquotesNames(_OtherNames):
    """A percent sign in a name is taken for the quoting of an address."""

    def _name(self, path: str) -> str:
        return unquote(path)


@zoo.defect
class CutsAtQuestionMarks(_OtherNames):
    """What follows a question mark is taken for a query."""

    def _name(self, path: str) -> str:
        return path.partition("?")[0]


@zoo.defect
class StripsNames(_OtherNames):
    """Space around a name is lost."""

    def _name(self, path: str) -> str:
        return path.strip()


# --- errors -----------------------------------------------------------------------------------------------------------


@zoo.defect
class LetsKeyErrorEscape(MemoryStorage):
    """What is missing is a KeyError."""

    def _kept(self, path: str) -> Any:
        self._reach(path)
        return self._shelf.objects[path]


@zoo.defect
class LetsOsErrorEscape(MemoryStorage):
    """What is missing is a FileNotFoundError when it is opened."""

    def open(self, path: str) -> BinaryIO:
        """As the system says."""
        try:
            return super().open(path)
        except NotFound as error:
            raise FileNotFoundError(path) from error


@zoo.defect
class TakesUnreachableForMissing(MemoryStorage):
    """A backend that does not answer is told as an object that is not there."""

    def stat(self, path: str) -> Stat:
        """Of whatever went wrong."""
        try:
            return super().stat(path)
        except Transient as error:
            raise NotFound("there is no such object", where=path) from error


@zoo.defect
class TakesUnreachableForEmpty(MemoryStorage):
    """A backend that does not answer lists nothing."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        with suppress(Transient):
            yield from super()._list(prefix)


@zoo.defect
class LetsConnectionErrorEscape(MemoryStorage):
    """A backend that does not answer is the error of its client."""

    def _reach(self, path: str) -> None:
        try:
            super()._reach(path)
        except Transient as error:
            raise ConnectionError("refused") from error


class _Missing(NotFound):
    def __init__(self, path: str, code: int) -> None:
        super().__init__(f"{path}: {code}")
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.what,))


@zoo.defect
class RaisesWhatCannotTravel(MemoryStorage):
    """Its errors cannot be brought home from another process."""

    def read(self, path: str) -> bytes:
        """With an error of its own."""
        try:
            return super().read(path)
        except NotFound:
            raise _Missing(path, 404) from None


@zoo.defect
class DoesNotSayWhat(MemoryStorage):
    """Its errors do not name the object."""

    def _kept(self, path: str) -> Any:
        try:
            return super()._kept(path)
        except NotFound:
            raise NotFound("404") from None


# --- opened objects ---------------------------------------------------------------------------------------------------


class _Odd(io.BytesIO):
    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == io.SEEK_END:
            return super().seek(-abs(offset) - 1 if offset else 0, whence)
        return super().seek(offset, whence)


@zoo.defect
class SeeksFromTheLastByte(MemoryStorage):
    """Seeking from the end is off by one."""

    def open(self, path: str) -> BinaryIO:
        """An odd file."""
        return _Odd(self.read(path))


class _Strict(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > 0 and self.tell() + size > len(self.getbuffer()):
            raise EOFError("the range is not satisfiable")
        return super().read(size)


@zoo.defect
class CannotReadPastTheEnd(MemoryStorage):
    """A range that goes past the end is an error, as servers answer it."""

    def open(self, path: str) -> BinaryIO:
        """A strict file."""
        return _Strict(self.read(path))


class _Inclusive(io.BytesIO):
    def readinto(self, buffer: Any, /) -> int:
        with memoryview(buffer) as view:
            part = self.read(max(len(view) - 1, 1))
            view[: len(part)] = part
        self.seek(1, io.SEEK_CUR)
        return len(part)


@zoo.defect
class SkipsAByteBetweenRanges(MemoryStorage):
    """A range is taken without its last byte, so that one is lost between two."""

    def open(self, path: str) -> BinaryIO:
        """An odd file."""
        return io.BufferedReader(cast("io.RawIOBase", _Inclusive(self.read(path))))


@zoo.defect
class FetchesTheWhole(MemoryStorage):
    """Opening an object fetches all of it."""

    def open(self, path: str) -> BinaryIO:
        """A copy."""
        return io.BytesIO(bytes(bytearray(self.read(path))))


class _Live(io.RawIOBase):
    def __init__(self, storage: MemoryStorage, path: str) -> None:
        super().__init__()
        self._storage, self._path, self._at = storage, path, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0, /) -> int:
        base = (0, self._at, len(self._storage.read(self._path)) if whence == io.SEEK_END else 0)[whence]
        if base + offset < 0:
            raise ValueError("before the beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        with memoryview(buffer) as view:
            part = self._storage.read(self._path)[self._at : self._at + len(view)]
            view[: len(part)] = part
        self._at += len(part)
        return len(part)


@zoo.defect
class ReadsRangesOfWhatIsThereNow(MemoryStorage):
    """An open object that is overwritten goes on with the ranges of the new one."""

    def open(self, path: str) -> BinaryIO:
        """Each range by itself."""
        self.stat(path)
        return io.BufferedReader(_Live(self, path), 1024)


@zoo.defect
class OpensLazily(MemoryStorage):
    """That an object is missing shows when it is first read."""

    def open(self, path: str) -> BinaryIO:
        """Without a look."""
        self._name_only(path)
        return io.BufferedReader(_Live(self, path))

    def _name_only(self, path: str) -> None:
        self.uri(path)


# --- many at once, secrets, the end -----------------------------------------------------------------------------------


@zoo.defect
@attrs.define(eq=False)
class SharesABuffer(MemoryStorage):
    """One handle's calls share a buffer, so that threads write each other's data."""

    _buffer: bytes = attrs.field(init=False, repr=False, default=b"")

    def write(self, path: str, data: Data, *, when: When = ALWAYS) -> Stat:
        """Through the buffer."""
        self._buffer = _all_of(data) if path and "\\" not in path and not isinstance(data, io.RawIOBase) else b""
        if not self._buffer:
            return super().write(path, data, when=when)
        time.sleep(0)
        return super().write(path, self._buffer, when=when)


@zoo.defect
@attrs.define(eq=False)
class ShowsItsKeyInAddresses(MemoryStorage):
    """Its key is part of the address."""

    key: str = option("", help="What opens it.", secret=True)

    def uri(self, path: str) -> str:
        """With the key."""
        scheme, mark, rest = super().uri(path).partition("://")
        return f"{scheme}{mark}user:{self.key}@{rest}" if self.key else f"{scheme}{mark}{rest}"


@zoo.defect
@attrs.define(eq=False)
class ShowsItsKeyInErrors(MemoryStorage):
    """Its key is part of what an error says."""

    key: str = option("", help="What opens it.", secret=True)

    def read(self, path: str) -> bytes:
        """With the key in the trouble."""
        try:
            return super().read(path)
        except StorageError as error:
            error.add_note(f"signed with {self.key}")
            raise


@zoo.defect
class CannotBeClosedTwice(_WithMemory):
    """Closing it again raises."""

    def close(self) -> None:
        """Once."""
        if self._seen:
            raise ValueError("it is closed")
        self._seen["closed"] = True


@zoo.defect
class ClosesForAll(MemoryStorage):
    """Closing one handle takes what the others see."""

    def close(self) -> None:
        """With its objects."""
        self._shelf.objects.clear()


@zoo.defect
class WritesWhenClosed(_WithMemory):
    """What was written last is held back until the handle is closed."""

    def _put(self, path: str, data: bytes, when: When) -> Stat:
        if self._seen:
            super()._put(*self._seen.popitem()[1])
        seen = super()._put(path, data, when)
        if len(data) == 1:
            del self._shelf.objects[path]
            self._seen[path] = (path, data, ALWAYS)
        return seen

    def close(self) -> None:
        """And write."""
        while self._seen:
            super()._put(*self._seen.popitem()[1])


@zoo.defect
class SharesNothing(MemoryStorage):
    """Each handle has objects of its own."""

    def __attrs_post_init__(self) -> None:
        """A shelf for itself."""
        self._shelf = shelf("")


@zoo.defect
class SharesEverything(MemoryStorage):
    """All places are one."""

    def __attrs_post_init__(self) -> None:
        """One shelf."""
        super().__attrs_post_init__()
        parts = self.name.rpartition("/")
        if parts[2] == "elsewhere":
            self._shelf = shelf(f"{parts[0]}/place")


@zoo.defect
class AddressesAreRelative(MemoryStorage):
    """``uri`` gives the path."""

    def uri(self, path: str) -> str:
        """Without a scheme."""
        return super().uri(path).rpartition("//")[2].partition("/")[2]


@zoo.defect
class AddressesAreNotQuoted(MemoryStorage):
    """Two objects have one address, as what follows ``#`` is taken off."""

    def uri(self, path: str) -> str:
        """Cut."""
        return unquote(super().uri(path)).partition("#")[0]


@zoo.defect
class HasNoOptionsForReaders(MemoryStorage):
    """``native_options`` is None."""

    def native_options(self, for_: str) -> Mapping[str, Any]:
        """Nothing, and not an empty mapping."""
        super().native_options(for_)
        return cast("Mapping[str, Any]", None)


# --- folders ----------------------------------------------------------------------------------------------------------


@zoo.defect
class DeclaresWhatItCannot(MemoryStorage):
    """It declares that its folders can be replaced, and has no such method."""

    capabilities: ClassVar[dict[str, str]] = {**MemoryStorage.capabilities, "replace_folder": "full"}


@zoo.defect
class MergesFolders(FolderMemoryStorage):
    """What was in the folder and has no successor stays."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """And put the rest back."""
        with self._shelf.lock:
            old = {name: kept for name, kept in self._shelf.objects.items() if is_below(name, path)}
            done = super().replace_folder(staged, path, when=when)
            self._shelf.objects = {**old, **self._shelf.objects}
        return done


@zoo.defect
class CopiesFolders(FolderMemoryStorage):
    """Objects of a folder that is put in place get new etags."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """And write them again."""
        done = super().replace_folder(staged, path, when=when)
        for seen in [*self.list(path)]:
            self.write(seen.path, self.read(seen.path))
        return done


@zoo.defect
class ReplacesThoughThere(FolderMemoryStorage):
    """ABSENT is ignored when a folder is replaced."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:  # noqa: ARG002
        """Always."""
        return super().replace_folder(staged, path)


@zoo.defect
class OverlooksAnObject(FolderMemoryStorage):
    """A single object at the path is not in the way of ABSENT."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """Look below alone."""
        if when is ABSENT and path in self._shelf.objects:
            when = ALWAYS
        return super().replace_folder(staged, path, when=when)


@zoo.defect
class KeepsTheStage(FolderMemoryStorage):
    """What was staged is still there afterwards."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """And put it back."""
        with self._shelf.lock:
            old = {name: kept for name, kept in self._shelf.objects.items() if is_below(name, staged)}
            done = super().replace_folder(staged, path, when=when)
            self._shelf.objects = {**old, **self._shelf.objects}
        return done


@zoo.defect
class ShowsStages(FolderMemoryStorage):
    """Listings show what is staged."""

    def _list(self, prefix: str) -> Iterator[Stat]:
        with self._shelf.lock:
            paths = sorted(path for path in self._shelf.objects if is_below(path, prefix))
        for path in paths:
            with suppress(NotFound):
                yield self.stat(path)


@zoo.defect
class TakesNeighbours(FolderMemoryStorage):
    """What only begins like the folder goes with it."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """By string."""
        done = super().replace_folder(staged, path, when=when)
        for seen in [*self.list()]:
            if seen.path.startswith(path) and not is_below(seen.path, path):
                self.delete(seen.path)
        return done


@zoo.defect
class EmptiesForNothing(FolderMemoryStorage):
    """An empty stage empties the folder."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """All the same."""
        try:
            return super().replace_folder(staged, path, when=when)
        except NotFound:
            for seen in [*self.list(path)]:
                self.delete(seen.path)
            return True


@zoo.defect
class ReplacesInTwoSteps(FolderMemoryStorage):
    """For a moment the folder is empty."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """First the old ones go."""
        if when is ALWAYS and next(self.list(staged), None) and staged.rpartition("/")[2].startswith(STAGE):
            for seen in [*self.list(path)]:
                self.delete(seen.path)
            time.sleep(0.001)
        return super().replace_folder(staged, path, when=when)


@zoo.defect
class SaysNoAndChanges(FolderMemoryStorage):
    """It says that it cannot, and has done it."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """And lie."""
        super().replace_folder(staged, path, when=when)
        return False


@zoo.defect
class RacesForFolders(FolderMemoryStorage):
    """Of those that want to be the first to fill a folder, several are."""

    def replace_folder(self, staged: str, path: str, *, when: When = ALWAYS) -> bool:
        """Look, then act."""
        if when is ABSENT and next(self.list(path), None) is not None:
            raise Conflict("something is there already", where=path)
        threading.Event().wait(0.001)
        return super().replace_folder(staged, path)
