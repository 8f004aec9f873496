"""Lists in JSON files, read entry by entry."""

import json
import tracemalloc
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.imports.json_entries import json_entries

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 2**63, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALUES), st.sampled_from([None, 2]), st.booleans())
def test_entries_are_what_json_reads_at_once(tmp_path, values, indent, ascii_only):
    path = tmp_path / "list.json"
    path.write_text(json.dumps(values, indent=indent, ensure_ascii=ascii_only), "utf-8")
    assert list(json_entries(path)) == json.loads(path.read_bytes())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32-le"])
def test_other_encodings_are_read(tmp_path, encoding):
    path = tmp_path / "list.json"
    path.write_bytes('[{"name": "Zange, groß 鉗子"}]'.encode(encoding))
    assert list(json_entries(path)) == [{"name": "Zange, groß 鉗子"}]


@pytest.mark.parametrize(
    "text", ["", "[", "[1", "[1,", "[1,]", "[,]", "[1 2]", "[1] 2", '{"a": 1}', "[tru", '["a', "x"]
)
def test_what_is_no_list_is_refused(tmp_path, text):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(ValueError):
        list(json_entries(tmp_path / "list.json"))


def test_a_long_list_never_stands_in_memory(tmp_path):
    path = tmp_path / "list.json"
    entry = json.dumps(list(range(1000)))
    path.write_text(f"[{', '.join([entry] * 4000)}]")
    tracemalloc.start()
    assert sum(len(entry) for entry in islice(json_entries(path), 3000)) == 3_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 15e6
    assert peak < 8e6
