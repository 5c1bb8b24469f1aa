"""llama.cpp's chains of samplers, which choose the next token."""

from collections.abc import Sequence
from typing import Any

from hermes_cli.engine.llama import library
from hermes_cli.errors import EngineError


class Sampler:
    """A chain of llama.cpp samplers, described as (name, arguments) pairs such as ("temp", (0.8,))."""

    def __init__(self, steps: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        self._llama = llama = library.bindings()
        params = llama.llama_sampler_chain_default_params()
        params.no_perf = True
        self.handle = llama.llama_sampler_chain_init(params)
        self.add(steps)

    def add(self, steps: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        """Append steps to the chain. Raises EngineError for one that llama.cpp refuses."""
        for name, arguments in steps:
            step = getattr(self._llama, f"llama_sampler_init_{name}")(*arguments)
            if not step:
                self.close()
                raise EngineError(f"llama.cpp refused the sampler {name}{arguments}", "check the sampling options")
            self._llama.llama_sampler_chain_add(self.handle, step)

    def accept(self, tokens: Sequence[int]) -> None:
        """Count tokens that were not sampled, such as those of the prompt, as if they had been."""
        for token in tokens:
            self._llama.llama_sampler_accept(self.handle, token)

    def close(self) -> None:
        """Free the chain and its steps."""
        if self.handle:
            self._llama.llama_sampler_free(self.handle)
            self.handle = None


def bias_array(pairs: Sequence[tuple[int, float]]) -> Any:
    """(token, bias) pairs as llama.cpp takes them."""
    kind = library.bindings().llama_logit_bias
    return (kind * len(pairs))(*(kind(token, bias) for token, bias in pairs))
