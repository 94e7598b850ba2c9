"""A chart's markup: a figure as data, words for those who do not see it."""

import numpy as np
import pytest
from plotly import graph_objects as go

from nearfar.pages.charts import Chart, as_words
from tests.pages.reading import Page

EVIL = '</script><a href="http://evil.example">x</a><!--'


def chart(**changed) -> Chart:
    figure = go.Figure(layout={"height": 200})
    figure.add_scatter(x=np.arange(3.0), y=[1.0, None, 3.0], name=as_words(EVIL), text=[EVIL] * 3)
    return Chart("some-chart", EVIL, EVIL, figure, **changed)


def test_the_figure_comes_back_and_nothing_breaks_out() -> None:
    text = chart().markup()
    page = Page(text)
    assert not page.of("a")
    assert len(page.of("script")) == 1
    figure = page.figures["some-chart"]
    assert figure["data"][0]["y"] == [1.0, None, 3.0]
    assert figure["data"][0]["text"] == [EVIL] * 3
    assert figure["layout"] == {"height": 200}  # no colours: these are the page's
    assert figure["config"]["scrollZoom"] is False
    assert figure["config"]["showSendToCloud"] is False
    assert text.count("</script>") == 1


def test_words_stand_for_it_and_its_room_is_kept() -> None:
    page = Page(chart(below="<p>below</p>").markup())
    (box,) = [t for t in page.of("div") if t.get("class") == "chart"]
    assert (box["role"], box["aria-label"]) == ("img", EVIL)
    assert box["style"] == "height:200px"
    assert "below" in page.words


def test_a_wide_chart_is_scrolled_by_keys_too() -> None:
    page = Page(chart(least_width=900, wheel_zooms=True).markup())
    (wide,) = [t for t in page.of("div") if t.get("class") == "wide"]
    assert wide["tabindex"] == "0"
    assert page.figures["some-chart"]["config"]["scrollZoom"] is True


@pytest.mark.parametrize("text", ["<b>a</b>", "a & b", '"quoted"', "it's", "&lt;", "$x$"])
def test_words_are_left_to_plotly_as_plain_text(text: str) -> None:
    """Plotly knows &lt; &gt; &amp; and numbers, but not &quot;."""
    shown = as_words(text)
    assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == text
    assert "<" not in shown
