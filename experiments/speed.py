"""How fast the parts of the project are, each beside what it is held against: `python -m experiments.speed PART`.

`pretraining` is a training step, `detection` the windows of the detector, `corpus` all that comes before a detector
sees a corpus, `prediction` chat exports until their results are written, `reliability` what it costs that a run can be
killed. Variants take turns in one process, so that what else the machine does slows all of them; the tables hold
medians with the lowest and the highest. `PART --help` says what can be chosen.
"""

import argparse
from collections.abc import Sequence

from experiments import corpus_speed, detection_speed, prediction_speed, pretraining_speed, reliability_speed

PARTS = {
    "pretraining": pretraining_speed,
    "detection": detection_speed,
    "corpus": corpus_speed,
    "prediction": prediction_speed,
    "reliability": reliability_speed,
}


def main(arguments: Sequence[str] | None = None) -> str:
    """Measure and return the table."""
    parser = argparse.ArgumentParser("experiments.speed", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parts = parser.add_subparsers(dest="part", required=True, metavar=" | ".join(PARTS))
    for name, part in PARTS.items():
        of_part = parts.add_parser(name, description=part.__doc__, allow_abbrev=False)
        of_part.formatter_class = argparse.RawDescriptionHelpFormatter
        part.add_arguments(of_part)
    options = parser.parse_args(arguments)
    return PARTS[options.part].measure(options)


if __name__ == "__main__":
    print(main())
