"""The frame: what turns a pure agent into an exact one on Faust (checkpoints, origins, dead letters)."""
