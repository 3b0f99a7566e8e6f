"""Asking a broker on behalf of an operator: a short patience, and one error that says in a sentence what is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaError as ClientError
from kafka import KafkaAdminClient
from kafka.errors import KafkaError as AdminError

from streams.settings import broker_addresses

CLIENT_ID = "wattloop-operator"
PATIENCE_S = 10.0


class BrokerTrouble(Exception):
    """The broker cannot be reached, does not answer, or refuses."""


@contextmanager
def named_trouble(kafka_url: str) -> Iterator[None]:
    """Raise `BrokerTrouble` for whatever the Kafka clients or the network raise.

    Examples
    --------
    >>> with named_trouble("kafka://a.example:9092"):
    ...     raise ConnectionRefusedError("nobody listens")
    Traceback (most recent call last):
    streams.broker_admin.BrokerTrouble: cannot use the broker at a.example:9092: nobody listens
    """
    try:
        yield
    except (AdminError, ClientError, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        where = ", ".join(broker_addresses(kafka_url))
        raise BrokerTrouble(f"cannot use the broker at {where}: {lines[0]}") from error


@contextmanager
def administering(kafka_url: str, patience_s: float = PATIENCE_S) -> Iterator[KafkaAdminClient]:
    """Connect to a broker for administration.

    Parameters
    ----------
    kafka_url
        The broker.
    patience_s
        How long it may take to connect, and to answer a request. [s]

    Raises
    ------
    BrokerTrouble
        If it cannot be reached, does not answer in time, or refuses; also from within the block.
    """
    patience_ms = int(patience_s * 1000)
    with named_trouble(kafka_url):
        admin = KafkaAdminClient(
            bootstrap_servers=list(broker_addresses(kafka_url)),
            client_id=CLIENT_ID,
            bootstrap_timeout_ms=patience_ms,
            request_timeout_ms=patience_ms,
        )
        try:
            yield admin
        finally:
            admin.close()
