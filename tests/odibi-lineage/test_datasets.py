"""The names of datasets, beside what OpenLineage's page on naming says."""

from __future__ import annotations

import pytest

from odibi_lineage.datasets import Dataset, dataset_of


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("file:///data/raw/orders.csv", ("file", "/data/raw/orders.csv")),
        ("file:///data/r%C3%A4w/a%20b.csv", ("file", "/data/räw/a b.csv")),
        ("s3://bucket/raw/orders.parquet", ("s3://bucket", "raw/orders.parquet")),
        ("s3://bucket", ("s3://bucket", "/")),
        ("gs://bucket/orders/", ("gs://bucket", "orders")),
        ("s3://bucket/orders/year=*/part-*.parquet", ("s3://bucket", "orders")),
        ("s3://bucket/*.csv", ("s3://bucket", "/")),
        (
            "abfss://raw@account.dfs.core.windows.net/orders",
            ("abfss://raw@account.dfs.core.windows.net", "orders"),
        ),
        ("hdfs://namenode:8020/user/orders", ("hdfs://namenode:8020", "/user/orders")),
        ("dbfs:/mnt/orders", ("dbfs", "/mnt/orders")),
        ("https://user:s3cret@example.com/orders.csv?sig=s3cret#s3cret", ("https://example.com", "orders.csv")),
        ("postgres://db:5432/shop.public.orders", ("postgres://db:5432", "shop.public.orders")),
    ],
)
def test_names_are_as_others_give_them(uri: str, expected: tuple[str, str]) -> None:
    assert dataset_of(uri) == Dataset(*expected)


@pytest.mark.parametrize("uri", ["", "orders.csv", "/data/orders.csv"])
def test_what_is_no_address_is_no_dataset(uri: str) -> None:
    assert dataset_of(uri) is None
