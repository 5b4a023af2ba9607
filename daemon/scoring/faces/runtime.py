"""LiteRT, which runs the networks on the CPU, with one thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Network:
    """One network: an array in, its arrays out, float32."""

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        # The usual resolver picks its code by processor, so that numbers differ between machines, and prints a line.
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._interpreter: Any = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=plain)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [one["index"] for one in self._interpreter.get_output_details()]

    def __call__(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """What the network says to ``values``, which have the shape of its input."""
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(values, np.float32))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(index) for index in self._outputs]
