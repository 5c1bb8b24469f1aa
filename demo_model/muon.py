"""Muon: momentum whose update of every weight matrix is made orthogonal. It learns faster than AdamW at this size."""

from collections.abc import Iterable

import torch
from torch import Tensor


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices to a stack of matrices, by five Newton-Schulz steps in bfloat16."""
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    result: Tensor = x.mT if tall else x
    return result


class Muon(torch.optim.Optimizer):
    """Updates equally shaped matrices as one stack, so that a step takes few kernels."""

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                shapes.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in shapes.items():
                self._update(group, shape, parameters)

    def _update(self, group: dict[str, float], shape: torch.Size, parameters: list[Tensor]) -> None:
        gradients = torch.stack([parameter.grad for parameter in parameters if parameter.grad is not None])
        state = self.state[parameters[0]]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradients)
        momentum = state["momentum"].lerp_(gradients, 1 - group["momentum"])
        update = orthogonal(gradients.lerp(momentum, group["momentum"])).float() * max(1, shape[0] / shape[1]) ** 0.5
        for parameter, change in zip(parameters, update, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(change, alpha=-group["lr"])
