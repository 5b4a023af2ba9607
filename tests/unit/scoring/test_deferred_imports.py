"""pyiqa can be imported where OpenCV cannot; who needs OpenCV is told what is missing."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.errors import Kind, ScorerError
from daemon.scoring.pyiqa_backend.deferred_imports import DEFERRED, deferred_imports

SCREENLESS = 'raise ImportError("libxcb.so.1: cannot open shared object file: No such file or directory")\n'
HELPER = (
    "import cv2\n\nclass FaceRestoreHelper:\n    def __init__(self, size):\n        self.size = cv2.doubled(size)\n"
)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is searched first for cv2 and facexlib; neither is imported yet."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("cv2", "facexlib")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("cv2", "facexlib", "facexlib.utils", *DEFERRED):
        monkeypatch.setitem(sys.modules, name, None)  # remembered, so that it is put back after the test
        del sys.modules[name]
    folder = tmp_path / "facexlib" / "utils"
    folder.mkdir(parents=True)
    for package in (folder.parent, folder):
        (package / "__init__.py").touch()
    (folder / "face_restoration_helper.py").write_text(HELPER)
    (tmp_path / "cv2.py").write_text("def doubled(number):\n    return 2 * number\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path


def test_a_module_is_imported_when_it_is_used(packages: Path) -> None:
    with deferred_imports():
        import cv2
    assert "cv2" not in sys.modules
    assert cv2.doubled(4) == 8
    assert "cv2" in sys.modules


def test_a_class_is_imported_when_it_is_called_and_finds_the_real_modules(packages: Path) -> None:
    with deferred_imports():
        from facexlib.utils.face_restoration_helper import FaceRestoreHelper

        assert FaceRestoreHelper(4).size == 8
    assert FaceRestoreHelper(5).size == 10


def test_who_looks_through_the_modules_imports_nothing(packages: Path) -> None:
    (packages / "cv2.py").write_text(SCREENLESS)
    with deferred_imports():
        assert importlib.util.find_spec("cv2") is not None
        assert not hasattr(sys.modules["cv2"], "__file__")
        inspect.getmodule(test_who_looks_through_the_modules_imports_nothing)


def test_what_cannot_be_imported_is_named_with_the_reason_and_a_way_out(packages: Path) -> None:
    (packages / "cv2.py").write_text(SCREENLESS)
    with deferred_imports():
        import cv2
        from facexlib.utils.face_restoration_helper import FaceRestoreHelper
    for use in (lambda: cv2.imread, lambda: FaceRestoreHelper(4)):
        with pytest.raises(ScorerError, match=r"^(cv2|facexlib) .*libxcb\.so\.1.*opencv-python-headless") as caught:
            use()
        assert caught.value.kind is Kind.METRIC


def test_modules_that_are_there_stay(packages: Path) -> None:
    import cv2

    with deferred_imports():
        assert sys.modules["cv2"] is cv2
    assert sys.modules["cv2"] is cv2


@pytest.mark.model
def test_a_metric_is_built_where_opencv_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(SCREENLESS)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import torch\n"
        "from daemon.scoring import catalog\n"
        "from daemon.scoring.pyiqa_backend.build import build\n"
        "build(catalog.find('piqe'), torch.device('cpu')); print('cv2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr
