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
PARAMETER = re.compile(
    r"(?P<before>[?&;](?:\w*password|passwd|pwd|\w*secret\w*|\w*token|api_?key|access_?key|sig)=)"
    r"(?P<secret>[^&;\s]+)",
    re.IGNORECASE,
)
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
        made = super().__new__(cls, masked(raw))
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
            found = {m["secret"] for p in (PASSWORD, PARAMETER) for m in p.finditer(revealed)}
            found |= {unquote(secret) for secret in found}
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
    for pattern in (PASSWORD, PARAMETER):
        text = pattern.sub(_masked, text)
    return text


def _masked(found: re.Match[str]) -> str:
    secret = found["secret"]
    return found["before"] + (secret if REFERENCE.fullmatch(secret) else HIDDEN)
