"""A list of our own of what a screen reader and a keyboard need, held against every view."""

import re
from html.parser import HTMLParser

import pytest

from tests.cli.web.support import PATHS
from tests.support import sample_jobs
from tests.support.hostile import HostileWorld
from workers import Queue

VOID = {"input", "meta", "link", "br", "path", "rect", "circle", "img"}
NAMED = {"a", "button", "summary", "th"}


class Outline(HTMLParser):
    """Reads a page for what is missing in it."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []
        self.landmarks: list[str] = []
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self._open: list[tuple[str, dict[str, str], list[str]]] = []

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        self.ids += [given["id"]] if "id" in given else []
        self.references += given.get("aria-labelledby", "").split()
        if tag in ("header", "nav", "main", "footer"):
            self.landmarks.append(tag)
        if tag in ("nav", "dialog") and not (given.get("aria-label") or given.get("aria-labelledby")):
            self.problems.append(f"{tag} without a name")
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag in ("input", "select", "textarea") and given.get("type") != "hidden":
            is_named = given.get("aria-label") or any(outer == "label" for outer, _, _ in self._open)
            self.problems += [] if is_named else [f"{tag} {given.get('name')} without a label"]
        if tag == "th" and "scope" not in given:
            self.problems.append("th without scope")
        if tag == "svg" and not (given.get("aria-hidden") or given.get("aria-label")):
            self.problems.append("a drawing without a name")
        if tag == "progress" and not (given.get("aria-label") or given.get("aria-labelledby")):
            self.problems.append("progress without a name")
        self._check_reach(tag, given)
        if "style" in given or any(name.startswith("on") for name in given):
            self.problems.append(f"{tag} with an inline style or script")
        if given.get("tabindex", "0") not in ("0", "-1"):
            self.problems.append("an order of its own for the keyboard")
        if tag not in VOID:
            self._open.append((tag, given, []))

    def _check_reach(self, tag, given):
        """What scrolls is reached by the keyboard, and a row that becomes a card says what its values are."""
        classes = given.get("class", "").split()
        if (tag == "pre" or "tail" in classes) and not (
            given.get("tabindex") == "0" and (given.get("aria-label") or given.get("aria-labelledby"))
        ):
            self.problems.append(f"{tag} that scrolls, and the keyboard does not reach it")
        if tag in ("a", "button", "input", "select", "textarea"):
            for _, outer, _ in self._open:
                outer["holds"] = tag
        if tag == "td" and "r" in classes and "data-label" not in given and self._is_in("cards"):
            self.problems.append("a number that says on a phone not what it is")

    def _is_in(self, name):
        return any(name in outer.get("class", "").split() for _, outer, _ in self._open)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data):
        for _, _, texts in self._open:
            texts.append(data.strip())

    def handle_endtag(self, tag):
        while self._open:
            name, given, texts = self._open.pop()
            if "scroll" in given.get("class", "").split() and not ("holds" in given or given.get("tabindex") == "0"):
                self.problems.append(f"{name} that scrolls, and the keyboard does not reach it")
            if name in NAMED and not ("".join(texts) or given.get("aria-label")) and not (name == "th" and "checkbox" in str(texts)):
                self.problems.append(f"an empty {name}") if name != "th" else None
            if name == tag:
                break


@pytest.fixture
def paths(bus):
    job = Queue("default", connection=bus.redis).enqueue(sample_jobs.add, "1")
    Queue("default", connection=bus.redis).enqueue(sample_jobs.add_when_svc_is_there, "2")
    bus.publish("prices", 1)
    return [*PATHS, f"/job/{job.id}", "/topic/prices", f"/action/cancel?id={job.id}", "/login", "/nope"]


FULL = (
    *("/", "/?hours=72", "/jobs", "/jobs?status=failed", "/services", "/service/svc", "/queues", "/workers", "/cron", "/topics"),
    *("/topic/services", "/job/evil", "/job/evil-failed", "/job/evil-finished", "/job/evil-deferred", "/action/kill?name=svc"),
)
"""Views with rows in each of their tables."""


@pytest.mark.parametrize("is_full", [False, True])
def test_every_view_has_what_a_keyboard_and_a_screen_reader_need(bus, page, paths, request, is_full):
    if is_full:
        request.addfinalizer(HostileWorld(bus).close)
    for path in FULL if is_full else paths:
        html = page.get(path).text
        outline = Outline()
        outline.feed(html)
        assert outline.problems == [], path
        assert {"header", "main", "footer"} <= set(outline.landmarks), path
        assert outline.landmarks.count("main") == 1
        assert outline.levels.count(1) == 1, path
        assert all(after <= before + 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False)), (path, outline.levels)
        assert len(outline.ids) == len(set(outline.ids)), path
        assert set(outline.references) <= set(outline.ids), path
        assert '<html lang="en">' in html
        assert "<title>" in html
        assert 'class="skip" href="#main"' in html
        assert 'name="viewport" content="width=device-width, initial-scale=1"' in html


def test_what_is_missing_is_found():
    outline = Outline()
    outline.feed("<nav><a href='/'></a></nav><input name=x><th>a</th><svg></svg><p style='x' onclick='y'>z</p>")
    assert len(outline.problems) == 6
    outline = Outline()
    outline.feed("<pre>a</pre><ol class='tail log'></ol><div class='scroll'><p>a</p></div><table class=cards><td class='r'>1</td></table>")
    assert len(outline.problems) == 4
    outline = Outline()
    outline.feed("<pre tabindex=0 aria-label=a>a</pre><div class='scroll'><a href='/'>a</a></div><td class=r>1</td>")
    assert outline.problems == []
