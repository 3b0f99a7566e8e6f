"""Which blocks of time have a measure: what the controller and the proof of its saving must both know."""
