"""Who may connect: TLS with certificates of both sides, and the shared token."""

import hmac
import ssl

import msgspec

from notify.errors import EndpointError, WiringError

__all__ = ["TLS", "Secret", "secret_of"]

MAX_TOKEN_BYTES = 1_024


class TLS(msgspec.Struct, frozen=True, kw_only=True):
    """The certificates of one side. For anything else give an ``ssl.SSLContext`` in its place.

    Args:
        certificate: file with the own certificate and those above it, as PEM; a server needs one.
        key: file with the key of it, not encrypted; by default it is in the same file.
        ca: file with the certificates that the other side's must be signed by. A server with it refuses clients without a certificate; a
            client without it trusts those of the operating system.
        server_name: the name in the server's certificate, if it is not the host that the client connects to.
    """

    certificate: str | None = None
    key: str | None = None
    ca: str | None = None
    server_name: str | None = None

    def context(self, *, is_server: bool) -> ssl.SSLContext:
        """Return the context for one side.

        Raises:
            EndpointError: a file cannot be used.
            WiringError: a server has no certificate.
        """
        if is_server and self.certificate is None:
            raise WiringError("TLS of a server needs a certificate: give TLS(certificate=..., key=...)")
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.ca is not None:
                context.load_verify_locations(self.ca)
                context.verify_mode = ssl.CERT_REQUIRED
            elif not is_server:
                context.load_default_certs()
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except OSError as exc:  # an SSLError is one
            raise EndpointError(f"TLS cannot be used with {self}: {exc.strerror or exc}; give PEM files that belong together") from exc
        return context


class Secret:
    """A shared token, which is shown nowhere.

    Args:
        value: the token.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value.encode()

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")

    @property
    def line(self) -> bytes:
        """The line that a client sends first."""
        return self._value + b"\n"

    def matches(self, line: bytes) -> bool:
        """Return whether a line is the token, in a time that does not depend on it."""
        return hmac.compare_digest(line.removesuffix(b"\r"), self._value)


def secret_of(token: object) -> Secret | None:
    """Return the secret for an argument ``token``, or raise `WiringError`, which does not show it."""
    if token is None:
        return None
    if not isinstance(token, str) or not token or not token.isprintable() or len(token.encode()) > MAX_TOKEN_BYTES:
        raise WiringError(f"the token cannot be used: give a text of 1 to {MAX_TOKEN_BYTES} bytes on one line")
    return Secret(token)


def _no_password() -> str:
    """Refuse an encrypted key: OpenSSL would ask for its password on the terminal."""
    raise OSError("the key is encrypted, and there is nobody to ask for its password")
