"""What the tests of TLS share: certificates, and what the tests of sockets have."""

import pytest

from tests.io.conftest import failures, own, settings_of_a_new_process
from tests.ssl.certificates import Certificates

__all__ = ["failures", "own", "settings_of_a_new_process"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Give the certificates of this run."""
    return Certificates(tmp_path_factory.mktemp("certificates"))
