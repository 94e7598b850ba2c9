"""Passwords come from the environment and are shown nowhere."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import DataError, NearfarError, SettingsError
from nearfar.core.secrets import Url, masked
from nearfar.core.settings import to_plain
from nearfar.store.sinks.sql import SQLRecommendations
from nearfar.store.sources.sql import SQLEvents
from tests.store.cases import DAY, SINCE, UNTIL

SECRET = "s3cr3t/w:th@odd%chars"


def test_variables_are_filled_in_and_encoded_where_they_are_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    monkeypatch.setenv("SHOP_HOST", "db.example:5432")
    url = Url("postgresql://me:${SHOP_PASSWORD}@${SHOP_HOST}/shop")
    assert str(url) == "postgresql://me:${SHOP_PASSWORD}@${SHOP_HOST}/shop"
    assert url.reveal() == "postgresql://me:s3cr3t%2Fw%3Ath%40odd%25chars@db.example:5432/shop"
    monkeypatch.setenv("SHOP_URL", f"postgresql://me:{SECRET}@host/shop")
    whole = Url("${SHOP_URL}")
    assert whole.reveal() == f"postgresql://me:{SECRET}@host/shop"
    assert SECRET not in whole.hide(f"cannot reach postgresql://me:{SECRET}@host/shop")
    monkeypatch.setenv("DATA", "/data of/all")
    assert Url("${DATA}/events").reveal() == "/data of/all/events"
    with pytest.raises(SettingsError, match="environment variable NO_SUCH is not set"):
        Url("postgresql://me:${NO_SUCH}@host/shop").reveal()


@pytest.mark.parametrize(
    ("given_url", "shown"),
    [
        ("postgresql://me:pw@host/shop", "postgresql://me:***@host/shop"),
        ("postgresql://:pw@host/shop", "postgresql://:***@host/shop"),
        ("postgresql://me@host/shop?password=pw", "postgresql://me@host/shop?password=***"),
        ("postgresql:///shop?user=me&sslpassword=pw", "postgresql:///shop?user=me&sslpassword=***"),
        ("postgresql://me:p@w/x@host/shop", "postgresql://me:***@host/shop"),
        ("s3://bucket/a/b:c", "s3://bucket/a/b:c"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("postgresql://host:5432/shop", "postgresql://host:5432/shop"),
        ("postgresql://me@corp:pw@host/shop", "postgresql://me@corp:***@host/shop"),
        ("no postgresql://me:pw@host/shop now", "no postgresql://me:***@host/shop now"),
        ("postgresql://me:pw-1/shop", "postgresql://me:***/shop"),
        ("postgresql://[::1]:5432/shop", "postgresql://[::1]:5432/shop"),
        ("https://b/x?X-Amz-Signature=ab&k=3", "https://b/x?X-Amz-Signature=***&k=3"),
        ("https://b/x?st=2026&se=2027&sig=a%2B", "https://b/x?st=***&se=***&sig=***"),
        ("s3://b/x?AWSAccessKeyId=A&region=eu", "s3://b/x?AWSAccessKeyId=***&region=eu"),
        ("it said: password=pw host=h", "it said: password=*** host=h"),
        ("PGPASSWORD='p w\\' x' host=h", "PGPASSWORD=*** host=h"),
        ("sslpassword = pw", "sslpassword = ***"),
    ],
)  # fmt: skip
def test_passwords_are_masked(given_url: str, shown: str) -> None:
    assert masked(given_url) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("host=h user=me password='s3cret w'", "***"),
        ("dbname=shop password=s3cret", "***"),
        ("postgresql://me:s3cret w@host/shop", "postgresql://me:***@host/shop"),
        ("postgresql://me:s3cret\nw@host/shop", "postgresql://me:***@host/shop"),
        ("events/date=2026-01-01", "events/date=2026-01-01"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
    ],
)
def test_addresses_of_other_forms_show_no_secret(raw: str, shown: str) -> None:
    assert str(Url(raw)) == shown
    assert "s3cret" not in Url(raw).hide(f"connection to {raw} failed")
    with pytest.raises(NearfarError) as caught:
        SQLRecommendations(raw).dates()
    assert "s3cret" not in str(caught.value)


def test_what_the_program_and_the_registry_tell_is_masked_too(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from nearfar.cli import main
    from nearfar.jobs.job import recorded
    from nearfar.jobs.registry import Registry

    def failing(*_: Any, **__: Any) -> None:
        raise OSError("no answer for password=s3cret at https://b/x?X-Amz-Signature=s3cret")

    monkeypatch.setattr(main, "app", failing)
    assert main.run([]) == 1
    assert "s3cret" not in capsys.readouterr().err
    with pytest.raises(OSError, match="no answer"), recorded(Registry(tmp_path), "score"):
        failing()
    assert "s3cret" not in (tmp_path / "events.jsonl").read_text()
    assert "no answer" in (tmp_path / "events.jsonl").read_text()


PASSWORDS = st.text(
    st.characters(blacklist_categories=("Cs", "Z", "Cc"), blacklist_characters="$"), min_size=8
)


# Words of every address and every source's settings, which would be found in them by chance.
ORDINARY = repr(SQLEvents("postgresql://me:***@host/shop?password=***", "events")) + repr(
    SQLRecommendations("postgresql://h/d")
)


@given(PASSWORDS)
def test_no_password_is_ever_shown(password: str) -> None:
    for url in (f"postgresql://me:{password}@host/shop", f"postgresql://h/d?password={password}"):
        if "&" in password or ";" in password or password in ORDINARY:
            continue
        sink, source = SQLRecommendations(url), SQLEvents(url, "events")
        hidden = Url(url)
        shown = [
            *(repr(x) for x in (sink, source, hidden)),
            *(json.dumps(to_plain(x), ensure_ascii=False) for x in (sink, source)),
            f"{hidden} {hidden!s} {hidden:>3}",
            str(vars(source)),
            hidden.hide(f"no way to {url} with '{password}'"),
        ]
        assert not [text for text in shown if password in text]
        assert hidden.reveal() == copy.deepcopy(hidden).reveal() == Url(sink.url).reveal() == url


def test_errors_of_libraries_are_one_line_without_secrets() -> None:
    url = Url(f"postgresql://me:{SECRET}@host/shop")
    with pytest.raises(DataError) as caught, url.errors("read it", ValueError):
        raise ValueError(f"\nno {SECRET} at\n{url.reveal()}")
    assert str(caught.value) == "postgresql://me:***@host/shop: cannot read it (no *** at)"
    assert caught.value.__suppress_context__
    with pytest.raises(KeyError), url.errors("read it", ValueError):
        raise KeyError("not of the library")


def test_a_wrong_password_is_not_told(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG", "wrong/p@ssword")
    url = postgres.url.replace("NEARFAR_THROWAWAY_PASSWORD", "WRONG")
    for attempt in (
        lambda: SQLEvents(url, "events").read(SINCE, UNTIL),
        lambda: SQLRecommendations(url).dates(),
        lambda: SQLRecommendations(url).delete(DAY),
    ):
        with pytest.raises(DataError, match="password authentication failed") as caught:
            attempt()
        text = str(caught.value)
        assert "wrong/p@ssword" not in text
        assert "wrong%2Fp" not in text
        assert "\n" not in text


def test_an_address_that_cannot_be_parsed_does_not_tell_its_password() -> None:
    # Not percent-encoded, drivers take a piece of the password for a port and say so.
    for url, told in (
        ("postgresql://me:hidden/5432@host/shop", "must be percent-encoded"),
        ("postgresql://me:p@hidden:hidden@host/shop", "must be percent-encoded"),
        ("postgresql://me:hidden%zz@host/shop", "host/shop: cannot"),
        ("postgresql://me:hidden@host:port/shop", "host:port/shop: cannot"),
    ):
        for attempt in (
            lambda url=url: SQLEvents(url, "events").read(SINCE, UNTIL),
            lambda url=url: SQLRecommendations(url).dates(),
        ):
            with pytest.raises(NearfarError, match=told) as caught:
                attempt()
            assert "hidden" not in str(caught.value)


def test_a_missing_extra_is_told_before_work(monkeypatch: pytest.MonkeyPatch) -> None:
    import nearfar.core.extras as requirements
    from nearfar.core.errors import MissingExtraError

    monkeypatch.setattr(requirements, "find_spec", lambda name: None)
    url = "postgresql://me@host/shop"
    for checked in (SQLEvents(url, "events"), SQLRecommendations(url)):
        with pytest.raises(MissingExtraError, match=r"pip install 'nearfar\[sql\]'"):
            checked.check()
    with pytest.raises(MissingExtraError):
        SQLEvents(url, "events").read(SINCE, UNTIL)
    SQLRecommendations("sqlite:///x.db").check()
