"""Settings of all tests."""

from hypothesis import settings

# How long an example takes is the machine's affair; what is measured is measured in bench/.
# The same examples everywhere, so that CI says something about the change. New ones: --hypothesis-profile=explore
settings.register_profile("wattloop", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("wattloop")
