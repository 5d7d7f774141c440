"""WordPiece tokenizer training, saved the way BERT, ELECTRA and KoELECTRA folders are laid out."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.trainers import WordPieceTrainer
from transformers import BertTokenizer

from electra_lab.tokenizer import MESSAGE_TOKEN, speaker_tokens

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # ids 0 to 4, as in KoELECTRA
NUM_SPEAKERS = 2  # reserved, so that fine-tuning adds no rows to the embeddings


def train_wordpiece(lines: Iterable[str], vocabulary_size: int, folder: Path) -> None:
    """Train on the lines (a sample of the corpus will do) and write a cased tokenizer folder.

    Accents are kept: stripping them decomposes Hangul, and every Korean word becomes [UNK]. Characters rarer than
    the quarter of the vocabulary that is kept for single characters (6,000 at most, as KoELECTRA) become [UNK].
    """
    reserved = [*SPECIAL_TOKENS, MESSAGE_TOKEN, *speaker_tokens(NUM_SPEAKERS)]
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = WordPieceTrainer(
        vocab_size=vocabulary_size,
        limit_alphabet=min(6000, vocabulary_size // 4),
        special_tokens=reserved,
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    if len(vocabulary) <= len(reserved):
        raise ValueError("the corpus has no text to train a tokenizer on")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("".join(token + "\n" for token, _ in vocabulary), encoding="utf-8")
    wrapped = BertTokenizer(vocab=dict(vocabulary), do_lower_case=False, strip_accents=False)
    wrapped.add_special_tokens({"extra_special_tokens": reserved[len(SPECIAL_TOKENS) :]})
    wrapped.save_pretrained(str(folder))


def train_wordpiece_once(lines: Iterable[str], vocabulary_size: int, folder: Path) -> None:
    """Train into a folder that may appear meanwhile: of processes that train at once, all find what the first made.

    Training is not deterministic: the order of a hash map decides between pairs of equal count
    (https://github.com/huggingface/tokenizers, `BpeTrainer`), so the same lines do not give the same tokenizer.
    """
    with TemporaryDirectory(prefix=f"{folder.parent.name}-", dir=folder.parent.parent) as work:
        train_wordpiece(lines, vocabulary_size, Path(work) / folder.name)
        folder.parent.mkdir(exist_ok=True)
        with suppress(OSError):  # a folder that is there stays
            (Path(work) / folder.name).rename(folder)
