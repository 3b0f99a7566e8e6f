"""The reference consumer of hvac.setpoints.v1: commands into BACnet/IP devices, for as long as their leases run."""
