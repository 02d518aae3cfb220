"""The certificate of the TLS echo servers, made anew in each of them; the client does not check it."""

import ssl
import subprocess
import tempfile
from pathlib import Path

COMMAND = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    *("-noenc", "-subj", "/CN=localhost", "-days", "2"),
)


def certified(context: ssl.SSLContext) -> ssl.SSLContext:
    """Load a new key (P-256) and its certificate into the context; return the context.

    Raises FileNotFoundError without the program openssl, and subprocess.CalledProcessError if it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        subprocess.run([*COMMAND, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        context.load_cert_chain(certificate, key)
    return context
