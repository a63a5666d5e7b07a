"""What all tests share: on a busy machine an example may take long without anything being wrong."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
