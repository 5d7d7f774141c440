"""`electra-lab prepare` on several machines: shares of one corpus."""

import pytest

from electra_lab.__main__ import main


@pytest.fixture
def place(tmp_path):
    (tmp_path / "text.txt").write_text(
        "\n\n".join(f"오늘 {a} 먹고 {a} 갔다" for a in "가나다라마바사"), encoding="utf-8"
    )
    return tmp_path


def test_shares_of_a_corpus_are_prepared_one_by_one(place, capsys):
    options = ["--data.paths", str(place / "text.txt"), "--data.vocabulary_size", "60"]
    options += ["--data.validation_share", "0.3", "--data.cache", str(place / "shares")]
    assert main(["prepare", *options, "--shard", "2/2"]) == 0
    said = capsys.readouterr()
    assert not said.out and "--shard 1/2 (blocks missing: 1)" in said.err  # a small text is one block
    assert main(["prepare", *options, "--shard", "1/2"]) == 0
    assert [capsys.readouterr().out.strip()] == [str(folder) for folder in (place / "shares").iterdir()]
    assert main(["prepare", *options, "--shard", "3/2"]) == 1
    assert capsys.readouterr().err.strip() == (
        "electra-lab prepare: --shard: expected i/n with 1 <= i <= n, such as 2/8, got '3/2'"
    )
