"""A client of the page that reads its forms."""

import re
from html.parser import HTMLParser
from typing import Any

PATHS = ("/", "/jobs", "/services", "/queues", "/workers", "/cron", "/topics")
"""The views that need no name."""


class Page:
    """Asks the page, and sends its forms back."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, headers={"accept": "text/html", **options.pop("headers", {})}, **options)

    def text(self, path: str) -> str:
        """The text of a view that is there."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return text_of(answer.text)

    def act(self, path: str, **fields: str) -> Any:
        """Open the page that asks, and send its form."""
        asked = self.get(path)
        assert asked.status_code == 200, asked.text
        token = re.search(r'class="confirm".*?name="csrf" value="([0-9a-f]+)"', asked.text, re.DOTALL)
        assert token, asked.text
        return self.client.post(path, data={"csrf": token[1], **fields}, headers={"accept": "text/html"})


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def text_of(html: str) -> str:
    """The text of a page, in one line."""
    parser = _Text()
    parser.feed(html)
    return " ".join(" ".join(parser.parts).split())
