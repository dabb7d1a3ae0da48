"""A broker behind TLS, accounts and ACLs, on a Java of this machine: what the tests of security are let in by."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from .jvm import JvmBroker

SASL, MUTUAL, CLEAR = "ACCOUNT", "MUTUAL", "CLEAR"  # listeners: SASL over TLS, client certificates, SASL without TLS
ACCOUNT: Final = "vtj-producer"
LIFETIME: Final = 3000  # ms after which a connection must prove anew who it is


class SecuredBroker(JvmBroker):
    """`bootstrap` is without TLS, for who looks after the test; its principal may do everything.

    SASL: PLAIN, SCRAM and OAUTHBEARER (unsecured tokens) with `password`. MUTUAL: certificates that `ca` has issued.
    CLEAR: SCRAM without TLS, where connections end after LIFETIME. Nobody may do anything without an ACL. All files are
    in `folder`: ca.pem; client.pem and client.key, of the same name as the account.
    """

    def __init__(self, folder: Path, password: str) -> None:
        self.folder, self.ca = folder, trustme.CA()
        self.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        self.issue("client", ACCOUNT)
        (folder / "server.pem").write_bytes(_keystore(self.ca.issue_cert("127.0.0.1", "localhost")))
        kinds = {SASL: "SASL_SSL", MUTUAL: "SSL", CLEAR: "SASL_PLAINTEXT"}
        super().__init__(
            {
                "listener.security.protocol.map": ",".join(
                    ["PLAINTEXT:PLAINTEXT", "CONTROLLER:PLAINTEXT", *(f"{name}:{kind}" for name, kind in kinds.items())]
                ),
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(folder / "server.pem"),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(folder / "ca.pem"),
                "listener.name.mutual.ssl.client.auth": "required",
                "ssl.principal.mapping.rules": r"RULE:^.*O=([^,]+).*$/$1/",
                **_sasl(SASL, password, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"),
                **_sasl(CLEAR, password, "SCRAM-SHA-512"),
                "listener.name.clear.connections.max.reauth.ms": str(LIFETIME),
            },
            options=("-Xms64m", "-Xmx512m", "-XX:TieredStopAtLevel=1"),
            listeners=[*kinds],
            accounts=[f"SCRAM-SHA-{bits}=[name={ACCOUNT},password={password}]" for bits in (256, 512)],
        )

    def issue(self, name: str, organisation: str) -> None:
        """A client certificate and its key, as `name`.pem and `name`.key."""
        issued = self.ca.issue_cert(f"{name}.example.fi", organization_name=organisation)
        issued.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))
        (self.folder / f"{name}.pem").write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))


def _keystore(issued: trustme.LeafCert) -> bytes:
    """The broker wants PKCS#8."""
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + b"".join(
        one.bytes() for one in issued.cert_chain_pems
    )


def _sasl(listener: str, password: str, *mechanisms: str) -> Mapping[str, str]:
    security, name = "org.apache.kafka.common.security", f"listener.name.{listener.lower()}"
    modules = {
        "PLAIN": f'plain.PlainLoginModule required user_{ACCOUNT}="{password}"',
        "SCRAM-SHA-256": "scram.ScramLoginModule required",
        "SCRAM-SHA-512": "scram.ScramLoginModule required",
        "OAUTHBEARER": 'oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker"',
    }
    return {f"{name}.sasl.enabled.mechanisms": ",".join(mechanisms)} | {
        f"{name}.{mechanism.lower()}.sasl.jaas.config": f"{security}.{modules[mechanism]};" for mechanism in mechanisms
    }
