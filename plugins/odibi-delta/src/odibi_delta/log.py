"""The log of a Delta table, read through its storage: what was committed, when, and whether it changed any data.

A table is a folder of data files and a folder ``_delta_log`` with a JSON object a version. This much is the same for
whoever wrote the table, and needs no library.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import attrs

from odibi.errors import DataError, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from odibi.contracts.storage import Stat, Storage

FOLDER = "_delta_log"

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\..*parquet")
_DATA_FILE = re.compile(r"part-\d{5}-[0-9a-f-]{36}[-.].*parquet")

_TELLING = frozenset({"SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD CONSTRAINT", "DROP CONSTRAINT", "ADD FEATURE"})
"""Operations that give the table other metadata without any other data."""

_DESCRIBING = frozenset({"UPDATE TABLE METADATA", "SET TABLE COMMENT", "UPDATE FIELD METADATA"})


@attrs.frozen
class Commit:
    """One version of a table.

    Attributes:
        version: its number.
        text: of its object, for a digest.
        actions: what it did, in order: mappings of one key each.
    """

    version: int
    text: bytes = attrs.field(repr=False)
    actions: Sequence[Mapping[str, Any]] = attrs.field(repr=False)

    @property
    def info(self) -> Mapping[str, Any]:
        """What its writer said about it; empty if it said nothing."""
        return next((action["commitInfo"] for action in self.actions if "commitInfo" in action), {})

    @property
    def added(self) -> tuple[Mapping[str, Any], ...]:
        """The data files that it added."""
        return tuple(action["add"] for action in self.actions if "add" in action)

    @property
    def changes_data(self) -> bool:
        """Whether a reader would notice: rows or columns may be others than before."""
        for action in self.actions:
            for kind in ("add", "remove"):
                if kind in action and action[kind].get("dataChange", True):
                    return True
        if not any("metaData" in action for action in self.actions):
            return False
        return self.version == 0 or self.info.get("operation") not in _TELLING | _DESCRIBING

    @property
    def paths(self) -> tuple[str, ...]:
        """The data files that it added, relative to the table."""
        return tuple(unquote(str(each["path"])) for each in self.added)


@attrs.frozen
class Log:
    """The log of the table at ``path``.

    Args:
        storage: where it is.
        path: of the table.
        where: what errors call it.
    """

    storage: Storage
    path: str
    where: str

    def versions(self) -> dict[int, Stat]:
        """The commits that are still there, oldest first; empty if there is no table."""
        return self._listed()[0]

    def latest(self) -> int:
        """The newest version.

        Raises:
            NotFound: there is no table.
        """
        commits, checkpoints = self._listed()
        known = [*commits, *checkpoints]
        if not known:
            raise missing(self.storage, self.path, self.where)
        return max(known)

    def is_there(self) -> bool:
        """Whether there is a table."""
        for stat in self.storage.list(f"{self.path}/{FOLDER}"):
            name = stat.path.rpartition("/")[2]
            if _COMMIT.fullmatch(name) or _CHECKPOINT.fullmatch(name):
                return True
        return False

    def commit(self, version: int) -> Commit:
        """One version.

        Raises:
            NotFound: it is not there (any more).
            DataError: it is damaged.
        """
        path = f"{self.path}/{FOLDER}/{version:020}.json"
        text = self.storage.read(path)
        actions = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            try:
                action = json.loads(line)
            except ValueError:
                action = None
            if not isinstance(action, dict):
                raise DataError(
                    f"the log of the table is damaged: {path}, line {number} is no JSON object",
                    where=self.where,
                    remedy="Restore this object from a backup.",
                )
            actions.append(action)
        return Commit(version, text, actions)

    def backwards(self, newest: int | None = None) -> Iterator[Commit]:
        """The commits from the newest (or ``newest``) to the oldest that is still there."""
        for version in sorted(self.versions(), reverse=True):
            if newest is None or version <= newest:
                try:
                    yield self.commit(version)
                except NotFound:  # cleaned up meanwhile, as are all that are older
                    return

    def data_version(self, newest: int | None = None) -> str | None:
        """A text that changes whenever the data of the table does; ``None`` if there is no table.

        It is the number of the last commit that changed data, with a digest of it, as a table may be made anew. Where
        that commit was cleaned up, it is the oldest one that is left.

        Args:
            newest: of which version; by default the newest.
        """
        last: Commit | None = None
        for last in self.backwards(newest):
            if last.changes_data:
                break
        if last is None:
            # All that is left may be a checkpoint.
            checkpoints = self._listed()[1]
            number = max((each for each in checkpoints if newest is None or each <= newest), default=None)
            return None if number is None else f"{number}-{checkpoints[number].etag}"
        return f"{last.version}-{hashlib.sha256(last.text).hexdigest()[:16]}"

    def find(self, token: str, after: int) -> Commit | None:
        """The commit whose writer left this token, among those after a version."""
        for version in sorted(self.versions()):
            if version > after:
                commit = self.commit(version)
                if token in json.dumps(commit.info):
                    return commit
        return None

    def check_version(self, version: int) -> int:
        """The version itself, if it can be there.

        Raises:
            NotFound: there is no table.
            DataError: it has no such version.
        """
        latest = self.latest()
        if version > latest:
            raise DataError(
                f"the table has no version {version}: the newest is {latest}",
                where=self.where,
                remedy="odibi delta history lists the versions.",
            )
        return version

    def at(self, moment: datetime) -> int:
        """The version that was the newest at a moment.

        Raises:
            NotFound: there is no table.
            DataError: there was none at that moment, or its log is gone.
        """
        times = self.times()
        if not times:
            raise missing(self.storage, self.path, self.where)
        found = [version for version, time in times.items() if time <= moment]
        if not found:
            first = min(times)
            raise DataError(
                f"the table's log begins with version {first} at {iso(times[first])}, after {iso(moment)}",
                where=self.where,
                remedy="Give a later timestamp.",
            )
        return max(found)

    def times(self) -> dict[int, datetime]:
        """When each version that is still in the log was committed.

        That is what the table says where it keeps commit times, and else when the object of the commit was written.
        No version counts as earlier than the one before it.
        """
        commits = self.versions()
        times: dict[int, datetime] = {}
        kept = bool(commits) and "inCommitTimestamp" in self.commit(max(commits)).info
        last: datetime | None = None
        for version in sorted(commits):
            time = datetime.fromtimestamp(commits[version].modified, UTC)
            if kept and (said := self.commit(version).info.get("inCommitTimestamp")) is not None:
                time = datetime.fromtimestamp(said / 1000, UTC)
            last = times[version] = time if last is None or time > last else last
        return times

    def _listed(self) -> tuple[dict[int, Stat], dict[int, Stat]]:
        commits: dict[int, Stat] = {}
        checkpoints: dict[int, Stat] = {}
        for stat in self.storage.list(f"{self.path}/{FOLDER}"):
            name = stat.path[len(self.path) + len(FOLDER) + 2 :]
            if found := _COMMIT.fullmatch(name):
                commits[int(found[1])] = stat
            elif found := _CHECKPOINT.fullmatch(name):
                checkpoints[int(found[1])] = stat
        return commits, checkpoints


def iso(moment: datetime) -> str:
    """A moment in UTC, for people."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def missing(storage: Storage, path: str, where: str) -> NotFound:
    """That there is no table, with a hint at what is there instead."""
    try:
        storage.stat(path)
        return NotFound("there is an object, and no Delta table", where=where, remedy="Read it with its own format.")
    except NotFound:
        pass
    first = next(iter(storage.list(path)), None)
    if first is None:
        return NotFound("there is no Delta table, nor anything else", where=where, remedy="Check the path.")
    return NotFound(
        f"there are files, such as {first.path[len(path) + 1 :]}, but no Delta table: it would have a folder {FOLDER}",
        where=where,
        remedy="Read them with their own format, such as parquet, or check the path.",
    )


def foreign(storage: Storage, path: str) -> str | None:
    """An object at or below ``path`` that a Delta table has not left there; ``None`` if there is none.

    Data files without a log are what a writer leaves that was killed before its first commit. They are not part of any
    table, and keep nobody from making one.
    """
    try:
        storage.stat(path)
    except NotFound:
        pass
    else:
        return path
    for stat in storage.list(path):
        below = stat.path[len(path) + 1 :]
        if not _DATA_FILE.fullmatch(below.rpartition("/")[2]) and not below.startswith(f"{FOLDER}/"):
            return stat.path
    return None
