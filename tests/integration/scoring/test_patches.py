"""What is replaced in other libraries is where we expect it: a release that moves it is named in a sentence."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import inspect
from pathlib import Path

import pytest

from daemon.scoring.pyiqa_backend import patches
from tests.pyiqa_modules import pyiqa_module

MOVED = "see daemon/scoring/pyiqa_backend/patches.py: follow the attribute to where it is now, or drop the patch"


def release(module: str) -> str:
    package = module.partition(".")[0]
    return f"{package} {importlib.metadata.version(package)}"


def attribute_of(module: str, name: str) -> object:
    patches.make_torchvision_importable()
    try:
        with patches.quiet():
            pyiqa = module.startswith("pyiqa.")
            found = pyiqa_module(module.removeprefix("pyiqa.")) if pyiqa else importlib.import_module(module)
    except ModuleNotFoundError:
        pytest.fail(f"{release(module)} has no module {module}, whose {name} is patched: {MOVED}")
    if not hasattr(found, name):
        pytest.fail(f"{release(module)} has no {module}.{name}, which is patched: {MOVED}")
    return getattr(found, name)


@pytest.mark.model
@pytest.mark.parametrize(("module", "name"), patches.PATCHED)
def test_a_patched_attribute_is_where_it_is_expected(module: str, name: str) -> None:
    assert attribute_of(module, name) is not None


@pytest.mark.model
def test_every_user_of_dist_to_mos_is_known() -> None:
    """A new one would copy a constant to the device in every call."""
    spec = importlib.util.find_spec("pyiqa")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "archs"
    users = {
        f"pyiqa.archs.{file.stem}" for file in folder.glob("*.py") if "dist_to_mos(" in file.read_text(encoding="utf-8")
    }
    known = {module for module, name in patches.PATCHED if name == "dist_to_mos"}
    assert users <= known, f"{release('pyiqa')} uses dist_to_mos in {users - known}: add it to PATCHED"


@pytest.mark.model
def test_the_wrapper_still_takes_what_it_is_given() -> None:
    arguments = inspect.signature(attribute_of("pyiqa.models.inference_model", "InferenceModel")).parameters  # type: ignore[arg-type]
    missing = {"metric_name", "device", "check_input_range"} - arguments.keys()
    assert not missing, f"InferenceModel of {release('pyiqa')} no longer takes {missing}: see build.py"


def test_an_attribute_that_has_moved_is_named() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"^timm [\d.]+ has no timm\.models\._builder\.load_old, which is"):
        attribute_of("timm.models._builder", "load_old")
    with pytest.raises(pytest.fail.Exception, match=r"^timm [\d.]+ has no module timm\.models\._old, whose load"):
        attribute_of("timm.models._old", "load")
