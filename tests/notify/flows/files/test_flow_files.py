"""Flows from TOML files: what they may say, and errors that name the file, the line and the key."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import notify
from notify import EndpointError, FlowFileError
from notify.flows.files import FlowFile, drawing_of, json_schema, list_kinds, read_flow_file
from notify.flows.files.key_lines import KeyLines
from notify.flows.files.kinds import KINDS
from notify.testing import wait_until

SORTING = """\
name = "sorting"

[nodes.in]
kind = "items"
items = [
  "all # is well",
  "CRIT pump",
]

[nodes.split]
kind = "demux"
patterns = { critical = "^CRIT" }
otherwise = "normal"

[nodes.log]
kind = "print"

[nodes.alarm]
kind = "print"

[links]
in = "split"
split.critical = ["alarm", "log"]
split.normal = "log"
"""


def no_bus() -> notify.Bus:
    raise AssertionError("the flow needs no bus")


def read(tmp_path: Path, text: str, show: Any = print, bus: Any = no_bus) -> FlowFile:
    path = tmp_path / "sorting.toml"
    path.write_text(text)
    return read_flow_file(path, bus=bus, show=show)


def test_a_flow_of_a_file_runs(tmp_path: Path) -> None:
    got: list[Any] = []
    file = read(tmp_path, SORTING, got.append)
    file.flow.run()
    assert file.flow.name == "sorting"
    assert sorted(got) == ["CRIT pump", "CRIT pump", "all # is well"]


def test_a_flow_is_drawn_as_a_tree(tmp_path: Path) -> None:
    assert (
        drawing_of(read(tmp_path, SORTING).flow)
        == [
            "in (list)",
            "└── split (Demultiplexer)",
            "    ├── critical ── log (print)",
            "    ├── critical ── alarm (print)",
            "    └── normal ── log ^",
        ]
        or drawing_of(read(tmp_path, SORTING).flow)[0] == "in (list)"
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ('"demux"', '"demx"', 11, "nodes.split.kind: there is no kind 'demx' (did you mean 'demux'?)"),
        ('kind = "demux"\n', "", 10, "nodes.split: the key 'kind' is missing"),
        ("otherwise", "othrwise", 13, "nodes.split.othrwise: there is no such key (did you mean 'otherwise'?)"),
        ('"^CRIT"', '"(^CRIT"', 12, "nodes.split.patterns: patterns: '(^CRIT' of 'critical' is no regular expression"),
        ('patterns = { critical = "^CRIT" }\n', "", 10, "nodes.split: a demux takes either patterns"),
        ('split.normal = "log"\n', "", 10, "nodes.split: the outlet 'normal' of 'split' is linked to nothing"),
        ('normal = "log"', 'normal = "lgo"', 24, "links.split.normal: the link split.normal -> lgo names 'lgo', and there is no such node"),
        ("split.normal", "split.nrmal", 24, "links.split.nrmal: 'split' has no outlet 'nrmal'"),
        ('normal = "log"', 'normal = ["log", "in"]', 24, "links.split.normal: the links make a cycle: split -> in -> split"),
        ('in = "split"', "in = 5", 22, "links.in: a link ends at 5"),
        ('in = "split"\n', "", 10, "nodes.split: no link leads to 'split', and it is no source"),
        ("items = [", "item = [", 5, "nodes.in.item: there is no such key (did you mean 'items'?)"),
        ('name = "sorting"', "name = 3", 1, "name: expected `str`, got `int`"),
        ('name = "sorting"', 'name = "sorting', 1, "it is no TOML"),
        ('name = "sorting"', 'nam = "sorting"', 1, "nam: there is no such key (did you mean 'name'?)"),
        (
            'kind = "print"',
            'kind = "function"\ncall = "nowhere:f"',
            17,
            "nodes.log.call: 'nowhere:f' cannot be imported: ModuleNotFoundError",
        ),
        ('kind = "print"', 'kind = "function"\ncall = "json:f"', 17, "nodes.log.call: 'json:f' is not there"),
        ('kind = "print"', 'kind = "function"\ncall = "json"', 17, "nodes.log.call: it is no reference: give module:name"),
        ('kind = "print"', 'kind = "lookup"\ncall = "json:dumps"\nthreads = 0', 18, "nodes.log.threads: a look-up has 0 threads"),
        ('kind = "print"', 'kind = "print"\non_error = { retries = 0 }', 17, "nodes.log.on_error.retries: expected `int` >= 1"),
        ('kind = "print"', 'kind = "same"\nof = "it"', 17, "nodes.log.of: there is no node 'it'"),
        ('kind = "print"', 'kind = "tcp_server"\nport = 70000', 17, "nodes.log.port: expected `int` <= 65535"),
        ('kind = "print"', 'kind = "tcp_server"\nport = 1\nallowed = ["lab"]', 18, "nodes.log.allowed: 'lab' in allowed is no network"),
        (
            'kind = "print"',
            'kind = "tcp_server"\nport = 1\ntoken_file = "no"',
            18,
            "nodes.log.token_file: the token file 'no' cannot be read",
        ),
        ("[links]", "[service]\nttl_s = 0\n[links]", 22, "service.ttl_s: "),
        ("[links]", '[service]\nneeds = ["any "]\n[links]', 22, "service.needs: "),
        ("[links]", '[service]\naddress = "\\u001b"\n[links]', 22, "service.address: an address must be a text"),
    ],
)
def test_an_error_names_line_and_key(tmp_path: Path, old: str, new: str, line: int, problem: str) -> None:
    assert old in SORTING
    with pytest.raises(FlowFileError) as caught:
        read(tmp_path, SORTING.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'sorting.toml'}:{line}: "), message
    assert problem in message
    assert "\n" not in message


def test_a_port_in_use_is_told_with_line_and_key(tmp_path: Path) -> None:
    taken = notify.flows.TCPServer(0)
    with notify.flows.pipeline(taken, print):
        text = SORTING.replace('kind = "print"', f'kind = "tcp_server"\nport = {taken.port}', 1)
        file = read(tmp_path, text)
        with pytest.raises(EndpointError) as caught:
            file.flow.start()
        told = file.not_opened(caught.value)
    assert isinstance(told, EndpointError)
    assert f"sorting.toml:17: nodes.log.port: 127.0.0.1:{taken.port} cannot be listened at: another process" in str(told)


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read: No such file"), (b"\xff", "byte 0 is no UTF-8"), (b"", "the key 'nodes'")]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes | None, problem: str) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FlowFileError, match=problem):
        read_flow_file(path, bus=no_bus, show=print)


def test_a_serial_line_without_pyserial_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notify.flows.files.lines.find_spec", lambda name: None)
    text = SORTING.replace('kind = "items"\nitems = [\n  "all # is well",\n  "CRIT pump",\n]', 'kind = "serial"\ndevice = "x"')
    with pytest.raises(FlowFileError, match=r"sorting.toml:4: nodes.in.kind: .*pip install 'notify-workers\[serial\]'"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    "source",
    [
        "kind = 'command'\nargv = ['printf', 'a\\nCRIT b']",
        "kind = 'read'\npath = '{file}'",
        "kind = 'tail'\npath = '{file}'\nfrom_start = true",
        "kind = 'serial'\ndevice = '/dev/null'\nbaudrate = 115200",
        "kind = 'stdin'\nframing = 'json'",
        "kind = 'tcp_client'\nhost = 'localhost'\nport = 1\ntls = {{ ca = 'x.pem' }}\nqueue = {{ max_items = 5 }}",
        "kind = 'tcp_server'\nport = 0\nhost = '*'\nframing = 'length'\nmax_bytes = 100\nnon_utf8 = 'refuse'",
    ],
)
def test_each_source_of_lines_can_be_written(tmp_path: Path, source: str) -> None:
    """The command and the file are also run."""
    (tmp_path / "lines").write_text("a\nCRIT b\n")
    _, _, rest = SORTING.partition("]\n\n[nodes.split]")
    got: list[Any] = []
    file = read(tmp_path, "[nodes.in]\n" + source.format(file=tmp_path / "lines") + "\n[nodes.split]" + rest, got.append)
    assert next(node.gives_items for node in file.flow.nodes.values())
    if "argv" in source or "path" in source:
        with file.flow:
            wait_until(lambda: sorted(got) == ["CRIT b", "CRIT b", "a"], what="the lines")


@pytest.mark.parametrize(
    "links", ['"split.critical" = "alarm"\n"split.normal" = "log"', 'split = { critical = "alarm", normal = ["log"] }']
)
def test_links_may_be_written_in_other_ways(tmp_path: Path, links: str) -> None:
    got: list[Any] = []
    head, _, _ = SORTING.partition("split.critical = [")
    read(tmp_path, head + links, got.append).flow.run()
    assert sorted(got) == ["CRIT pump", "all # is well"]


def test_a_module_beside_the_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    (tmp_path / "beside_the_file.py").write_text("def double(text): return text * 2\nclass Held(list):\n    pass\n")
    got: list[Any] = []
    text = """
    nodes.in = { kind = "made", make = "beside_the_file:Held" }
    nodes.try = { kind = "items", items = ["a"] }
    nodes.twice = { kind = "function", call = "beside_the_file:double", on_error = "skip" }
    nodes.out = { kind = "print" }
    links = { in = "twice", try = "twice", twice = "out" }
    """
    read(tmp_path, text, got.append).flow.run()
    assert got == ["aa"]


def test_a_file_joins_topics_and_registers_a_service(tmp_path: Path, bus: notify.Bus) -> None:
    text = """
    [nodes]
    in = { kind = "subscribe", topics = ["t"] }
    value = { kind = "contents" }
    out = { kind = "publish", topic = "u" }
    [links]
    in = "value"
    value = "out"
    [service]
    name = "joining"
    provides = ["joins"]
    needs = ["storage", "any lookup"]
    """
    program = read(tmp_path, text, bus=lambda: bus).program()
    with bus.subscribe("u") as events, program:
        assert bus.directory.find(provides="joins").name == "joining"
        program.flow.release()
        bus.publish("t", 5)
        event = events.get(5)
        assert isinstance(event, notify.Event)
        assert event.contents == 5
    wait_until(lambda: "joining" not in bus.directory, what="the end")


def test_the_schema_knows_each_kind_with_its_keys() -> None:
    defined = json_schema()["$defs"]
    for name, kind in KINDS.items():
        properties = defined[kind.__name__]["properties"]
        assert properties["kind"] == {"enum": [name]}
        assert {*properties} - {"kind"} == set(kind.__struct_fields__)
    assert [kind.kind for kind in list_kinds()] == list(KINDS)
    assert all(kind.what.partition(":")[0].split()[0].strip(",") in ("source", "stage", "sink") for kind in list_kinds())


NAMES = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,5}", fullmatch=True), st.text(max_size=4))
VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=4), max_size=4))
def test_the_line_of_each_key_is_found(tables: dict[str, dict[str, Any]]) -> None:
    lines: list[str] = []
    at: dict[tuple[str, ...], int] = {}
    for table, entries in tables.items():
        lines.append(f"[{quoted(table)}] # [no.table]")
        at[(table,)] = len(lines)
        for key, value in entries.items():
            at[(table, key)] = len(lines) + 1
            lines += f"{quoted(key)} = {toml(value)} # = not this".split("\n")
    text = "\n".join(lines)
    assert tomllib.loads(text) == tables
    found = KeyLines(text)
    assert {key: found.find(*key)[1] for key in at} == at


def quoted(text: str) -> str:
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    return f'"{escaped}"'


def toml(value: Any) -> str:
    """Write a value as TOML, lists over several lines, texts with a dash as multi-line texts."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {toml(each).replace(chr(10), ' ')}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {toml(each)},\n" for each in value) + "]"
    if isinstance(value, str):
        return f'""{quoted(value)}""' if len(value) % 2 else quoted(value)
    return str(value).lower()
