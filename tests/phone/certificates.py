"""A certificate authority of the tests' own, made by the openssl command."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.peers.missing import command

_CONFIG = """\
[ca]
default_ca = this
[this]
database = index.txt
new_certs_dir = .
default_md = sha256
policy = names
rand_serial = yes
[names]
commonName = supplied
"""
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    certificate: Path
    key: Path


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._name = name
        self.certificate = folder / f"{name}.pem"
        (folder / "ca.cnf").write_text(_CONFIG)
        (folder / "index.txt").write_text("")
        self._run(
            "req", "-x509", *_KEY, f"{name}.key", "-nodes", "-out", f"{name}.pem", "-subj", f"/CN={name}",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip

    def issue(self, name: str, *identities: str, until: str = "20490101000000Z", password: str | None = None) -> Issued:
        """``identities`` as in ``IP:127.0.0.1`` and ``DNS:pbx.example``; ``name`` is the CN, and the files'."""
        protection = ("-nodes",) if password is None else ("-passout", f"pass:{password}")
        self._run("req", "-new", *_KEY, f"{name}.key", *protection, "-out", f"{name}.csr", "-subj", f"/CN={name}")
        extensions = self._folder / f"{name}.ext"
        names = f"subjectAltName={','.join(identities)}\n" if identities else ""
        extensions.write_text(f"{names}basicConstraints=CA:FALSE\nauthorityKeyIdentifier=keyid\n")
        signed_by = ("-config", "ca.cnf", "-cert", f"{self._name}.pem", "-keyfile", f"{self._name}.key")
        valid = ("-startdate", "20200101000000Z", "-enddate", until)
        self._run(
            "ca", "-batch", "-notext", *signed_by, "-in", f"{name}.csr", "-out", f"{name}.pem", *valid,
            "-extfile", extensions.name,
        )  # fmt: skip
        return Issued(certificate=self._folder / f"{name}.pem", key=self._folder / f"{name}.key")

    def _run(self, *arguments: str) -> None:
        subprocess.run([command("openssl"), *arguments], cwd=self._folder, check=True, capture_output=True)
