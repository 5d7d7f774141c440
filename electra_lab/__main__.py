"""`electra-lab VERB ...`: finds the verb and runs it; a user's mistake ends in one sentence, a bug in a traceback."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

VERBS = {
    "pretrain": "pretrain a generator and a discriminator by replaced-token detection",
    "finetune": "train a detector of anomalous messages on labelled conversations, then test it",
    "test": "test a checkpoint of a detector, on its own test split or on other conversations",
    "prepare": "tokenise and pack a corpus ahead of `pretrain`",
    "modify": "replace nouns in raw conversations, or insert messages: labelled data for `finetune`",
    "predict": "score chat exports and write a report that can be handed on",
    "export": "write a detector as ONNX, for programs without torch",
    "dashboard": "write the wandb workspace of the runs (sections, panels) to a file; --push saves it at wandb",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code.

    0, 1 after a mistake in the input, 2 after one on the command line, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        print(f"electra-lab: unknown verb {verb!r}; there is {', '.join(VERBS)}", file=sys.stderr)
        return 2
    from electra_lab import cli  # torch and lightning take seconds: not for --help

    try:
        cli.run(verb, rest)
    except cli.UsageError as error:
        print(f"electra-lab {verb}: {error}", file=sys.stderr)
        return 2
    except (ValueError, OSError) as error:
        if not _is_ours(error):
            raise
        print(f"electra-lab {verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"electra-lab {verb}: interrupted", file=sys.stderr)
        return 130  # as shells say it
    return 0


def _is_ours(error: BaseException) -> bool:
    """Whether our own code raised the error as a sentence for the user; anything else is a bug."""
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename).is_relative_to(Path(__file__).parent)


def _help() -> str:
    verbs = "\n".join(f"  {verb:<10} {text}" for verb, text in VERBS.items())
    return f"usage: electra-lab VERB [options]\n\n{verbs}\n\n`electra-lab VERB --help` lists a verb's options."


if __name__ == "__main__":
    sys.exit(main())
