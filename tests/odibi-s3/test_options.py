"""What can be asked of a connection to S3, and what cannot."""

from __future__ import annotations

import pickle
import subprocess
import sys

import attrs
import pytest

from odibi import Host, Secret
from odibi.errors import AccessDenied, InvalidPath, OptionError, StorageError
from odibi.testing.component import PLANTED, no_secret_in
from odibi_s3 import credentials
from odibi_s3.keys import key_of
from odibi_s3.storage import S3Storage

KEYS = {"access_key_id": "id", "secret_access_key": PLANTED}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bucket": ""}, "not the name of a bucket"),
        ({"bucket": "a/b"}, "not the name of a bucket"),
        ({"bucket": "b-b", "access_key_id": "id"}, "belong together"),
        ({"bucket": "b-b", "secret_access_key": PLANTED}, "belong together"),
        ({"bucket": "b-b", "session_token": PLANTED}, "session_token needs"),
        ({"bucket": "b-b", "anonymous": True, **KEYS}, "without keys"),
        ({"bucket": "b-b", "profile": "p", **KEYS}, "not both"),
        ({"bucket": "b-b", "sse_kms_key_id": "k"}, "needs sse: kms"),
        ({"bucket": "b-b", "endpoint": "s3.example.org"}, "must be an address"),
        ({"bucket": "b-b", "endpoint": "ftp://s3.example.org"}, "must be an address"),
        ({"bucket": "b-b", "endpoint": "https://s3.example.org/?a=b"}, "must be an address"),
        ({"bucket": "b-b", "endpoint": f"https://id:{PLANTED}@s3.example.org"}, "must not hold"),
        ({"bucket": "b-b", "endpoint": "http://s3.example.org"}, "another machine"),
        ({"bucket": "b-b", "endpoint": "http://10.0.0.1:9000"}, "another machine"),
        ({"bucket": "b-b", "endpoint": "http://127.0.0.1.example.org"}, "another machine"),
        ({"bucket": "b-b", "part_size": 1000}, "part_size"),
        ({"bucket": "b-b", "retries": -1}, "retries"),
        ({"bucket": "b-b", "timeout": 0}, "timeout"),
        ({"bucket": "b-b", "prefix": "../other"}, "climbs out"),
    ],
)
def test_options_that_do_not_fit_are_refused_by_name_and_without_secrets(given, said):
    with pytest.raises((ValueError, InvalidPath), match=said) as caught, no_secret_in(PLANTED) as look:
        S3Storage(**given)
    look(caught.value)


@pytest.mark.parametrize(
    "endpoint", ["https://s3.example.org", "http://localhost:9000", "http://127.0.0.1:1", "http://[::1]:9000/"]
)
def test_endpoints_that_are_private_are_taken(endpoint):
    assert S3Storage(bucket="b-b", endpoint=endpoint).endpoint == endpoint


def test_an_endpoint_without_tls_has_to_be_allowed():
    assert S3Storage(bucket="b-b", endpoint="http://minio.lan:9000", allow_http=True).allow_http


def test_an_endpoint_of_the_environment_is_held_to_the_same(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio.lan:9000")
    with pytest.raises(StorageError, match="another machine"):
        S3Storage(bucket="b-b", **KEYS).read("o")


def test_the_host_builds_it_from_what_a_project_says():
    storage = Host().build("storage", "s3", {"bucket": "b-b", "base_path": "/lake/", **KEYS})
    assert storage.uri("a/b.csv") == "s3://b-b/lake/a/b.csv"
    with pytest.raises(OptionError, match="bukket"):
        Host().build("storage", "s3", {"bukket": "b-b"})


def test_no_secret_shows():
    storage = S3Storage(bucket="b-b", session_token=Secret(PLANTED), **KEYS)
    with no_secret_in(PLANTED) as look:
        look(storage)
        look(storage._settings())
        look(storage._connected()._patient)
        look(storage.uri("o"))


def test_readers_that_go_direct_are_told_where_and_how():
    storage = S3Storage(
        bucket="b-b", endpoint="http://localhost:9000", region="eu-west-1", session_token="t", prefix="p", **KEYS
    )
    assert storage.native_options("fsspec") == {
        "key": "id",
        "secret": PLANTED,
        "token": "t",
        "endpoint_url": "http://localhost:9000",
        "client_kwargs": {"region_name": "eu-west-1"},
    }
    assert storage.native_options("pyarrow") == {
        "access_key": "id",
        "secret_key": PLANTED,
        "session_token": "t",
        "region": "eu-west-1",
        "scheme": "http",
        "endpoint_override": "localhost:9000",
    }
    assert storage.native_options("duckdb")["s3_url_style"] == "path"
    assert storage.native_options("duckdb")["s3_use_ssl"] is False
    assert storage.native_options("delta")["AWS_ALLOW_HTTP"] == "true"
    assert storage.native_options("spark")["fs.s3a.path.style.access"] == "true"
    assert storage.native_options("somebody else") == {}


def test_readers_of_amazons_own_are_told_of_no_server(monkeypatch):
    public = S3Storage(bucket="b-b", anonymous=True)
    assert public.native_options("fsspec") == {"anon": True, "client_kwargs": {"region_name": "us-east-1"}}
    assert public.native_options("duckdb") == {"s3_region": "us-east-1", "s3_url_style": "vhost"}


def test_the_bucket_can_be_a_part_of_the_servers_name():
    storage = S3Storage(bucket="b-b", endpoint="https://s3.example.org", virtual_host_style=True, **KEYS)
    assert storage._settings().config["endpoint"] == "https://b-b.s3.example.org"
    assert storage.native_options("fsspec")["endpoint_url"] == "https://s3.example.org"
    there = S3Storage(bucket="b-b", endpoint="https://b-b.s3.example.org", virtual_host_style=True, **KEYS)
    assert there._settings().config["endpoint"] == "https://b-b.s3.example.org"


def test_how_the_server_encrypts_is_said(options, boto, bucket):
    S3Storage(**options, sse="aes256").write("o", b"1")
    assert boto.head_object(Bucket=bucket, Key="o")["ServerSideEncryption"] == "AES256"
    S3Storage(**options, sse="kms", sse_kms_key_id="some-key").write("o", b"1")
    answer = boto.head_object(Bucket=bucket, Key="o")
    assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", "some-key")


def test_a_checksum_is_sent(spoiled, proxy):
    S3Storage(**spoiled, checksum="sha256").write("o", b"1")
    assert proxy.asked[-1].headers["x-amz-checksum-sha256"] == "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s="


@pytest.mark.parametrize("path", ["a\nb", "a\x7fb", "a\ud800b", "x" * 1025, "ä" * 513, "d/.odibi-probe-1", "", "."])
def test_keys_that_cannot_be_are_refused(path):
    with pytest.raises(InvalidPath):
        key_of("", path)


def test_a_prefix_counts_for_the_length_of_a_key():
    assert len(key_of("p" * 23, "x" * 1000)) == 1024
    with pytest.raises(InvalidPath, match="1025 bytes"):
        key_of("p" * 24, "x" * 1000)


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    environment = {
        "HOME": str(tmp_path),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = d\naws_secret_access_key = {PLANTED}\n"
        f"[team]\naws_access_key_id=t\naws_secret_access_key = a%b={PLANTED}\naws_session_token = {PLANTED}\n"
    )
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-north-1\n[profile team]\nregion=eu-west-3\ns3 =\n  max_concurrent_requests = 20\n"
        "[profile sso]\nsso_session = work\n[profile role]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile=team\n"
    )
    return environment


def test_keys_come_from_the_profile_that_is_named(files):
    found = credentials.find(None, "team", files)
    assert found.keys == credentials.Keys("t", f"a%b={PLANTED}", PLANTED)
    assert found.region == "eu-west-3"
    assert found.provider()["expires_at"] is not None
    with no_secret_in(PLANTED) as look:
        look(found)


def test_keys_come_from_the_first_place_that_has_some(files):
    explicit = credentials.Keys("e", "s")
    variables = {"AWS_ACCESS_KEY_ID": "v", "AWS_SECRET_ACCESS_KEY": "s"}
    assert credentials.find(explicit, None, {**files, **variables}).keys == explicit
    assert credentials.find(None, "team", {**files, **variables}).keys.access_key_id == "t"
    assert credentials.find(None, None, {**files, **variables}).keys.access_key_id == "v"
    assert credentials.find(None, None, {**files, "AWS_PROFILE": "team"}).keys.access_key_id == "t"
    assert credentials.find(None, None, files).keys.access_key_id == "d"
    token = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}
    assert credentials.find(None, None, {**files, **token}).provider is None
    assert credentials.find(None, None, {"HOME": "/nowhere"}) == credentials.Found()


def test_keys_of_temporary_credentials_are_not_mixed_with_others(monkeypatch, options):
    monkeypatch.setenv("AWS_SESSION_TOKEN", PLANTED)
    given = S3Storage(**options)._settings().provider()
    assert given["token"] is None


def test_a_profile_whose_keys_change_is_read_again(files, tmp_path):
    provider = credentials.find(None, "team", files).provider
    text = (tmp_path / "credentials").read_text().replace("aws_access_key_id=t", "aws_access_key_id=t2")
    (tmp_path / "credentials").write_text(text)
    assert provider()["access_key_id"] == "t2"


@pytest.mark.parametrize(("profile", "said"), [("nobody", "not there"), ("sso", "sso_session"), ("role", "role_arn")])
def test_a_profile_without_keys_is_said_to_have_none(files, profile, said):
    with pytest.raises(AccessDenied, match=said):
        credentials.find(None, profile, files)
    with pytest.raises(AccessDenied, match=said):
        credentials.find(None, None, {**files, "AWS_PROFILE": profile})


@pytest.mark.parametrize("text", [f"{PLANTED}\n", f"[team\n{PLANTED}", f"[team]\n{PLANTED}\n"])
def test_a_file_that_is_malformed_is_not_quoted(files, tmp_path, text):
    (tmp_path / "credentials").write_text(text)
    with pytest.raises(AccessDenied, match="malformed") as caught, no_secret_in(PLANTED) as look:
        credentials.find(None, "team", files)
    look(caught.value)


def test_a_storage_uses_its_profile(options, files, monkeypatch, server):
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, files[name])
    without = {name: value for name, value in options.items() if "key" not in name and name != "region"}
    storage = S3Storage(**without, profile="team")
    assert storage.write("o", b"1").size == 1
    assert storage.native_options("fsspec")["client_kwargs"] == {"region_name": "eu-west-3"}


# --- processes ------------------------------------------------------------------------------------------------------

_FORKED = """
import json, os, sys
from odibi.errors import StorageError
from odibi_s3.storage import S3Storage
options = json.loads(sys.argv[1])
storage = S3Storage(**options)
used = sys.argv[2] == "used"
if used:
    storage.write("o", b"1")
child = os.fork()
if child == 0:
    try:
        storage.write("child", b"1")
        os._exit(1 if used else 0)
    except StorageError as error:
        os._exit(0 if used and "spawn" in str(error) else 2)
    finally:
        os._exit(3)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize("used", ["used", "unused"])
def test_a_forked_process_is_told_so_rather_than_left_hanging(options, used):
    import json

    done = subprocess.run(
        [sys.executable, "-c", _FORKED, json.dumps(options), used], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_entry_point_imports_nothing_heavy():
    code = "import odibi_s3, sys; print([n for n in sys.modules if n.startswith(('obstore', 'boto', 'attr'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "obstore" not in done.stdout
    assert "boto" not in done.stdout


def test_errors_travel():
    error = InvalidPath("x", where="y", remedy="z")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert attrs.has(S3Storage)
