"""Addresses with passwords: read from the environment, and masked wherever they are shown."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from nearfar.core.errors import DataError, SettingsError

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Up to the last "@": a password that is not percent-encoded may contain "/" and "@".
PASSWORD = re.compile(r"(?P<before>://[^/:\s]*:)(?P<secret>\S+)(?=@)")
# Without a host after it: the text in the place of the port is not a number.
NO_PORT = re.compile(
    r"(?P<before>://[^/:@\s\[]+:)(?P<secret>(?!\d*(?:[/?#\s]|$))[^/?#\s@]+)(?!\S*@)"
)
HARMLESS = (
    "host|hostaddr|port|user|dbname|database|sslmode|sslrootcert|application_name|charset|"
    "connect_timeout|timeout|keepalives\\w*|tcp_user_timeout|target_session_attrs|client_encoding|"
    "schema|search_path|region|mode|cache|uri|driver|k|limit|query|model"
)
# Every value in a query except those known to be harmless, because signatures and keys have many
# names (X-Amz-Signature, st, sig, AWSAccessKeyId).
PARAMETER = re.compile(
    rf"(?P<before>[?&;](?!(?:{HARMLESS})=)[\w.~%-]+=)(?P<secret>[^&;\s]+)", re.IGNORECASE
)
# libpq's keyword form, and settings as programs print them.
WORD = re.compile(
    r"(?P<before>(?<![\w?&;])(?:\w*password|passwd|pwd|passphrase|\w*secret|\w*token|api_?key)"
    r"\s*=\s*)(?P<secret>'(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^\s'\"&;]+)",
    re.IGNORECASE,
)
PATTERNS = (PASSWORD, NO_PORT, PARAMETER, WORD)
# An address in libpq's keyword form is hidden entirely, because it may be quoted in any way.
LIBPQ = re.compile(r"(?:^|\s)(?:host|hostaddr|port|dbname|user|\w*password|service)\s*=", re.I)
SHORT = 3
"""Secrets of fewer characters are not replaced in errors: they occur in too many words."""

HIDDEN = "***"


class Url(str):
    """An address or path whose text is masked; `reveal` returns the real one.

    Printed, logged, compared or written to JSON, it is the masked text. `${NAME}` is an environment
    variable, and is shown instead of its value.
    """

    _raw: str

    def __new__(cls, raw: str) -> Url:
        if isinstance(raw, Url):
            return raw
        url = super().__new__(cls, _mask_address(raw))
        url._raw = raw
        return url

    def reveal(self) -> str:
        """Return the real address, with environment variables filled in; only for connecting.

        A variable in the user or the password is percent-encoded.

        Raises:
            SettingsError: a variable is not set.
        """
        raw = self._raw
        start, end = raw.find("://"), raw.rfind("@")

        def value(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in os.environ:
                raise SettingsError(f"{self}: the environment variable {name} is not set; set it")
            in_credentials = 0 <= start < match.start() < end
            return quote(os.environ[name], safe="") if in_credentials else os.environ[name]

        return REFERENCE.sub(value, raw)

    def for_database(self) -> str:
        """Return the real address of a database, after checking that drivers parse it correctly.

        Raises:
            SettingsError: a variable is not set, or the password contains "/" or "@" unencoded:
                drivers would take a part of it for the host, and show it in errors.
        """
        revealed = self.reveal()
        match = PASSWORD.search(revealed)
        if match and set(match["secret"]) & set("/@"):
            raise SettingsError(
                f"{self}: the password contains '/' or '@', which must be percent-encoded; put it "
                "in an environment variable and write ${NAME} instead, which encodes it"
            )
        return revealed

    def hide(self, text: str) -> str:
        """Return the text with every secret of this address masked."""
        with contextlib.suppress(SettingsError):
            revealed = self.reveal()
            secrets = {m["secret"] for p in PATTERNS for m in p.finditer(revealed)}
            start, end = revealed.find("://"), revealed.rfind("@")
            if 0 <= start < end:  # a password may contain spaces
                secrets.add(revealed[start + 3 : end].partition(":")[2])
            secrets |= {unquote(secret) for secret in secrets}
            secrets = {secret.strip("'\"") for secret in secrets if len(secret) >= SHORT}
            for secret in sorted(secrets, key=len, reverse=True):
                text = text.replace(secret, HIDDEN)
        return masked(text)

    @contextlib.contextmanager
    def errors(self, doing: str, *kinds: type[Exception]) -> Iterator[None]:
        """Convert errors of a library, of these kinds, to a DataError of one line without secrets.

        Args:
            doing: what failed, after "cannot", such as "read it".
            kinds: classes of the errors to convert.
        """
        try:
            yield
        except kinds as error:
            raise DataError(self.error_message(doing, error)) from None

    def error_message(self, doing: str, error: Exception) -> str:
        """Return a message of one line without secrets for an error of a library."""
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = self.hide(lines[0].strip()) if lines else type(error).__name__
        return f"{self}: cannot {doing} ({reason})"


def masked(text: str) -> str:
    """Return the text with passwords and tokens of addresses masked; `${NAME}` is not masked."""
    for pattern in PATTERNS:
        text = pattern.sub(_mask_match, text)
    return text


def _mask_address(raw: str) -> str:
    """Return an address as it may be shown; one in libpq's keyword form is hidden entirely."""
    scheme, separator, location = raw.partition("://")
    if not separator:
        return HIDDEN if LIBPQ.search(raw) else masked(raw)
    credentials, at, host = location.rpartition("@")
    user, colon, secret = credentials.partition(":")
    # Here a password may contain spaces, which would end it in running text.
    if at and colon and "/" not in user and not REFERENCE.fullmatch(secret):
        location = f"{user}:{HIDDEN}@{host}"
    return masked(f"{scheme}://{location}")


def _mask_match(match: re.Match[str]) -> str:
    secret = match["secret"]
    return match["before"] + (secret if REFERENCE.fullmatch(secret) else HIDDEN)
