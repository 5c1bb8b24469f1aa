"""Words that must not occur in any text of the project. Each entry names a better word."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BETTER = {
    r"go(?:es|ing|ne)? on(?! from your summary)|went on": "continue, resume",
    r"anew": "again, new",
    r"mend(?:s|ed|ing)?": "fix",
    r"told|tells|telling|tell(?! (?:me|us|apart)\b)": "print, show, report, say",
    r"so (?:many|much)": "N, this many",
    r"(?<!there )(?:is|are|was|were) no(?! longer\b)(?= [a-z])": "is not a X, no X found",
    r"nobody": "stdin is not a terminal, no one",
    r"(?:leav(?:e|es|ing)|left) away": "omit, drop",
    r"held against": "compared with",
    r"lasting": "saved, persistent",
    r"what (?:came|comes)": "the output",
    r"reckon(?:s|ed|ing)?": "estimate",
    r"tak(?:es?|en|ing) away|took away": "remove",
    r"lies?(?= (?:in|on|at|there|beside|below)\b)": "is",
    r"wish(?:es|ed)?": "request, want",
    r"(?<![\"'`])standing(?![\"'`])": "state",
    r"of its own right": "separate",
    r"whoever": "the user, the program that",
    r"while writing": "during generation",
    r"without end": "endless, endlessly",
    r"in silence": "silently",
    r"(?:no|a) form in (?:JSON|it)": "can (not) be represented in JSON",
    r"(?:sum|sums|summed) up(?! to)": "summarise",
    r"put right": "correct, fix",
    r"read(?:s|ing)? (?:speed|anew)|write speed": "prompt processing, generation",
}
# A part of snake_case is a word too; of a longer word it is not.
FORBIDDEN = {re.compile(rf"(?<![a-z])(?:{words})(?![a-z])", re.IGNORECASE): better for words, better in BETTER.items()}
ANY = re.compile("|".join(words.pattern for words in FORBIDDEN), re.IGNORECASE)  # one search where nothing is found
# Text a model is trained on or a program prints is data; of these files only comments and docstrings are checked.
DATA_FOLDERS = ("demo_model/",)
SKIPPED = re.compile(r"\.(?:gguf|svg|jinja|txt)$|^uv\.lock$|^LICENSE$|^tests/test_words\.py$|^tests/formats/reference/")


def tracked() -> list[str]:
    """The text files under version control, or all files where there is no repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("the list of files comes from git")
    names = [name for name in listed.stdout.split("\0") if name and not SKIPPED.search(name)]
    return [name for name in names if (ROOT / name).is_file()]


def prose(source: str) -> Iterator[tuple[int, str]]:
    """The comments and docstrings of Python code, with their line numbers."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
            text = ast.get_docstring(node, clean=False) or ""
            yield from enumerate(text.split("\n"), node.body[0].lineno)


def lines(name: str) -> Iterator[tuple[int, str]]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return prose(text) if name.startswith(DATA_FOLDERS) and name.endswith(".py") else enumerate(text.split("\n"), 1)


def test_the_words_are_plain() -> None:
    found = [
        f"{name}:{number}: {match[0]!r} -> {better}"
        for name in tracked()
        for number, line in lines(name)
        if ANY.search(line)
        for words, better in FORBIDDEN.items()
        for match in words.finditer(line)
    ]
    assert not found, "\n".join(found)
