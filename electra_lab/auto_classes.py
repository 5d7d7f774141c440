"""transformers' auto classes open a detector folder once electra_lab is imported, in whatever order they are.

They ask tables which class the `model_type` of a config.json means. Ours is put into them as soon as transformers
imports them, which may be never: it takes seconds, and `import electra_lab` none. No code is in a folder (`auto_map`).
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def register() -> None:
    """Put the detector into the tables that are imported, and into the others when they are."""
    for table, add in _TABLES.items():
        if table in sys.modules:
            add()
        else:
            sys.meta_path.insert(0, _AfterImport(table, add))


class _AfterImport(MetaPathFinder):
    """Finds one module, the way that it is found without us, and does something when it has been imported."""

    def __init__(self, module: str, then: Callable[[], None]) -> None:
        self.module = module
        self.then = then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_then(module: ModuleType) -> None:
                run(module)
                self.then()

            spec.loader.exec_module = run_then  # type: ignore[method-assign]
        return spec


def _add_config() -> None:
    from transformers.models.auto.configuration_auto import AutoConfig

    from electra_lab.models.detector_config import MODEL_TYPE, DetectorConfig

    AutoConfig.register(MODEL_TYPE, DetectorConfig, exist_ok=True)


def _add_model() -> None:
    from transformers.models.auto.modeling_auto import AutoModelForSequenceClassification

    from electra_lab.models.classifier import DetectorForSequenceClassification
    from electra_lab.models.detector_config import DetectorConfig

    AutoModelForSequenceClassification.register(DetectorConfig, DetectorForSequenceClassification, exist_ok=True)


_TABLES = {
    "transformers.models.auto.configuration_auto": _add_config,
    "transformers.models.auto.modeling_auto": _add_model,
}
