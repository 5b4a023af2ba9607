import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.cli.pull import pull
from daemon.errors import Kind, ScorerError
from daemon.scoring import catalog, weights


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were asked; none of them answers."""
    hosts: list[str] = []
    monkeypatch.setattr(weights, "_answers", lambda url: hosts.append(url))
    return hosts


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ScorerError) as caught:
        call()
    assert caught.value.kind is Kind.WEIGHTS
    return caught.value.sentence


def test_missing_weights_name_the_file_the_host_and_the_ways_out(asked: list[str]) -> None:
    sentence = refusal(lambda: weights.require(catalog.find("musiq"), None))
    assert asked == ["https://huggingface.co"]
    assert "weights of musiq are not here (musiq_koniq_ckpt-e95806b9.pth)" in sentence
    assert "huggingface.co does not answer" in sentence
    assert "`stillwatch pull musiq`" in sentence
    assert "score.weights" in sentence


def test_the_host_that_has_the_weights_is_the_one_that_is_asked(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    refusal(lambda: weights.require(catalog.find("musiq"), None))
    refusal(lambda: weights.require(catalog.find("clipiqa"), None))
    assert asked == ["https://mirror.example", "https://openaipublic.azureedge.net"]


def test_weights_that_are_here_need_no_network(asked: list[str]) -> None:
    metric = catalog.find("musiq")
    path = catalog.locate(metric.weights[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    assert weights.require(metric, None) is False
    assert pull("musiq") == f"the weights of musiq were here already: {path}"
    assert asked == []


def test_the_default_metric_and_those_without_weights_need_nothing(asked: list[str]) -> None:
    for name in ("niqe", "piqe", "entropy"):
        assert weights.require(catalog.find(name), None) is False
        assert pull(name) == f"{name} needs no download"
    assert asked == []


def test_a_host_that_answers_allows_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_answers", lambda _: True)
    assert weights.require(catalog.find("musiq"), None) is True


def test_the_users_wish_to_stay_offline_counts(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in refusal(lambda: weights.require(catalog.find("musiq"), None))
    assert asked == []


def test_a_local_file_must_exist_and_suit_the_metric(tmp_path: Path, asked: list[str]) -> None:
    file = tmp_path / "weights.pth"
    assert "not a file" in refusal(lambda: weights.require(catalog.find("musiq"), file))
    file.write_bytes(b"weights")
    assert weights.require(catalog.find("musiq"), file) is False
    assert "has no weights" in refusal(lambda: weights.require(catalog.find("piqe"), file))
    assert "more than one file" in refusal(lambda: weights.require(catalog.find("clipiqa+"), file))
    assert "ViT-B-32.pt" in refusal(lambda: weights.require(catalog.find("liqe"), file))


def test_pull_refuses_what_cannot_score_a_frame() -> None:
    with pytest.raises(ScorerError, match="reference") as caught:
        pull("psnr")
    assert caught.value.kind is Kind.METRIC


def test_a_host_answers_when_it_takes_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = socket.socketpair()
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: one)
    assert weights._answers("https://huggingface.co")
    other.close()
    assert one.fileno() == -1


def test_a_host_that_refuses_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        raise ConnectionRefusedError(address, timeout)

    monkeypatch.setattr(socket, "create_connection", refuse)
    assert not weights._answers("https://huggingface.co")


def test_a_name_that_takes_for_ever_to_resolve_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    release, done = threading.Event(), threading.Event()

    def resolve(*_: object, **__: object) -> socket.socket:
        release.wait()
        done.set()
        raise OSError

    monkeypatch.setattr(socket, "create_connection", resolve)
    monkeypatch.setattr(weights, "PROBE_SECONDS", 0.01)
    assert not weights._answers("https://huggingface.co")
    release.set()
    assert done.wait(10)


def test_behind_a_proxy_the_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights._address("https://huggingface.co") == ("huggingface.co", 443)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert weights._address("https://huggingface.co") == ("proxy.example", 3128)
    monkeypatch.setenv("no_proxy", "huggingface.co")
    assert weights._address("https://huggingface.co") == ("huggingface.co", 443)
