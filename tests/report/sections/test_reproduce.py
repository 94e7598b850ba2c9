"""Settings and fingerprints: enough to make it all again."""

from dataclasses import replace

from nearfar.bundle.bundle import Bundle
from nearfar.report.sections.reproduce import section
from tests.pages.reading import Page, section_html
from tests.report.cases import EVIL_NAME, plain_report, split

NAMES = ("alignment.weight", "epochs")


def test_bundles_settings_and_fingerprints_are_told() -> None:
    report = plain_report()
    found = Page(section_html(section(report, "my split", "nearfar report x --out y.html")))
    for words in (
        split().fingerprint, split().train.fingerprint, "these training users", "beta.steps",
        "nearfar train ease --data 'my split' --out ease --seed 3 --set l2=10.0",
        "nearfar report x --out y.html", "120", f"{split().train.n_interactions:,}", "torch",
    ):  # fmt: skip
        assert words in found.words, words
    metadata = report.measured["plain"].bundle.metadata
    assert metadata.created in found.words
    assert metadata.versions["python"] in found.words


def test_settings_that_differ_come_first() -> None:
    body = section_html(section(plain_report("plain", EVIL_NAME), "s", "c"))
    settings = [line for line in body.splitlines() if 'scope="row"' in line]
    place = {name: n for n, line in enumerate(settings) for name in NAMES if f">{name}<" in line}
    assert place["alignment.weight"] < place["epochs"]  # only one of the two has it
    assert "-: there is no such setting." in body
    assert "-: there" not in section_html(section(plain_report("plain"), "s", "c"))
    mixed = section_html(section(plain_report("ease", "plain"), "s", "c"))
    assert mixed.index(">l2<") < mixed.index(">epochs<")  # of different algorithms; none differs


def test_bundles_of_other_data_do_not_claim_this() -> None:
    report = plain_report("pop")
    one = report.measured["pop"]
    metadata = replace(one.bundle.metadata, data={"fingerprint": "of other data"})
    other = replace(one, bundle=Bundle(one.bundle.model, one.bundle.items, metadata))
    found = Page(section_html(section(replace(report, measured={"pop": other}), "s", "c")))
    assert "nearfar train popularity --data DATA" in found.words
    assert "others" in found.words


def test_settings_that_no_command_says_are_in_the_table() -> None:
    report = plain_report("pop")
    one = report.measured["pop"]
    metadata = replace(
        one.bundle.metadata, algorithm="their_package.their_module.Theirs", settings={"a": 1}
    )
    other = replace(one, bundle=Bundle(one.bundle.model, one.bundle.items, metadata))
    found = Page(section_html(section(replace(report, measured={"pop": other}), "s", "c")))
    assert "its settings cannot be given on a command line" in found.words
    assert "their_package.their_module.Theirs" in found.words
