"""Balance: where the energy of a site comes from and where it goes, minute by minute."""
