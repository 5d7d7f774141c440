"""A study that several workers share: each trial is run by one of them, and again if its worker goes silent.

Everything goes through the study's storage, a journal file or a database, so that workers may be anywhere. A running
trial carries a beat that its worker counts up; whoever sees it stand still for SILENCE seconds fails the trial and
queues it anew. Only changes are looked at, never clocks, which differ between machines.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.trial import RunFailed

BEAT = 15.0  # seconds between beats
SILENCE = 120.0
_DEATHS = 3  # a trial that its workers do not survive is not tried for ever
_HOPELESS = 3  # first trials that all fail: nothing but the configuration can be wrong
_OF_A_RUN = {"beat", "worker", "why", "seconds", "test", "again", "deaths"}  # not what the trial is, but how it went

Direction = Literal["maximize", "minimize"]
Run = Callable[[Trial, Callable[[], None]], float]  # gets the trial and what it has to call now and then


class Queued(NamedTuple):
    """A trial that is to be run before any is sampled."""

    params: Mapping[str, Any]
    attributes: Mapping[str, Any]


def open_storage(where: str) -> str | BaseStorage:
    """A database by its URL, else a journal file."""
    if "://" in where:
        return where
    Path(where).parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(where))


def open_study(
    name: str,
    storage: str | BaseStorage,
    about: Mapping[str, str],
    queue: Iterable[Queued],
    direction: Direction = "maximize",
    sampler: optuna.samplers.BaseSampler | None = None,
    pruner: optuna.pruners.BasePruner | None = None,
) -> optuna.Study:
    """Begin the study and queue its first trials, or join it.

    Raises:
        ValueError: it was begun as another one, or its beginning broke off.
    """
    pruner = pruner or optuna.pruners.NopPruner()
    try:
        study = optuna.create_study(
            study_name=name, storage=storage, direction=direction, sampler=sampler, pruner=pruner
        )
    except DuplicatedStudyError:
        study = optuna.load_study(study_name=name, storage=storage, sampler=sampler, pruner=pruner)
    else:
        for params, attributes in queue:
            study.enqueue_trial(dict(params), user_attrs=dict(attributes))
        study.set_user_attr("about", dict(about))
    begun = _wait_for_beginning(study)
    if other := [key for key in about if begun.get(key) != about[key]]:
        raise ValueError(
            f"the study {name} was begun with another {' and '.join(other)}; give another --study, or the same options"
        )
    return study


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that count towards the cap: all but those that are run again, or were one too many."""
    trials = study.get_trials(deepcopy=False)
    again = {trial.user_attrs.get("again") for trial in trials}
    return [trial for trial in trials if trial.number not in again and not trial.user_attrs.get("surplus")]


def in_words(params: Mapping[str, Any]) -> str:
    """Values with their names, in one line."""
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in params.items()
    )


class Worker:
    """Takes trials of a study until there are as many as wanted, and stays until all are over.

    Args:
        study: What is worked on.
        cap: Trials of all workers together.
        options: What is sampled; nothing if all trials are queued.
        say: Gets a line about each trial.
    """

    def __init__(
        self,
        study: optuna.Study,
        cap: int,
        options: Mapping[str, BaseDistribution],
        say: Callable[[str], None],
        beat: float = BEAT,
        silence: float = SILENCE,
    ) -> None:
        self.study = study
        self.cap = cap
        self.options = dict(options)
        self.say = say
        self.seconds_between_beats = beat
        self.silence = silence
        self._heard: dict[int, tuple[object, float]] = {}  # number -> beat, when it was first seen

    def work(self, run: Run) -> None:
        """Run trials.

        Raises:
            KeyboardInterrupt: the trial that was interrupted is queued anew.
            ValueError: the first trials have all failed.
        """
        is_said = False
        while True:
            self._requeue_silent()
            trials = counted(self.study)
            states = {trial.state for trial in trials}
            if len(trials) < self.cap or TrialState.WAITING in states:
                self._take(run)
            elif TrialState.RUNNING in states:
                if not is_said:
                    self.say("waiting for the last trials of other workers")
                    is_said = True
                time.sleep(min(1.0, self.seconds_between_beats))
            else:
                return

    def _take(self, run: Run) -> None:
        trial = self.study.ask(self.options)
        if sum(other.number < trial.number for other in counted(self.study)) >= self.cap:  # two workers took the last
            trial.set_user_attr("surplus", True)
            self.study.tell(trial, state=TrialState.FAIL)
            return
        trial.set_user_attr("worker", f"{socket.gethostname()}:{os.getpid()}")
        started = time.monotonic()
        try:
            value = run(trial, self._beats(trial))
        except optuna.TrialPruned as pruned:
            self._tell(trial, started, f"pruned {pruned}", state=TrialState.PRUNED)
        except RunFailed as error:
            trial.set_user_attr("why", str(error))
            self._tell(trial, started, f"failed: {error}", state=TrialState.FAIL)
            self._give_up_if_hopeless(error)
        except BaseException:
            self._again(trial.number, trial.params, trial.user_attrs)
            raise
        else:
            self._tell(trial, started, f"{value:.4f}", values=value)

    def _tell(self, trial: Trial, started: float, said: str, **outcome: Any) -> None:
        seconds = round(time.monotonic() - started, 1)
        try:
            trial.set_user_attr("seconds", seconds)
            self.study.tell(trial, **outcome)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            said = "was slept through and given to another worker"
        what = in_words(trial.params or _inherited(trial.user_attrs))
        self.say(f"trial {trial.number}: {said} ({seconds:.0f} s) {what}".rstrip())

    def _beats(self, trial: Trial) -> Callable[[], None]:
        """What says that the worker lives, at most once in so many seconds; and listens to the others."""
        count, last = 0, -self.seconds_between_beats

        def beat() -> None:
            nonlocal count, last
            if time.monotonic() - last >= self.seconds_between_beats:
                count, last = count + 1, time.monotonic()
                trial.set_user_attr("beat", count)
                self._requeue_silent(but=trial.number)

        return beat

    def _requeue_silent(self, but: int | None = None) -> None:
        now = time.monotonic()
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            beat = trial.user_attrs.get("beat")
            if trial.number not in self._heard or self._heard[trial.number][0] != beat:
                self._heard[trial.number] = (beat, now)
            elif trial.number != but and now - self._heard[trial.number][1] >= self.silence:
                worker = trial.user_attrs.get("worker", "unknown")
                self.say(f"trial {trial.number}: its worker {worker} is silent; it is queued again")
                self._again(trial.number, trial.params, trial.user_attrs, deaths=trial.user_attrs.get("deaths", 0) + 1)

    def _again(self, number: int, params: Mapping[str, Any], attributes: Mapping[str, Any], deaths: int = 0) -> None:
        """Fail a trial and queue it anew; of several workers that try so, one succeeds."""
        try:
            self.study.tell(number, state=TrialState.FAIL)
        except (ValueError, optuna.exceptions.UpdateFinishedTrialError):
            return
        if deaths >= _DEATHS:
            self.say(f"trial {number}: {deaths} workers died of it; it counts as failed")
            return
        deaths = deaths or attributes.get("deaths", 0)
        kept = {**_inherited(attributes), "again": number, "deaths": deaths}
        self.study.enqueue_trial(dict(params), user_attrs=kept)

    def _give_up_if_hopeless(self, error: RunFailed) -> None:
        finished = [trial for trial in counted(self.study) if trial.state.is_finished()]
        if len(finished) >= _HOPELESS and all(trial.state == TrialState.FAIL for trial in finished):
            raise ValueError(f"the first {len(finished)} trials have all failed; the last one: {error}")


def _inherited(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in _OF_A_RUN}


def _wait_for_beginning(study: optuna.Study, seconds: float = 30.0) -> dict[str, str]:
    """What the study is about, which the worker that began it writes when the first trials are queued."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if begun := study.user_attrs.get("about"):
            return begun
        time.sleep(0.1)
    raise ValueError(f"the study {study.study_name} was not begun properly; give another --study, or remove it")
