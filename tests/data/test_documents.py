"""Sources of text: every accepted form, and one sentence for each that is not."""

import gzip
import json
import lzma

import pytest

from electra_lab.data.documents import MAX_LINES, read_documents, text_files
from electra_lab.data.errors import IngestError


def read(*paths):
    return list(read_documents([str(path) for path in paths]))


def test_blank_lines_part_documents(tmp_path):
    (tmp_path / "a.txt").write_text("첫 줄\n둘째 줄\n\n\n다른 글\n", encoding="utf-8")
    assert read(tmp_path / "a.txt") == [["첫 줄", "둘째 줄"], ["다른 글"]]


@pytest.mark.parametrize(("suffix", "opener"), [(".txt.gz", gzip.open), (".txt.xz", lzma.open)])
def test_compressed_text_is_read_as_it_is(tmp_path, suffix, opener):
    with opener(tmp_path / f"a{suffix}", "wt", encoding="utf-8") as file:
        file.write("가나다\n\n라마바\n")
    assert read(tmp_path / f"a{suffix}") == [["가나다"], ["라마바"]]


def test_jsonl_with_text_or_messages(tmp_path):
    records = [{"text": "한 줄\n두 줄"}, {"messages": ["안녕", {"text": "응"}]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    assert read(tmp_path / "a.jsonl") == [["한 줄", "두 줄"], ["안녕", "응"]]


def test_a_folder_is_read_in_order_of_names(tmp_path):
    (tmp_path / "b.txt").write_text("나", encoding="utf-8")
    (tmp_path / "a.txt").write_text("가", encoding="utf-8")
    (tmp_path / "notes.md").write_text("다", encoding="utf-8")
    assert read(tmp_path) == [["가"], ["나"]]


def test_nikl_conversations_are_documents(tmp_path):
    utterance = [{"form": "안녕", "original_form": "안녕", "speaker_id": "1"}, {"form": "응", "speaker_id": "2"}]
    corpus = {"id": "MDRW1", "document": [{"id": "MDRW1.1", "utterance": utterance}]}
    (tmp_path / "MDRW1.json").write_text(json.dumps(corpus), encoding="utf-8")
    assert read(tmp_path) == [["안녕", "응"]]


def test_a_local_dataset_of_hugging_face(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["가나\n다", "라"]}).save_to_disk(str(tmp_path / "set"))
    assert read(f"hf:{tmp_path / 'set'}") == [["가나", "다"], ["라"]]


def test_text_is_repaired_and_a_byte_order_mark_is_no_text(tmp_path):
    decomposed = "\u1112\u1161\u11ab"  # 한 as macOS writes it: [UNK] for every Korean vocabulary
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + decomposed.encode() + b"\r\n")
    assert read(tmp_path / "a.txt") == [["한"]]


def test_a_file_without_blank_lines_is_cut_into_documents(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(map(str, range(MAX_LINES + 5))), encoding="utf-8")
    assert [len(document) for document in read(tmp_path / "a.txt")] == [MAX_LINES, 5]


def test_a_carriage_return_inside_a_paragraph_is_no_line_end(tmp_path):
    (tmp_path / "a.txt").write_bytes("가\u2028나\x85다\n라".encode())
    assert len(read(tmp_path / "a.txt")[0]) == 2


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", "é".encode("latin-1"), "UTF-8"),
        ("a.jsonl", b'{"text": "ok"}\n{"other": 1}', "line 2"),
        ("a.jsonl", b"[1, 2", "line 1"),
        ("a.txt.gz", b"not gzip", "whole compressed file"),
        ("a.txt.xz", lzma.compress(b"abc" * 99)[:-20], "whole compressed file"),
    ],
)
def test_unusable_files_are_named_without_their_text(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(IngestError, match=says) as error:
        read(tmp_path / name)
    assert name in str(error.value) and "other" not in str(error.value)


def test_missing_and_empty_sources_say_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        text_files(str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="holds no file ending in"):
        text_files(str(tmp_path))
    (tmp_path / "a.pdf").touch()
    with pytest.raises(FileNotFoundError, match="expected a name ending in"):
        text_files(str(tmp_path / "a.pdf"))
