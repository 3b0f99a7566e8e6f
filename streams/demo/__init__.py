"""The demonstration: three factories and the recorded loads behind them."""

from pathlib import Path

DEMO_REGISTRY = Path(__file__).with_name("registry.yaml")
