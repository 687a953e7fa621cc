"""Any history of requests gives what a plain model of S3's rules gives."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from hashlib import md5
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from odibi_s3_sim.answers import Written
from odibi_s3_sim.bucket import Bucket
from odibi_s3_sim.errors import S3Error

KEYS = st.sampled_from(["a", "a/b", "a/c", "a-", "b/", "b/é", "b/\U0001f600", "\uffee", "z"])
DATA = st.binary(max_size=30)
LEAST = 5


def etag_of(data: bytes) -> str:
    return f'"{md5(data).hexdigest()}"'


class History(RuleBasedStateMachine):
    """The model: for each key its versions, oldest first, as ``(version id, data or None for a marker, etag)``."""

    in_folder = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory() if self.in_folder else None
        self.bucket = Bucket("tests", self.folder.name if self.folder else "", durable=False, part_bytes=LEAST)
        self.state = ""
        self.kept: dict[str, list[tuple[str, bytes | None, str]]] = {}
        self.uploads: dict[tuple[str, str], dict[int, bytes]] = {}

    def teardown(self) -> None:
        if self.folder is not None:
            self.bucket.close()
            self.folder.cleanup()

    # --- the model --------------------------------------------------------------------------------------------------

    def now(self, key: str) -> tuple[bytes, str] | None:
        versions = self.kept.get(key, [])
        return (versions[-1][1], versions[-1][2]) if versions and versions[-1][1] is not None else None

    def add(self, key: str, version_id: str | None, data: bytes | None, etag: str) -> None:
        name = version_id or "null"
        before = [each for each in self.kept.get(key, []) if each[0] != name]
        self.kept[key] = [*before, (name, data, etag)]

    def expect(self, condition: str | None, key: str) -> str:
        """The code that a conditional write gets."""
        there = self.now(key)
        if condition is None:
            return ""
        if condition == "*":
            return "PreconditionFailed" if there else ""
        if there is None:
            return "NoSuchKey"
        return "" if there[1] == condition else "PreconditionFailed"

    def condition(self, kind: str, key: str, data: bytes) -> tuple[dict[str, Any], str]:
        there = self.now(key)
        match kind:
            case "absent":
                return {"if_none_match": "*"}, self.expect("*", key)
            case "current":
                etag = there[1] if there else etag_of(b"?")
            case "other":
                etag = etag_of(data + b"!")
            case _:
                return {}, ""
        return {"if_match": etag}, self.expect(etag, key)

    def granted(self, code: str, ask: Callable[[], Written]) -> Written | None:
        """What a request gives that has to fail with a code, or to succeed if there is none."""
        if not code:
            return ask()
        with pytest.raises(S3Error) as caught:
            ask()
        assert caught.value.code == code
        return None

    # --- what happens -----------------------------------------------------------------------------------------------

    @initialize(on=st.booleans())
    def begin(self, on: bool) -> None:
        if on:
            self.version("Enabled")

    @rule(state=st.sampled_from(["Enabled", "Suspended"]))
    def version(self, state: Any) -> None:
        self.bucket.set_versioning(state)
        self.state = state

    @rule(key=KEYS, data=DATA, kind=st.sampled_from(["", "absent", "current", "other"]))
    def put(self, key: str, data: bytes, kind: str) -> None:
        conditions, code = self.condition(kind, key, data)
        written = self.granted(code, lambda: self.bucket.put(key, data, **conditions))
        if written is None:
            return
        assert written.etag == etag_of(data)
        assert (written.version_id is None) == (not self.state)
        self.add(key, written.version_id, data, written.etag)

    @rule(source=KEYS, key=KEYS)
    def copy(self, source: str, key: str) -> None:
        there = self.now(source)
        code = "InvalidRequest" if source == key else "" if there else "NoSuchKey"
        written = self.granted(code, lambda: self.bucket.copy(source, key))
        if written is None or there is None:
            return
        self.add(key, written.version_id, there[0], etag_of(there[0]))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        deleted = self.bucket.delete(key)
        assert deleted.marker == bool(self.state)
        if self.state:
            self.add(key, deleted.version_id, None, "")
        else:
            self.kept[key] = []

    @rule(key=KEYS, chosen=st.integers(0, 5))
    def delete_version(self, key: str, chosen: int) -> None:
        versions = self.kept.get(key, [])
        name = versions[chosen % len(versions)][0] if versions else "null"
        self.bucket.delete(key, version_id=name)
        self.kept[key] = [each for each in versions if each[0] != name]

    @rule(key=KEYS)
    def create_upload(self, key: str) -> None:
        self.uploads[key, self.bucket.create_upload(key).upload_id] = {}

    @rule(chosen=st.integers(0, 5), number=st.integers(1, 4), data=DATA)
    def upload_part(self, chosen: int, number: int, data: bytes) -> None:
        if self.uploads:
            key, upload_id = list(self.uploads)[chosen % len(self.uploads)]
            assert self.bucket.upload_part(key, upload_id, number, data).etag == etag_of(data)
            self.uploads[key, upload_id][number] = data

    @rule(chosen=st.integers(0, 5), abort=st.booleans(), kind=st.sampled_from(["", "absent", "current"]))
    def end_upload(self, chosen: int, abort: bool, kind: str) -> None:
        if not self.uploads:
            return
        key, upload_id = list(self.uploads)[chosen % len(self.uploads)]
        if abort:
            self.bucket.abort_upload(key, upload_id)
            del self.uploads[key, upload_id]
            return
        parts = sorted(self.uploads[key, upload_id].items())
        conditions, code = self.condition(kind, key, b"")
        if not parts:
            code = "MalformedXML"
        elif any(len(data) < LEAST for _, data in parts[:-1]):
            code = "EntityTooSmall"
        named = [(number, etag_of(data)) for number, data in parts]
        written = self.granted(code, lambda: self.bucket.complete_upload(key, upload_id, named, **conditions))
        if written is None:
            return
        digest = md5(b"".join(md5(data).digest() for _, data in parts)).hexdigest()
        assert written.etag == f'"{digest}-{len(parts)}"'
        self.add(key, written.version_id, b"".join(data for _, data in parts), written.etag)
        del self.uploads[key, upload_id]

    # --- what holds -------------------------------------------------------------------------------------------------

    @invariant()
    def objects_are_those_of_the_model(self) -> None:
        keys = sorted((key for key in self.kept if self.now(key) is not None), key=str.encode)
        found = self.bucket.list().contents
        assert [each.key for each in found] == keys
        for each in found:
            data, etag = self.now(each.key) or (b"", "")
            assert (each.etag, each.size) == (etag, len(data))
            assert self.bucket.get(each.key).body == data

    @invariant()
    def versions_are_those_of_the_model(self) -> None:
        expected = [
            (key, name, data is None)
            for key in sorted(self.kept, key=str.encode)
            for name, data, _ in reversed(self.kept[key])
        ]
        page = self.bucket.versions()
        assert [(each.key, each.version_id, each.marker) for each in page.versions] == expected
        assert page.latest == {(key, versions[-1][0]) for key, versions in self.kept.items() if versions}

    @rule(
        prefix=st.sampled_from(["", "a", "a/", "b/", "q"]), size=st.integers(1, 4), delimiter=st.sampled_from(["", "/"])
    )
    def pages_come_to_the_whole(self, prefix: str, size: int, delimiter: str) -> None:
        seen, token = [], None
        for _ in itertools.count():
            page = self.bucket.list(prefix, delimiter=delimiter, max_keys=size, token=token)
            assert page.key_count <= size
            seen += sorted([*page.common_prefixes, *(each.key for each in page.contents)], key=str.encode)
            token = page.next_token
            if not token:
                break
        expected = []
        for key in sorted((key for key in self.kept if self.now(key) is not None), key=str.encode):
            if key.startswith(prefix):
                cut = key.find(delimiter, len(prefix)) if delimiter else -1
                shown = key if cut < 0 else key[: cut + 1]
                if shown not in expected[-1:]:
                    expected.append(shown)
        assert seen == expected


class FolderHistory(History):
    in_folder = True


QUIET = settings(deadline=None, max_examples=40, stateful_step_count=30, suppress_health_check=list(HealthCheck))
TestInMemory = History.TestCase
TestInMemory.settings = QUIET
TestInFolder = FolderHistory.TestCase
TestInFolder.settings = settings(QUIET, max_examples=15)
