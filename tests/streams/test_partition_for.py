"""Partitions of sites, as every Kafka client that follows Java computes them."""

import pytest

from streams.broker import partition_for

# Published in Apache Kafka's own tests: org.apache.kafka.common.utils.UtilsTest, testMurmur2.
VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("key", "murmur2"), VECTORS.items())
@pytest.mark.parametrize("partitions", [1, 7, 8, 12, 4096])
def test_a_site_is_where_java_would_put_it(key: str, murmur2: int, partitions: int):
    assert partition_for(key, partitions) == (murmur2 & 0x7FFFFFFF) % partitions


def test_other_scripts_are_hashed_as_utf_8():
    assert partition_for("造纸厂", 8) in range(8)
    assert partition_for("造纸厂", 1) == 0
