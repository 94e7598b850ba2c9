"""Fixtures that the service's tests share with those of stores."""

from tests.store.conftest import postgres as postgres
