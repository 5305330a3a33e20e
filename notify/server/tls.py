"""Errors of TLS, in words: redis-py reports them as connections that failed."""

import ssl

__all__ = ["tls_problem_of"]


def tls_problem_of(exc: BaseException) -> str | None:
    """Return what is wrong with a TLS connection, and the remedy; ``None`` if an error has another cause."""
    cause: BaseException | None = exc
    seen = 0
    while cause is not None and not isinstance(cause, ssl.SSLError) and seen < 10:
        cause, seen = cause.__cause__ or cause.__context__, seen + 1
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is refused ({cause.verify_message}): name the authority with ssl_ca_certs=/path/to/ca.pem in the URL, and "
            "use the host name that the certificate is for"
        )
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return "the server does not speak TLS at this port: write redis:// instead of rediss://, or use its port for TLS"
    if isinstance(cause, ssl.SSLError) and "CERTIFICATE_REQUIRED" in str(cause.reason):
        return "the server asks for a certificate of the client: give ssl_certfile= and ssl_keyfile= in the URL"
    if isinstance(cause, ssl.SSLError):
        return f"{cause.reason or cause}: compare the TLS settings of the server with the URL"
    return None
