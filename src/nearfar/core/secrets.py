"""Addresses that hold passwords: filled in from the environment, masked wherever they are shown."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from nearfar.core.errors import DataError, SettingsError

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# Up to the last "@": a password that was not percent-encoded may hold "/" and "@" itself.
PASSWORD = re.compile(r"(?P<before>://[^/:\s]*:)(?P<secret>\S+)(?=@)")
# Where no host follows: what should be the port is no number.
NO_PORT = re.compile(
    r"(?P<before>://[^/:@\s\[]+:)(?P<secret>(?!\d*(?:[/?#\s]|$))[^/?#\s@]+)(?!\S*@)"
)
HARMLESS = (
    "host|hostaddr|port|user|dbname|database|sslmode|sslrootcert|application_name|charset|"
    "connect_timeout|timeout|keepalives\\w*|tcp_user_timeout|target_session_attrs|client_encoding|"
    "schema|search_path|region|mode|cache|uri|driver|k|limit|query|model"
)
# Every value in a query but those that are known to be harmless: signatures and keys have many
# names (X-Amz-Signature, st, sig, AWSAccessKeyId).
PARAMETER = re.compile(
    rf"(?P<before>[?&;](?!(?:{HARMLESS})=)[\w.~%-]+=)(?P<secret>[^&;\s]+)", re.IGNORECASE
)
# libpq's other form, and what programs print of settings.
WORD = re.compile(
    r"(?P<before>(?<![\w?&;])(?:\w*password|passwd|pwd|passphrase|\w*secret|\w*token|api_?key)"
    r"\s*=\s*)(?P<secret>'(?:[^'\\]|\\.)*'|\"[^\"]*\"|[^\s'\"&;]+)",
    re.IGNORECASE,
)
PATTERNS = (PASSWORD, NO_PORT, PARAMETER, WORD)
# An address that is no URL, in libpq's form: nothing of it is shown, as it may be quoted anyhow.
LIBPQ = re.compile(r"(?:^|\s)(?:host|hostaddr|port|dbname|user|\w*password|service)\s*=", re.I)
SHORT = 3
"""Secrets of fewer characters stand in too many words to be looked for in errors."""

HIDDEN = "***"


class Url(str):
    """An address or path whose text is masked, and which knows what it really is.

    Printed, logged, compared or written to JSON it is the masked text. `${NAME}` stands for an
    environment variable, and is all that is ever shown of it.
    """

    _raw: str

    def __new__(cls, raw: str) -> Url:
        if isinstance(raw, Url):
            return raw
        made = super().__new__(cls, _shown(raw))
        made._raw = raw
        return made

    def reveal(self) -> str:
        """The address itself, with environment variables in place; for connecting only.

        A variable that stands for the user or the password alone is percent-encoded.

        Raises:
            SettingsError: a variable is not set.
        """
        raw = self._raw
        start, end = raw.find("://"), raw.rfind("@")

        def value(found: re.Match[str]) -> str:
            name = found.group(1)
            if name not in os.environ:
                raise SettingsError(f"{self}: the environment variable {name} is not set; set it")
            inside = 0 <= start < found.start() < end
            return quote(os.environ[name], safe="") if inside else os.environ[name]

        return REFERENCE.sub(value, raw)

    def for_database(self) -> str:
        """`reveal`, of a database's address that drivers read as it is meant.

        Raises:
            SettingsError: a variable is not set, or the password holds "/" or "@" as they are,
                which drivers would take for the host, and name in errors.
        """
        revealed = self.reveal()
        found = PASSWORD.search(revealed)
        if found and set(found["secret"]) & set("/@"):
            raise SettingsError(
                f"{self}: the password holds '/' or '@', which must be percent-encoded; put it in "
                "an environment variable and ${NAME} in its place, which does so"
            )
        return revealed

    def hide(self, text: str) -> str:
        """The text with every secret of this address masked, however it came in there."""
        with contextlib.suppress(SettingsError):
            revealed = self.reveal()
            found = {m["secret"] for p in PATTERNS for m in p.finditer(revealed)}
            start, end = revealed.find("://"), revealed.rfind("@")
            if 0 <= start < end:  # also with spaces in it
                found.add(revealed[start + 3 : end].partition(":")[2])
            found |= {unquote(secret) for secret in found}
            found = {secret.strip("'\"") for secret in found if len(secret) >= SHORT}
            for secret in sorted(found, key=len, reverse=True):
                text = text.replace(secret, HIDDEN)
        return masked(text)

    @contextlib.contextmanager
    def errors(self, doing: str, *kinds: type[Exception]) -> Iterator[None]:
        """Errors of the libraries below, `kinds`, as a DataError of one line without secrets."""
        try:
            yield
        except kinds as error:
            raise DataError(self.told(doing, error)) from None

    def told(self, doing: str, error: Exception) -> str:
        """Return one line without secrets on an error of a library below."""
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = self.hide(lines[0].strip()) if lines else type(error).__name__
        return f"{self}: cannot {doing} ({reason})"


def masked(text: str) -> str:
    """The text with passwords and tokens of addresses masked; `${NAME}` stays, it is no secret."""
    for pattern in PATTERNS:
        text = pattern.sub(_masked, text)
    return text


def _shown(raw: str) -> str:
    """An address as it may be shown; of one in libpq's form nothing, as it may be quoted anyhow."""
    scheme, found, rest = raw.partition("://")
    if not found:
        return HIDDEN if LIBPQ.search(raw) else masked(raw)
    before, at, host = rest.rpartition("@")
    user, colon, secret = before.partition(":")
    place = rest
    # Within an address, spaces end no password.
    if at and colon and "/" not in user and not REFERENCE.fullmatch(secret):
        place = f"{user}:{HIDDEN}@{host}"
    return masked(f"{scheme}://{place}")


def _masked(found: re.Match[str]) -> str:
    secret = found["secret"]
    return found["before"] + (secret if REFERENCE.fullmatch(secret) else HIDDEN)
