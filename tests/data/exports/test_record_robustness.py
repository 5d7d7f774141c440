from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra_lab.data.errors import IngestError
from electra_lab.data.exports import FORMATS
from electra_lab.data.exports.source import as_source
from tests.data.exports.examples import EXAMPLES
from tests.data.exports.reading import FEW, MANY, PLAIN, brief, read, records

MUTATIONS = st.tuples(
    st.sampled_from(sorted(EXAMPLES)),
    st.sampled_from([None, *sorted(EXAMPLES)]),
    st.lists(
        st.tuples(
            st.floats(0, 1), st.integers(0, 40), st.binary(max_size=3) | st.sampled_from([b'"', b"[", b"null", b"\\x"])
        ),
        max_size=3,
    ),
)


def check_mutation(case: tuple[str, str | None, list[tuple[float, int, bytes]]]) -> None:
    """Whatever happens to a file: entries with places in it, or an IngestError."""
    example, forced, edits = case
    raw = EXAMPLES[example]
    for place, size, put_in in edits:
        at = int(place * len(raw))
        raw = raw[:at] + put_in + raw[at + size :]
    try:
        source = as_source(Path("x"), "x", raw)
        chats = FORMATS[forced or example](source, PLAIN, forced or example)
    except IngestError as error:
        assert error.path == "x"
        return
    spans = sorted((entry.offset, entry.size) for chat in chats for entry in chat.entries)
    assert all(
        offset + size <= after for (offset, size), (after, _) in zip(spans, [*spans[1:], (len(raw), 0)], strict=True)
    )


test_damaged_files = FEW(given(MUTATIONS)(check_mutation))
test_many_damaged_files = pytest.mark.slow(MANY(given(MUTATIONS)(check_mutation)))


@pytest.mark.parametrize("format", EXAMPLES)
def test_cut_files(format: str) -> None:
    for number in range(60):
        check_mutation((format, None, [(number / 60, len(EXAMPLES[format]), b"")]))


@FEW
@given(st.binary(max_size=60), st.sampled_from(sorted(EXAMPLES)))
def test_random_bytes(raw: bytes, format: str) -> None:
    for bom in (b"", b"\xef\xbb\xbf", b"\xff\xfe"):
        with suppress(IngestError):
            FORMATS[format](as_source(Path("x"), "x", bom + raw), PLAIN, format)


def test_the_examples_hold_messages() -> None:
    for name, raw in EXAMPLES.items():
        assert any(records(chat) and brief(chat)[0][0] == "message" for chat in read(raw)), name
