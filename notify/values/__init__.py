"""Values that travel: what can be written as JSON, in which form, and how it comes back by the annotations of a function.

Events, states, requests and jobs write and read their values with it.
It knows no Redis, and nothing about where a value goes.
"""

from notify.values.change import Against, ChangedBy
from notify.values.encoder import Encodable, Json, check_json, encode_json, encoding_problem, json_text, wire_encoder
from notify.values.signature import Signature
from notify.values.size import check_size, in_batches, size_problem
from notify.values.text import counted, is_text

__all__ = [
    "Against",
    "ChangedBy",
    "Encodable",
    "Json",
    "Signature",
    "check_json",
    "check_size",
    "counted",
    "encode_json",
    "encoding_problem",
    "in_batches",
    "is_text",
    "json_text",
    "size_problem",
    "wire_encoder",
]
