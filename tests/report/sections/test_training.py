"""Training curves: the records, the epoch that was kept, and bundles without records."""

from dataclasses import replace

from nearfar.bundle.bundle import Bundle
from nearfar.pages.chart import Axis, Line, LineChart
from nearfar.pages.plotly import plotly_figure
from nearfar.report.report import MeasuredBundle
from nearfar.report.sections.training import section
from tests.pages.reading import Page, section_html
from tests.report.cases import EVIL_NAME, plain_report


def page(*names: str) -> Page:
    return Page(section_html(section(plain_report(*names).measured)))


def test_curves_are_the_records() -> None:
    found = page()
    measured = plain_report().measured
    titles = [caption for caption in ("Validation NDCG@100", "Reconstruction loss",
              "KL divergence from the prior", "Distance to the item anchors (A)",
              "Weight of the KL divergence (beta)", "Weight of alignment (λ_A)",
              "Collapsed latent dimensions") if caption in found.words]  # fmt: skip
    assert len(titles) == 7
    lines = [t for t in found.figures["training-1"]["data"] if t["mode"] != "markers"]
    assert [line["name"] for line in lines] == [
        "plain",
        EVIL_NAME.replace("<", "&lt;").replace(">", "&gt;"),
    ]
    records = measured["plain"].bundle.metadata.training
    name = next(iter(records[0]["validation"]))
    assert lines[0]["x"] == [1, 2, 3, 4, 5]
    assert lines[0]["y"] == [record["validation"][name] for record in records]


def test_the_epoch_that_was_kept_is_marked_and_told() -> None:
    found = page("plain")
    records = plain_report("plain").measured["plain"].bundle.metadata.training
    kept = max(place for place, record in enumerate(records) if record["best"])
    (mark,) = [t for t in found.figures["training-1"]["data"] if t["mode"] == "markers"]
    assert mark["x"] == [kept + 1]


def test_bundles_without_epochs_say_so() -> None:
    found = page("pop", "ease")
    assert "pop has no record of epochs" in found.words
    assert not found.figures
    assert not found.of("table")


def test_odd_records_are_drawn_as_far_as_they_go() -> None:
    """Records of other versions may lack anything; what is not finite was stored as None."""
    one = plain_report("plain").measured["plain"]
    training = [{"epoch": 0, "loss": 1.0}, {"terms": {"reconstruction": None, "own": 2.0}}, {}]
    odd = Bundle(
        one.bundle.model, one.bundle.items, replace(one.bundle.metadata, training=training)
    )
    measured = MeasuredBundle(odd, one.test, one.shown)
    found = Page(section_html(section({"odd": measured})))
    assert "Term own" in found.words
    assert "Reconstruction loss" not in found.words


def test_no_tick_of_epochs_stands_between_whole_numbers() -> None:
    axis = page().figures["training-1"]["layout"]["xaxis"]
    assert axis["dtick"] == 1
    assert axis["tickformat"] == "d"
    long = LineChart("t", [Line("a", range(1, 121), [0.0] * 120)], Axis("epoch", whole=True))
    assert plotly_figure(long)["layout"]["xaxis"]["dtick"] == 20
