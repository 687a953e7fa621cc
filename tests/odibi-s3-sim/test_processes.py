"""Processes that share a bucket in a folder: races with one winner, and deaths that leave it whole."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from hashlib import md5
from pathlib import Path

import pytest

from odibi_s3_sim.bucket import Bucket

RACERS = 6


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    begin = "import sys\nfrom odibi_s3_sim.bucket import Bucket\nfrom odibi_s3_sim.errors import S3Error\n"
    return subprocess.Popen(
        [sys.executable, "-c", begin + textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def race(code: str, folder: Path) -> list[str]:
    """What each racer prints; they begin together."""
    wait = "print('ready', flush=True); sys.stdin.readline()\n"
    head = "bucket = Bucket('race', sys.argv[1], durable=False, part_bytes=1)\n"
    processes = [start(head + wait + textwrap.dedent(code), str(folder), str(n)) for n in range(RACERS)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate(timeout=60)[0].strip() for process in processes]


class TestRaces:
    def test_of_all_that_want_to_be_first_one_is(self, tmp_path: Path) -> None:
        printed = race(
            """
            won = []
            for number in range(20):
                try:
                    bucket.put(f"k{number}", sys.argv[2].encode(), if_none_match="*")
                    won.append(number)
                except S3Error as error:
                    assert error.code == "PreconditionFailed", error
            print(*won)
            """,
            tmp_path,
        )
        won = [int(number) for line in printed for number in line.split()]
        assert sorted(won) == list(range(20))
        bucket = Bucket("race", str(tmp_path))
        for racer, line in enumerate(printed):
            for number in line.split():
                assert bucket.get(f"k{number}").body == str(racer).encode()

    def test_counting_loses_nothing(self, tmp_path: Path) -> None:
        Bucket("race", str(tmp_path)).put("count", b"0")
        race(
            """
            for _ in range(10):
                while True:
                    seen = bucket.get("count")
                    try:
                        bucket.put("count", b"%d" % (int(seen.body) + 1), if_match=seen.etag)
                        break
                    except S3Error as error:
                        assert error.code == "PreconditionFailed", error
            """,
            tmp_path,
        )
        assert Bucket("race", str(tmp_path)).get("count").body == b"%d" % (10 * RACERS)

    def test_of_many_uploads_one_is_completed(self, tmp_path: Path) -> None:
        printed = race(
            """
            upload = bucket.create_upload("o")
            parts = [(n, bucket.upload_part("o", upload.upload_id, n, sys.argv[2].encode() * n).etag) for n in (1, 2)]
            try:
                bucket.complete_upload("o", upload.upload_id, parts, if_none_match="*")
                print("won")
            except S3Error as error:
                print(error.code)
            """,
            tmp_path,
        )
        assert sorted(printed) == ["PreconditionFailed"] * (RACERS - 1) + ["won"]
        assert Bucket("race", str(tmp_path)).get("o").body == str(printed.index("won")).encode() * 3

    def test_making_a_bucket(self, tmp_path: Path) -> None:
        code = """
            bucket = Bucket("made", sys.argv[1] + "/made", durable=False)
            bucket.put(sys.argv[2], b"1")
            """
        printed = race(code, tmp_path)
        assert printed == [""] * RACERS
        assert len(Bucket("made", str(tmp_path / "made")).list().contents) == RACERS


class TestDeaths:
    @pytest.mark.parametrize("rounds", range(4))
    def test_a_killed_writer_leaves_whole_objects(self, tmp_path: Path, rounds: int) -> None:
        code = """
            bucket = Bucket("dying", sys.argv[1], durable=False)
            number = 0
            while True:
                body = b"%d" % number * 1000
                bucket.put(f"k{number % 5}", body)
                number += 1
                print(number, flush=True)
            """
        process = start(code, str(tmp_path))
        assert process.stdout is not None
        for _ in range(20 + 7 * rounds):
            process.stdout.readline()
        process.kill()
        rest, _ = process.communicate()
        bucket = Bucket("dying", str(tmp_path))
        said = int(rest.split()[-1]) if rest.split() else 20 + 7 * rounds
        found = {each.key: bucket.get(each.key) for each in bucket.list().contents}
        assert len(found) == 5
        newest = 0
        for got in found.values():
            assert got.etag == f'"{md5(got.body).hexdigest()}"'
            newest = max(newest, int(got.body[: len(got.body) // 1000]))
        assert newest >= said - 1, "a write that was told of is lost"
        bucket.put("k0", b"on it goes")
        assert bucket.get("k0").body == b"on it goes"

    def test_a_child_that_is_forked_has_a_connection_of_its_own(self, tmp_path: Path) -> None:
        code = """
            import os
            bucket = Bucket("forked", sys.argv[1], durable=False)
            bucket.put("parent", b"1")
            child = os.fork()
            if not child:
                bucket.put("child", b"2")
                os._exit(0)
            _, status = os.waitpid(child, 0)
            bucket.put("after", b"3")
            print(status, *[each.key for each in bucket.list().contents])
            """
        printed, _ = start(code, str(tmp_path)).communicate(timeout=60)
        assert printed.split() == ["0", "after", "child", "parent"]
