"""Settings of all tests."""

from hypothesis import settings

# How long an example takes is the machine's affair; what is measured is measured in bench/.
settings.register_profile("wattloop", deadline=None)
settings.load_profile("wattloop")
