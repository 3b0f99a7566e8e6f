"""The broker that needs no set-up: a Kafka-protocol broker in memory, and the gate in front of it."""
