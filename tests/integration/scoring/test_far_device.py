"""A stand-in for a CUDA device, and the tests that it notices what it is there to notice.

Tensors on it say that they are on ``cuda:0`` and really are on the CPU, so that the scorer's own code runs
and gives real numbers. Time is simulated: every stream has a clock, copies and operations take what the
test says, and nothing that was queued is over before the host has waited for it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten: Any = torch.ops.aten

CUDA = torch.device("cuda", 0)
MOVES = (aten.to, aten._to_copy)
# What makes the host wait for a result on the device.
SYNCHRONISING = (aten._local_scalar_dense, aten.item, aten.nonzero, aten.masked_select, aten.equal, aten.is_nonzero)
SYNCHRONISING += (aten._unique2, aten.allclose, aten.bincount, aten.repeat_interleave, aten.linalg_inv_ex)


class Far(torch.Tensor):
    """A tensor on the far device; ``near`` holds its numbers, ready on ``stream`` at ``ready``."""

    near: torch.Tensor
    stream: FarStream
    ready: float

    @staticmethod
    def __new__(cls, near: torch.Tensor, stream: FarStream, ready: float) -> Far:
        far = torch.Tensor._make_wrapper_subclass(
            cls, near.shape, strides=near.stride(), storage_offset=near.storage_offset(), dtype=near.dtype, device=CUDA
        )
        far.near, far.stream, far.ready = near, stream, ready
        return far

    def __repr__(self, **_: Any) -> str:
        return f"Far({self.near!r})"

    # torch's own two would look for a CUDA driver before they ask anybody.

    def __getitem__(self, index: Any) -> Far:
        return self.stream.gpu.index(self, index)

    def contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> torch.Tensor:
        return self if self.is_contiguous(memory_format=memory_format) else self.clone(memory_format=memory_format)

    def record_stream(self, stream: FarStream) -> None:  # type: ignore[override]
        assert stream is not self.stream
        stream.gpu.recorded += 1

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} on a far tensor without its device")


@dataclass(eq=False)
class FarStream:
    gpu: FarGpu
    free_at: float = 0.0

    def wait_event(self, event: FarEvent) -> None:
        self.free_at = max(self.free_at, event.over)


@dataclass(eq=False)
class FarEvent:
    gpu: FarGpu
    over: float = 0.0

    def record(self, stream: FarStream) -> None:
        self.gpu.alive()
        self.over = stream.free_at

    def synchronize(self) -> None:
        self.gpu.waits += 1
        self.gpu.alive("wait")
        self.gpu.reach(self.over)

    def elapsed_time(self, end: FarEvent) -> float:
        assert self.gpu.now >= end.over, "timed before it was over"
        return (end.over - self.over) * 1000.0


@dataclass(eq=False)
class _Copy:
    over: float
    host: torch.Tensor
    content: torch.Tensor


@dataclass
class FarGpu(TorchDispatchMode):
    """``with FarGpu() as gpu:`` makes it the CUDA device of this process.

    ``limit`` bytes of memory; a copy takes ``copy_seconds`` and each of the operations named in ``costs``
    its seconds. It counts ``uploads`` and ``downloads``, ``blocking`` calls that make the host wait for
    more than it asked for, and ``waits`` for events. ``lost`` is ``launch`` or ``wait`` once the device fails.
    """

    limit: int = 2**40
    copy_seconds: float = 0.0
    costs: dict[str, float] = field(default_factory=dict)
    lost: str = ""
    now: float = 0.0
    uploads: int = 0
    downloads: int = 0
    waits: int = 0
    live: int = 0
    blocking: list[str] = field(default_factory=list)
    recorded: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self.main = self.stream = FarStream(self)
        self._sending: list[_Copy] = []
        self._bringing: list[_Copy] = []
        self._pinned: list[Any] = []
        self._owners: dict[int, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> FarGpu:
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        fakes: dict[str, Any] = {
            "_lazy_init": lambda: None,
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "get_device_capability": lambda *_: (8, 0),
            "manual_seed_all": lambda _: None,
            "empty_cache": self.alive,
            "synchronize": lambda *_: self.blocking.append("synchronize"),
            "mem_get_info": lambda *_: self.memory(),
            "memory_reserved": lambda *_: 0,
            "memory_allocated": lambda *_: 0,
            "current_stream": lambda *_: self.stream,
            "stream": self._on,
            "Stream": lambda _: FarStream(self),
            "Event": lambda **_: FarEvent(self),
        }
        for name, fake in fakes.items():
            patch.setattr(torch.cuda, name, fake)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._stack.close()

    @contextmanager
    def _on(self, stream: FarStream) -> Iterator[None]:
        before, self.stream = self.stream, stream
        yield
        self.stream = before

    def move(self, net: torch.nn.Module) -> torch.nn.Module:
        """What ``Module.to`` does on a real device."""
        for module in net.modules():
            for name, tensor in module._parameters.items():
                if tensor is not None:
                    module._parameters[name] = torch.nn.Parameter(self._far(tensor.detach()), requires_grad=False)
            for name, tensor in module._buffers.items():
                module._buffers[name] = None if tensor is None else self._far(tensor)
        return net

    def memory(self) -> tuple[int, int]:
        self.alive()
        return self.limit - self.live, self.limit

    def alive(self, moment: str = "launch") -> None:
        if self.lost == moment:
            raise RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronous")

    def reach(self, moment: float) -> None:
        """The host has waited until ``moment``: what was over by then has arrived."""
        self._check_buffers()
        self.now = max(self.now, moment)
        self._sending = [copy for copy in self._sending if copy.over > self.now]
        with torch.inference_mode():
            for copy in self._bringing:
                if copy.over <= self.now:
                    copy.host.copy_(copy.content)
        self._bringing = [copy for copy in self._bringing if copy.over > self.now]

    def _check_buffers(self) -> None:
        for copy in self._sending:
            assert torch.equal(copy.host, copy.content), "a buffer was filled again while it was being copied"

    def _take(self, seconds: float) -> float:
        self.alive()
        self.stream.free_at = max(self.stream.free_at, self.now) + seconds
        return self.stream.free_at

    def _far(self, near: torch.Tensor) -> Far:
        place = near.untyped_storage()._cdata
        if place not in self._owners:
            size = near.untyped_storage().nbytes()
            if self.live + size > self.limit:
                raise torch.cuda.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes")
            self.live += size
        self._owners[place] = self._owners.get(place, 0) + 1
        far = Far(near, self.stream, self.stream.free_at)
        weakref.finalize(far, self._forget, place, near.untyped_storage())
        return far

    def _forget(self, place: int, storage: Any) -> None:
        self._owners[place] -= 1
        if not self._owners[place]:
            del self._owners[place]
            self.live -= storage.nbytes()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options, packet = dict(kwargs or {}), func.overloadpacket
        # Views and copies of what was made outside cannot be made in inference mode.
        with torch.inference_mode(False):
            if packet in MOVES and (target := _target(args, options)) is not None and target != args[0].device:
                return self._move(func, args, options, target)
            if packet is aten.copy_ and args[0].device != args[1].device:
                return self._copy(args[0], args[1], non_blocking=len(args) > 2 and args[2])
            if any(isinstance(leaf, Far) for leaf in tree_leaves((args, options))):
                return self._compute(func, args, options)
            return self._make(func, args, options)

    def _make(self, func: Any, args: Any, options: dict[str, Any]) -> Any:
        device = options.get("device")
        if device is not None and torch.device(device).type == "cuda":
            return self._far(func(*args, **{**options, "device": "cpu"}))
        if options.get("pin_memory"):
            tensor = func(*args, **{**options, "pin_memory": False})
            self._pinned.append(tensor.untyped_storage())
            return tensor
        with torch.inference_mode():
            return func(*args, **options)

    def _move(self, func: Any, args: Any, options: dict[str, Any], target: torch.device) -> Any:
        source = args[0]
        dtype = next((v for v in (*args, *options.values()) if isinstance(v, torch.dtype)), source.dtype)
        non_blocking = bool(options.get("non_blocking"))
        if target.type == "cpu":
            host = torch.empty(source.shape, dtype=dtype)
            return self._copy(host, source, non_blocking=non_blocking)
        return self._copy(self._far(torch.empty(source.shape, dtype=dtype)), source, non_blocking=non_blocking)

    def _copy(self, into: torch.Tensor, source: torch.Tensor, *, non_blocking: bool) -> torch.Tensor:
        host = source if isinstance(into, Far) else into
        over = self._take(self.copy_seconds)
        if isinstance(into, Far):
            self.uploads += 1
            self._check_buffers()
            into.near.copy_(source)
            into.stream, into.ready = self.stream, over
            self._sending.append(_Copy(over, source, source.clone()))
        else:
            self.downloads += 1
            assert isinstance(source, Far)
            self._order(source)
            self._bringing.append(_Copy(over, into, source.near.clone()))
            with torch.inference_mode():
                into.fill_(-1)
        if not non_blocking or not any(place.data_ptr() == host.untyped_storage().data_ptr() for place in self._pinned):
            self.blocking.append("copy")
            self.reach(over)
        return into

    def _compute(self, func: Any, args: Any, options: dict[str, Any]) -> Any:
        for leaf in tree_leaves((args, options)):
            if isinstance(leaf, Far):
                self._order(leaf)
            elif isinstance(leaf, torch.Tensor) and leaf.dim():
                raise RuntimeError(f"Expected all tensors to be on the same device, cuda:0 and cpu, in {func}")
        ready = self._take(self.costs.get(func.overloadpacket.__name__, 0.0))
        if func.overloadpacket in SYNCHRONISING:
            self.blocking.append(str(func))
            self.reach(ready)
        near, near_options = tree_map(_near, (args, options))
        return tree_map(
            lambda one: self._far(one) if isinstance(one, torch.Tensor) else one, func(*near, **near_options)
        )

    def index(self, far: Far, index: Any) -> Far:
        self._order(far)
        leaves = [leaf for leaf in tree_leaves(index) if isinstance(leaf, torch.Tensor)]
        if any(leaf.dtype is torch.bool or not isinstance(leaf, Far) for leaf in leaves):
            self.blocking.append("index")
        with torch.inference_mode(False):
            return self._far(far.near[tree_map(_near, index)])

    def _order(self, far: Far) -> None:
        assert far.stream is self.stream or self.stream.free_at >= far.ready, "used before its copy was over"


def _near(value: Any) -> Any:
    if isinstance(value, torch.device):
        return torch.device("cpu")
    return value.near if isinstance(value, Far) else value


def _target(args: Any, options: dict[str, Any]) -> torch.device | None:
    """The device that ``Tensor.to`` was given, by itself or as another tensor's."""
    for value in (*args[1:], *options.values()):
        if isinstance(value, torch.device):
            return value
        if isinstance(value, torch.Tensor):
            return value.device
    return None


# ---- the stand-in can fail


def pinned(count: int) -> torch.Tensor:
    return torch.ones(count, pin_memory=True)


def test_a_far_tensor_says_cuda_and_has_numbers() -> None:
    with FarGpu() as gpu:
        far = torch.arange(3.0).to(CUDA)
        assert far.device == CUDA
        assert (far + 1).sum().item() == 6.0
    assert gpu.blocking == ["copy", "aten._local_scalar_dense.default"]


def test_tensors_of_two_devices_do_not_mix() -> None:
    with FarGpu(), pytest.raises(RuntimeError, match="same device"):
        torch.ones(2).to(CUDA) + torch.ones(2)


def test_numbers_are_not_there_before_they_were_waited_for() -> None:
    with FarGpu(copy_seconds=1.0):
        far, host, event = torch.full((2,), 7.0).to(CUDA), pinned(2), torch.cuda.Event()
        host.copy_(far, non_blocking=True)
        event.record(torch.cuda.current_stream())
        assert host.tolist() == [-1.0, -1.0]
        event.synchronize()
        assert host.tolist() == [7.0, 7.0]


def test_a_copy_on_another_stream_has_to_be_waited_for() -> None:
    with FarGpu(copy_seconds=1.0):
        with torch.cuda.stream(torch.cuda.Stream(CUDA)):
            far = pinned(2).to(CUDA, non_blocking=True)
        with pytest.raises(AssertionError, match="before its copy was over"):
            far + 1


def test_a_buffer_that_is_being_copied_must_not_change() -> None:
    with FarGpu(copy_seconds=1.0):
        host = pinned(2)
        host.to(CUDA, non_blocking=True)
        host.fill_(2.0)
        with pytest.raises(AssertionError, match="filled again"):
            host.to(CUDA, non_blocking=True)


def test_memory_ends_at_the_limit_and_comes_back() -> None:
    with FarGpu(limit=100) as gpu:
        far = torch.ones(20).to(CUDA)
        with pytest.raises(torch.cuda.OutOfMemoryError):
            torch.ones(20).to(CUDA)
        assert gpu.live == 80
        del far
        assert gpu.live == 0
