"""TF-IDF of character 2- to 4-grams + logistic regression, per message and per window: the bar for a detector.

Vocabulary and weights are fitted on the training part, the strength of regularisation is chosen on the validation part
by average precision. What has no label is neither learned nor counted.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from electra_lab.data.parts import UNKNOWN, Part, group_labels
from electra_lab.evaluation import Scores

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

_STRENGTHS = (1.0, 10.0, 100.0)  # C of the regression


def per_message(train: Part, validation: Part) -> Callable[[Part], Scores]:
    """A model of single messages; a window and a conversation score as their highest message."""
    score = fitted(_messages(train), train.labels, _messages(validation), validation.labels)
    return lambda part: highest_message(part, score(_messages(part)))


def per_window(train: Part, validation: Part) -> Callable[[Part], Scores]:
    """A model of a window's messages as one text; says nothing of single messages, takes the highest window."""
    score = fitted(_windows(train), _window_labels(train), _windows(validation), _window_labels(validation))

    def scores(part: Part) -> Scores:
        windows = score(_windows(part))
        highest = np.full(len(part.bounds), -np.inf)
        np.maximum.at(highest, part.conversation_of_window, windows)
        return Scores(message=None, window=windows, conversation=highest)

    return scores


def highest_message(part: Part, scores: Floats) -> Scores:
    """Scores of all levels from those of the messages, (M,): a window and a conversation have that of their highest."""
    window, conversation = (
        np.array([scores[start:end].max() for start, end in groups]) for groups in (part.windows, part.bounds)
    )
    return Scores(scores, window, conversation)


def fitted(
    train_texts: Sequence[str], train_labels: Labels, validation_texts: Sequence[str], validation_labels: Labels
) -> Callable[[Sequence[str]], Floats]:
    """Texts -> probabilities, by the model with the highest average precision on the validation texts.

    Raises:
        ValueError: scikit-learn is not installed, or the training texts are of one class.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import average_precision_score
    except ImportError as error:
        raise ValueError("the baselines need scikit-learn: type pip install electra_lab[baselines]") from error
    known, known_validation = train_labels != UNKNOWN, validation_labels != UNKNOWN
    if len(set(train_labels[known].tolist())) < 2:
        raise ValueError("the training part has texts of one class only; the linear baselines need both 0 and 1")
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    features = vectorizer.fit_transform(text for text, keep in zip(train_texts, known, strict=True) if keep)
    validation = vectorizer.transform(validation_texts)

    def model_of(strength: float) -> "LogisticRegression":
        return LogisticRegression(C=strength, max_iter=1000).fit(features, train_labels[known])

    def quality(model: "LogisticRegression") -> float:
        scores = model.predict_proba(validation)[known_validation, 1]
        return float(average_precision_score(validation_labels[known_validation], scores))

    best = max(map(model_of, _STRENGTHS), key=quality)
    return lambda texts: best.predict_proba(vectorizer.transform(texts))[:, 1]


def _messages(part: Part) -> list[str]:
    return [message.text for message in part.messages]


def _windows(part: Part) -> list[str]:
    messages = _messages(part)
    return ["\n".join(messages[start:end]) for start, end in part.windows]


def _window_labels(part: Part) -> Labels:
    return group_labels(part.labels, part.windows)
