"""JSON for what RQ stores of a job: readable in ``redis-cli``, and nothing in it can run."""

import msgspec

from notify.events import Json, encode_json

__all__ = ["JsonSerializer"]


class JsonSerializer:
    """The serializer of our queues, jobs and workers. What JSON cannot hold is refused, not changed."""

    @staticmethod
    def dumps(value: object) -> bytes:
        return encode_json(value, what="the job")

    @staticmethod
    def loads(data: bytes) -> Json:
        value: Json = msgspec.json.decode(data)
        return value
