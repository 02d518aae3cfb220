"""Which modules of the standard library's own tests are run, and where the interpreter has them."""

import importlib.util
import sys

MODULES = (
    "test_socket",
    "test_ssl",
    "test_threading",
    "test_subprocess",
    "test_signal",
    "test_thread",
    "test_queue",
    "test_select",
    "test_selectors",
    "test_poll",
    "test_epoll",
    "test_socketserver",
    "test_threadsignals",
    "test_time",
    "test_httplib",
    "test_httpservers",
    "test_urllib2_localnet",
    "test_ftplib",
)


class NoTestPackageError(Exception):
    """This interpreter was installed without its own tests; the message says how to get them."""


def require_test_package() -> None:
    """Raise NoTestPackageError if this interpreter lacks the `test` package or one of MODULES."""
    missing = [name for name in ("support", *MODULES) if not _exists(f"test.{name}")]
    if missing:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise NoTestPackageError(
            f"{sys.executable} (Python {version}) has no test.{missing[0]}: some systems pack an interpreter's own "
            f"tests apart. On Debian and Ubuntu: apt-get install libpython{version}-testsuite. A Python built by "
            "pyenv or from source has them: rm -rf .venv, then make stdlib PYTHON=/path/to/it"
        )


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
