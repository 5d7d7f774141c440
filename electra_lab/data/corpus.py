"""A prepared corpus: tokenizer, token stores of the training and the held-out text, example index; made once."""

import hashlib
import itertools
import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from electra_lab.data import synthetic
from electra_lab.data.blocks import PARTS, Preparation, cut, held_out, made_block, make_blocks
from electra_lab.data.documents import Document, raw_documents, repaired, text_files
from electra_lab.data.errors import IngestError
from electra_lab.data.token_store import Counts, ShardExamples, TokenStore, tokenizer_sha256, write_meta
from electra_lab.data.wordpiece import train_wordpiece_once
from electra_lab.tokenizer import load_tokenizer

FORMAT = 2  # raise it when the prepared files change their meaning

log = logging.getLogger(__name__)


class CorpusSettings(NamedTuple):
    """Everything that the prepared files depend on besides the text."""

    paths: list[str] | None  # None = the embedded synthetic text
    validation_paths: list[str] | None  # None = a share of the documents of `paths`
    validation_share: float
    tokenizer: str | None  # None = train one
    vocabulary_size: int
    sample_lines: int
    max_length: int
    seed: int


def corpus_name(settings: CorpusSettings) -> str:
    """A folder name that changes when the settings or the files (names, sizes, times) do."""
    identity: list = [FORMAT, settings._asdict()]
    for source in (settings.paths or []) + (settings.validation_paths or []):
        if not source.startswith("hf:"):
            stats = ((file, file.stat()) for file in text_files(source))
            identity.append([(str(file.resolve()), stat.st_size, stat.st_mtime_ns) for file, stat in stats])
    if settings.tokenizer is not None:  # a folder of the same name may hold another one tomorrow
        files = [Path(settings.tokenizer) / name for name in ("tokenizer.json", "vocab.txt", "tokenizer_config.json")]
        identity.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()])
    digest = hashlib.sha256(json.dumps(identity).encode("utf-8")).hexdigest()[:12]
    label = Path(settings.paths[0].removeprefix("hf:")).name.split(".")[0] if settings.paths else "synthetic"
    return f"{label}-{digest}"


def parse_shard(text: str) -> tuple[int, int]:
    """`2/8` as (2, 8): the second of eight shares.

    Raises:
        ValueError: anything else.
    """
    number, slash, shares = text.partition("/")
    if not (slash and number.isdecimal() and shares.isdecimal() and 1 <= int(number) <= int(shares)):
        raise ValueError(f"--shard: expected i/n with 1 <= i <= n, such as 2/8, got {text!r}")
    return int(number), int(shares)


def prepare_corpus(
    settings: CorpusSettings, folder: Path, shard: tuple[int, int] = (1, 1), num_processes: int | None = None
) -> None:
    """Make the folder unless it is there; it appears by one renaming, so that it is whole or absent.

    Until then it is `FOLDER.partial`, where what is made stays when the work is stopped, and is not made again. Runs
    that need the same corpus at once share it: each finds what the other has made by the time that it looks.

    Args:
        settings: What the files depend on.
        folder: Where the corpus will be. Machines that share the work must all see it.
        shard: (i, n): of each n blocks make the i-th; whoever finds all of them made finishes the corpus.
        num_processes: As many as there are cores for this process if not given.
    """
    if folder.is_dir():
        if _is_whole(folder):
            return
        shutil.rmtree(folder, ignore_errors=True)  # somebody has taken something away: nothing is put in afterwards
    unfinished = folder.with_name(f"{folder.name}.partial")
    try:
        _prepare(settings, unfinished, folder, shard, num_processes)
    except IngestError:
        shutil.rmtree(unfinished, ignore_errors=True)  # text that is mended makes a corpus of another name
        raise
    except (OSError, ValueError):
        if not _is_whole(folder):
            raise
        shutil.rmtree(unfinished, ignore_errors=True)  # another process was faster, and has renamed this folder


def open_corpus(folder: Path, part: str) -> tuple[TokenStore, list[ShardExamples]]:
    """Token store and example index of a part; files are mapped when they are first read."""
    store = TokenStore(folder / part)
    return store, [ShardExamples(shard) for shard in store.shards]


def _is_whole(folder: Path) -> bool:
    return (folder / "corpus.json").is_file()


def _sources(settings: CorpusSettings) -> Iterator[tuple[Iterable[Document], float]]:
    """The documents of the corpus and the share of them that is held out."""
    share = 0.0 if settings.validation_paths else settings.validation_share
    yield raw_documents(settings.paths) if settings.paths else synthetic.documents(), share
    if settings.validation_paths:
        yield raw_documents(settings.validation_paths), 1.0


def _prepare(
    settings: CorpusSettings, unfinished: Path, folder: Path, shard: tuple[int, int], num_processes: int | None
) -> None:
    """Make the blocks of this share that are not there; where none is missing then, finish the corpus."""
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    if settings.tokenizer is None and not (unfinished / "tokenizer").is_dir():
        log.info("training a WordPiece tokenizer of %d tokens", settings.vocabulary_size)
        train_wordpiece_once(tokenizer_sample(settings), settings.vocabulary_size, unfinished / "tokenizer")
    loaded = load_tokenizer(settings.tokenizer or str(unfinished / "tokenizer"))
    tokenizer = Tokenizer.from_str(loaded.backend_tokenizer.to_str())
    tokenizer.no_truncation()  # both may be set in a tokenizer.json
    tokenizer.no_padding()
    for name in (*PARTS, "blocks", "work"):
        (unfinished / name).mkdir(parents=True, exist_ok=True)
    preparation = Preparation(
        unfinished, tokenizer, tokenizer_sha256(tokenizer), loaded.unk_token_id, settings.max_length, settings.seed
    )
    num_blocks = make_blocks(preparation, cut(_sources(settings)), shard, num_processes)
    blocks = [made_block(preparation, number) for number in range(num_blocks)]
    missing = Counter(number % shard[1] + 1 for number, counts in enumerate(blocks) if counts is None)
    if missing and _is_whole(folder):
        return  # another process has finished it while this one looked
    if missing:
        log.info(
            "share %d/%d is made; the corpus is whole when `electra-lab prepare`, with the same options, has made %s",
            *shard,
            ", ".join(f"--shard {share}/{shard[1]} (blocks missing: {missing[share]})" for share in sorted(missing)),
        )
        return
    _finish(settings, preparation, [counts for counts in blocks if counts], folder)


def tokenizer_sample(settings: CorpusSettings) -> Iterator[str]:
    """The first lines of the training text, as the model reads them."""
    documents, share = next(_sources(settings))
    train = (document for number, document in enumerate(documents) if not held_out(settings.seed, number, share))
    return itertools.islice(itertools.chain.from_iterable(map(repaired, train)), settings.sample_lines)


def _finish(settings: CorpusSettings, preparation: Preparation, blocks: list[dict[str, Counts]], folder: Path) -> None:
    """Write what says what is in the shards, then give the corpus its name."""
    unfinished = preparation.folder
    summary: dict = {"settings": settings._asdict()}
    for part in PARTS:
        counts = write_meta(unfinished / part, preparation.tokenizer, [block[part] for block in blocks])
        if not counts["tokens"]:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise ValueError(
                "no text: of a corpus of one document nothing is left beside the held-out text; is it empty?"
            )
        summary[part] = counts
        log.info(
            "%s: %d documents, %d tokens (%.2f %% unknown), %d examples",
            part,
            counts["documents"],
            counts["tokens"],
            100 * counts["unknown_tokens"] / counts["tokens"],
            counts["examples"],
        )
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    (unfinished / "corpus.json").write_text(text + "\n", encoding="utf-8")
    unfinished.rename(folder)
    shutil.rmtree(folder / "blocks")
    shutil.rmtree(folder / "work", ignore_errors=True)
