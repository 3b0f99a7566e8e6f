"""How much energy a measure saved: against a baseline model, and by switching it on and off."""
