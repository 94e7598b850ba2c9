"""A report beside the page."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path

import pytest

from nearfar.core.errors import DataError
from nearfar.web import report_file
from nearfar.web.report_file import read_report
from nearfar.web.settings import ServiceSettings
from tests.web.cases import Answering, bundles

SCRIPT = "let a = '<b>&amp;';\nlet b = 1;\n"
HTML = (
    '<!doctype html>\r\n<html><body><script type="application/json">{"a": 1}</script>'
    f"<p>A report</p><script>{SCRIPT}</script></body></html>"
)


def hash_of(script: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def service(folder: Path, report: Path | None, token: str | None = None) -> Answering:
    settings = ServiceSettings(bundles=bundles(folder), threads=1, report=report, token=token)
    return Answering(settings)


def test_it_is_served_as_it_is_and_only_its_own_scripts_run(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_bytes(HTML.replace("\n", "\r\n").replace("\r\r", "\r").encode())
    answering = service(tmp_path, path, token="a-secret-of-some-length")
    answer = answering.ask("GET", "/report")  # as the page, without a token
    assert answer.status_code == 200
    assert answer.content == path.read_bytes()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";")
    )
    # Browsers read every end of a line as one character; data blocks are no scripts.
    assert policy["script-src"] == f"{hash_of(SCRIPT)} 'unsafe-eval'"
    assert policy["default-src"] == "'none'"
    assert policy["sandbox"] == "allow-scripts allow-downloads"
    assert "connect-src" not in policy
    again = answering.ask("GET", "/report", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "script-src 'self'" in answering.ask("GET", "/").headers["Content-Security-Policy"]


def test_the_models_tell_whether_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text(HTML)
    assert service(tmp_path / "a", path).ask("GET", "/v1/model").json()["report"] is True
    without = service(tmp_path / "b", None)
    assert without.ask("GET", "/v1/model").json()["report"] is False
    assert without.ask("GET", "/report").status_code == 404


def test_what_is_no_report_is_refused_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = {"text.html": b"A report\n", "data.html": b'{"a": 1}', "latin.html": b"<html>\xe9"}
    told = {"text.html": "is not HTML", "data.html": "is not HTML", "latin.html": "UTF-8"}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=told[name]):
            read_report(tmp_path / name)
    with pytest.raises(DataError, match=r"missing\.html does not exist; give the HTML file"):
        service(tmp_path / "web", tmp_path / "missing.html")
    with pytest.raises(DataError, match="is a folder"):
        read_report(tmp_path)
    (tmp_path / "large.html").write_text(HTML)
    monkeypatch.setattr(report_file, "MAX_BYTES", 10)
    with pytest.raises(DataError, match="is larger than"):
        read_report(tmp_path / "large.html")
