"""docs/performance.md is what its results give."""

import json
from pathlib import Path

from benchmarks import performance_page

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_shows_the_results(tmp_path: Path) -> None:
    results = json.loads((DOCS / "performance" / "results.json").read_text(encoding="utf-8"))
    (tmp_path / "performance").mkdir()
    performance_page.write(tmp_path / "performance", results)
    for name in ("performance.md", "performance/generation.svg", "performance/threads.svg"):
        assert (tmp_path / name).read_text(encoding="utf-8") == (DOCS / name).read_text(encoding="utf-8"), (
            "write it again: performance_page.write"
        )
