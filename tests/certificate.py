"""Certificates for servers on this machine."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def server_certificate(folder: Path, names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context, and its self-signed certificate for `names`, such as `DNS:localhost,IP:127.0.0.1`."""
    if shutil.which("openssl") is None:
        pytest.skip("makes a certificate with openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    files = ("-keyout", key, "-out", certificate)
    subprocess.run([*command, "-addext", f"subjectAltName={names}", *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate
