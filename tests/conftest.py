"""What holds for all tests."""

from hypothesis import settings

# No test asserts a time, and a busy machine is no failure.
settings.register_profile("goldwatch", deadline=None)
settings.load_profile("goldwatch")
