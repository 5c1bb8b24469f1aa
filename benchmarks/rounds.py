"""Interleaved rounds and their medians: A B C A B C ..., so that a drifting machine touches all alike."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence


def interleaved(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Every measure once a round, after one round that is not counted."""
    results: dict[str, list[float]] = {name: [] for name in measures}
    for counted in range(-1, rounds):
        for name, measure in measures.items():
            value = measure()
            if counted >= 0:
                results[name].append(value)
    return results


def table(results: Mapping[str, list[float]], base: str, unit: str) -> str:
    """Median, minimum and maximum of each, and its median ratio to `base`, round by round."""
    lines = [f"| what | median {unit} | min | max | ratio to {base} |", "|---|---|---|---|---|"]
    for name, values in results.items():
        ratio = statistics.median(value / other for value, other in zip(values, results[base], strict=True))
        spread = f"{min(values):.4g} | {max(values):.4g}"
        lines.append(f"| {name} | {statistics.median(values):.4g} | {spread} | {ratio:.2f} |")
    return "\n".join(lines)


def markdown(rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose first row is the head."""
    head, *rest = rows
    lines = (head, ["---"] * len(head), *rest)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
