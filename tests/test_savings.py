"""What a lossless crush saves on the benchmark's generated arrays, in exact tokens."""

import orjson
import pytest

from benchmarks.generators import ARRAYS, TABLES, minified, pretty
from headroom_asgi import Tokenizer, _crush


@pytest.mark.parametrize("name", ARRAYS)
def test_generators_make_the_same_bytes_every_time_and_as_many_rows_as_asked(name: str) -> None:
    assert minified(ARRAYS[name](37)) == minified(ARRAYS[name](37))
    assert len(ARRAYS[name](37)) == 37


@pytest.mark.parametrize("spell", [pretty, minified])
@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("rows", [3, 30, 300])
def test_generated_arrays_read_back_as_the_same_value(name: str, rows: int, spell: object) -> None:
    assert callable(spell)
    text = spell(ARRAYS[name](rows)).encode()
    found = _crush.crush(text)
    if found is not None:
        assert orjson.loads(_crush.expand(found[0])) == orjson.loads(text)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_a_fifth_shorter_than_its_minified_json_whatever_its_size(name: str) -> None:
    count = Tokenizer("gpt-4o").count_text
    for rows in (20, 200):
        text = minified(TABLES[name](rows))
        found = _crush.crush(text.encode())
        assert found is not None
        assert count(found[0].decode()) <= 0.8 * count(text), rows
