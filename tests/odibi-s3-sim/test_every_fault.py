"""Any fault, at any request: nothing is lost, nothing is doubled, nothing is left over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import Conflict, NotFound
from odibi_s3_sim.bucket import forget_memory_bucket
from odibi_s3_sim.client import Client
from odibi_s3_sim.faults import KINDS, Fault, FaultPlan
from odibi_s3_sim.requests import PART_BYTES
from odibi_s3_sim.storage import SimulatedS3Storage

LARGE = bytes(PART_BYTES) + b"the rest"
SECOND = ("slow_down", "timeout", "lost_response")
"""What comes right after a first fault, where two in a row are tried."""


def work(storage: SimulatedS3Storage) -> Mapping[str, Any]:
    """Every call of the contract, once; what they gave, and what is there in the end."""
    gave: dict[str, Any] = {}
    first = storage.write("d/counter", b"1", when=ABSENT)
    gave["first"] = first.etag
    gave["second"] = storage.write("d/counter", b"2", when=Match(first.etag)).etag
    for name, when in (("absent", ABSENT), ("match", Match(first.etag))):
        try:
            storage.write("d/counter", b"lost", when=when)
        except Conflict:
            gave[name] = "conflict"
    storage.write("d/plain", b"plain")
    with storage.create("d/large", when=ABSENT) as file:
        file.write(LARGE)
    gave["read"] = storage.read("d/plain")
    with storage.open("d/large") as file:
        file.seek(-8, 2)
        gave["range"] = file.read()
    gave["stat"] = storage.stat("d/large").size
    storage.delete("d/plain")
    try:
        storage.stat("d/plain")
    except NotFound:
        gave["gone"] = True
    gave["list"] = [(each.path, each.size, each.etag) for each in storage.list("d")]
    gave["objects"] = {path: storage.raw_get(path) for path in ("d/counter", "d/large")}
    return gave


class Recording(FaultPlan):
    """No faults; it remembers the requests that could have met one."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, int, bool]] = []

    def next(self, operation: str, key: str, *, conditional: bool = False) -> tuple[int, Fault | None]:
        nth, fault = super().next(operation, key, conditional=conditional)
        self.asked.append((operation, key, nth, conditional))
        return nth, fault


def with_plan(plan: FaultPlan, **options: Any) -> tuple[Mapping[str, Any], int]:
    """What the work gives, and how many uploads nobody ended."""
    name = f"every-{uuid4().hex}"
    storage = SimulatedS3Storage(bucket=name, part_size=PART_BYTES, **options)
    object.__setattr__(storage.connection.endpoint, "plan", plan)
    try:
        return work(storage), len(storage.connection.bucket.uploads())
    finally:
        forget_memory_bucket(name)


@pytest.fixture(scope="module")
def plain() -> tuple[Mapping[str, Any], list[tuple[str, str, int, bool]]]:
    plan = Recording()
    gave, left = with_plan(plan)
    assert (gave["absent"], gave["match"], gave["gone"], left) == ("conflict", "conflict", True, 0)
    return gave, plan.asked


def can_hit(kind: str, operation: str, conditional: bool) -> bool:
    operations, _ = KINDS[kind]
    return (operations is None or operation in operations) and (kind != "conflict" or conditional)


@pytest.mark.parametrize("versioning", [None, True], ids=["plain", "versions"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_changes_nothing(plain: Any, kind: str, versioning: bool | None) -> None:
    expected, asked = plain
    hit = [each for each in asked if can_hit(kind, each[0], each[3])]
    if not hit:
        pytest.fail(f"the work has no request that {kind} can hit")
    for operation, key, nth, _ in hit:
        plan = FaultPlan(recorded=[Fault(operation, key, nth, kind, 0.5)])
        gave, left = with_plan(plan, versioning=versioning)
        assert gave == expected, (kind, operation, key, nth)
        assert len(plan.injected) == 1
        # The answer to the beginning of an upload may be lost: nobody knows of that one, as with S3.
        assert left <= (operation == "CreateMultipartUpload" and kind == "lost_response")


@pytest.mark.parametrize("kind", ["lost_response", "timeout", "internal_error", "conflict"])
@pytest.mark.parametrize("second", SECOND)
def test_two_faults_in_a_row_change_nothing(plain: Any, kind: str, second: str) -> None:
    expected, asked = plain
    for operation, key, nth, conditional in asked:
        if can_hit(kind, operation, conditional) and can_hit(second, operation, conditional) and conditional:
            faults = [Fault(operation, key, nth, kind, 0.5), Fault(operation, key, nth + 1, second, 0.5)]
            gave, _ = with_plan(FaultPlan(recorded=faults))
            assert gave == expected, (kind, second, operation, key, nth)


def test_a_client_that_does_not_know_its_own_writes_is_found_out(plain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(_: Client, key: str, name: str, etag: str, unsure: Any) -> Any:
        raise unsure.error

    monkeypatch.setattr(Client, "_own", forgetful)
    with pytest.raises(Conflict):
        test_one_fault_changes_nothing(plain, "lost_response", None)
