"""False alarms on harmless talk that uses the words of drug slang in their everyday senses (iced coffee, 마약김밥).

    python -m experiments.everyday --model runs/finetune/NAME/detector --keywords experiments/keywords.yaml

prints how many messages, windows and conversations of everyday.jsonl a detector calls anomalous at its own thresholds,
by term, beside a keyword list, for which one hit is an alarm. All of it was written for this purpose and is harmless;
conversations of kind `obfuscated:TERM` write the word as people do in fun or by mistake (apart, in Latin letters, in
single jamo; `form` is how). It says nothing of how much real slang is found.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from electra_lab.data.conversation import Conversation
from electra_lab.data.formats import read_conversations
from electra_lab.decisions import LEVELS
from electra_lab.inference import Config, TrainedDetector, load_model_for_inference, predict_conversation
from experiments.keywords import KeywordList, read_keywords

DATA = Path(__file__).with_name("everyday.jsonl")
OBFUSCATED = "obfuscated:"
TOTALS = ("everyday", "obfuscated")  # the groups of all terms together


class Alarms(NamedTuple):
    """Which messages, windows and conversations are called anomalous, every time wrongly."""

    message: list[bool]
    window: list[bool]
    conversation: list[bool]


Judged = dict[str, Alarms]  # by "detector" or "keywords"
Counts = dict[str, tuple[int, int]]  # level -> alarms, of how many


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="detector folder")
    parser.add_argument("--keywords", type=Path, help="YAML list of terms to hold it against")
    parser.add_argument("--data", type=Path, default=DATA, help="other harmless conversations, with their kinds")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(arguments)
    try:
        keywords = read_keywords(options.keywords) if options.keywords else None
        counts = count(list(read_conversations([options.data])), load_model_for_inference(options.model)[0], keywords)
        if options.json:
            options.json.write_text(json.dumps(rates(counts), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except (ValueError, OSError) as error:
        sys.exit(f"experiments.everyday: {error}")
    print(table(counts))


def count(
    conversations: Iterable[Conversation], model: TrainedDetector, keywords: KeywordList | None = None
) -> dict[str, dict[str, Counts]]:
    """False alarms by group (TOTALS, then each kind), by detector and level.

    Raises:
        ValueError: a conversation without messages, or with one that is labelled anomalous: no alarm in it would be
            false for sure.
    """
    groups: dict[str, list[Judged]] = {name: [] for name in TOTALS}
    for conversation in conversations:
        if not conversation.messages:
            raise ValueError(f"{conversation.path}: conversation {conversation.id} has no messages")
        if conversation.is_anomalous:
            raise ValueError(f"{conversation.path}: conversation {conversation.id} has a message labelled 1, not 0")
        judged = alarms(conversation, model, keywords)
        kind = conversation.messages[0].kind or "no kind"
        groups[TOTALS[kind.startswith(OBFUSCATED)]].append(judged)
        groups.setdefault(f"{kind} (kind)" if kind in TOTALS else kind, []).append(judged)
    return {name: _summed(members) for name, members in groups.items() if members}


def alarms(conversation: Conversation, model: TrainedDetector, keywords: KeywordList | None = None) -> Judged:
    """What the detector says at its thresholds; the keyword list, of the same windows, at one hit."""
    found = predict_conversation(model, model.tokenizer, conversation.messages, Config.DEVICE)
    judged = {
        "detector": Alarms(
            [message.is_anomalous for message in found.messages],
            [window.is_anomalous for window in found.windows],
            [found.is_anomalous],
        )
    }
    if keywords is not None:
        hits = [keywords.hits(message.text) > 0 for message in conversation.messages]
        judged["keywords"] = Alarms(
            hits, [any(hits[window.start : window.end]) for window in found.windows], [any(hits)]
        )
    return judged


def rates(counts: dict[str, dict[str, Counts]]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """The false-positive rates with what they are made of, for JSON."""
    return {
        group: {
            name: {level: {"rate": wrong / num, "alarms": wrong, "num": num} for level, (wrong, num) in levels.items()}
            for name, levels in detectors.items()
        }
        for group, detectors in counts.items()
    }


def table(counts: dict[str, dict[str, Counts]]) -> str:
    """The false-positive rates (alarms / number) as a Markdown table."""
    names = list(next(iter(counts.values())))
    titles = [f"{name}: {level}" for name in names for level in LEVELS]
    lines = ["| false alarms | " + " | ".join(titles) + " |", "| --- |" + " ---: |" * len(titles)]
    for group, detectors in counts.items():
        cells = [_cell(*detectors[name][level]) for name in names for level in LEVELS]
        lines.append(f"| {f'**{group}**' if group in TOTALS else group} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _summed(members: Sequence[Judged]) -> dict[str, Counts]:
    counts: dict[str, Counts] = {}
    for name in members[0]:
        flags = {level: [flag for judged in members for flag in getattr(judged[name], level)] for level in LEVELS}
        counts[name] = {level: (sum(values), len(values)) for level, values in flags.items()}
    return counts


def _cell(wrong: int, num: int) -> str:
    return f"{wrong / num:.3f} ({wrong}/{num})"


if __name__ == "__main__":
    main()
