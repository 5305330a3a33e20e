"""The Lua files of the packages: each documents itself, binds its arguments to names, and keeps to the rules for keys and lifetimes."""

import re

import pytest

from tests.support.lua import COMMON, TAIL, LuaFile, lua_files

FILES = lua_files()
SCRIPTS = [pytest.param(file, id=file.name) for file in FILES if not file.is_part]
PARTS = [pytest.param(file, id=file.name) for file in FILES if file.is_part]
KINDS = ("KEYS", "ARGV")


def test_there_are_scripts_and_parts_of_scripts() -> None:
    assert {"notify.events.publish", "notify.state.swap", "workers.scripts.claim"} <= {file.name for file in FILES if not file.is_part}
    assert {file.name.rpartition(".")[2] for file in FILES if file.is_part} == {
        *(
            "append",
            "begin",
            "change",
            "count",
            "deadline",
            "edges",
            "fence",
            "first",
            "lifetimes",
            "note",
            "now",
            "presence",
            "promotion",
            "registration",
            "server_error",
        ),
        *("shorten", "whole"),
        *("withdrawal",),
        *("announce", "beside", "clock_jump", "finish", "history", "job_event", "lost_run", "needs", "outcome", "pauses", "prefixes"),
        *("rate_limit",),
        *("transitions", "wake"),
    }


@pytest.mark.parametrize("file", SCRIPTS)
def test_every_script_opens_with_its_keys_arguments_and_what_it_returns(file: LuaFile) -> None:
    for word in (*KINDS, "returns"):
        assert re.search(rf"^-- {word} ", file.header, re.MULTILINE), f"{file.name} does not document {word}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", SCRIPTS)
def test_every_script_binds_the_names_of_its_header_in_their_order(file: LuaFile, kind: str) -> None:
    documented = [name for name in file.names(kind) if name != TAIL]
    common = COMMON if documented[:2] == COMMON else []
    assert file.bound(kind) == list(enumerate(documented, 1))[len(common) :]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", SCRIPTS)
def test_a_constant_names_the_place_where_a_variable_tail_begins(file: LuaFile, kind: str) -> None:
    names = file.names(kind)
    if names[-1:] != [TAIL] or names == [TAIL, TAIL] or file.name.startswith("notify.state"):
        return  # parts/fence.lua names the places of the state scripts
    constants = dict(
        pair
        for left, right in re.findall(r"^local ((?:FIRST_\w+(?:, )?)+) = (.+)$", file.code, re.MULTILINE)
        for pair in zip(left.split(", "), right.strip().split(", "), strict=True)
    )
    places = [file.value(value) for value in constants.values() if re.fullmatch(r"(OWN|\d+)( \+ \d+)*", value)]
    assert len(names) in places, f"{file.name}: no constant is {len(names)}, where the tail of {kind} begins"


@pytest.mark.parametrize("file", [pytest.param(file, id=file.name) for file in FILES])
def test_no_key_or_argument_is_used_by_its_number(file: LuaFile) -> None:
    """Where there is only one, ``local job = KEYS[1]`` binds it."""
    code = re.sub(r"^local \w+ = (KEYS|ARGV)\[1\]$", "", file.code, flags=re.MULTILINE)
    assert re.findall(r"(?:KEYS|ARGV)\[\d+\]|\barg\(", code) == []


@pytest.mark.parametrize("file", PARTS)
def test_every_part_documents_its_functions(file: LuaFile) -> None:
    documented = "".join(line for line in file.text.splitlines(keepends=True) if line.startswith("--"))
    for function in re.findall(r"^local function (\w+)\(", file.text, re.MULTILINE):
        assert f"{function}(" in documented or function == "make_transitions", f"{file.name} does not document {function}"


@pytest.mark.parametrize("file", [each for each in SCRIPTS if each.id and each.id.startswith("notify.")])
def test_no_script_builds_a_key_or_walks_over_all_keys(file: LuaFile) -> None:
    """Keys come in through KEYS, and no step is slower the more the server holds. Scripts of jobs build RQ's keys from prefixes."""
    keys = [name for name in file.names("KEYS") if name != TAIL]
    for argument in re.findall(r"redis\.p?call\('(?!PUBLISH)[A-Z]+', ([^,)]+)", file.code):
        assert argument in (*keys, "key", "KEYS[i]", "service.key", "service.tombstone", "counts"), f"{file.name} uses the key {argument}"
    assert not re.search(r"'(KEYS|SCAN|FLUSH\w+)'", file.code)


@pytest.mark.parametrize("file", [pytest.param(file, id=file.name) for file in FILES])
def test_lifetimes_are_spelled_out_in_one_part_only(file: LuaFile) -> None:
    if not file.name.endswith("parts.lifetimes"):
        assert [number for number in map(int, re.findall(r"\b\d+\b", file.code)) if number and number % 3_600_000 == 0] == []
