"""Questions that nothing in the prompt answers, in every shape that people type, and the one honest answer to them."""

# ruff: noqa: E501 (tables of phrases stay on long lines)

from demo_model.conversation import Exchange
from demo_model.facts import UNKNOWABLE, UNKNOWN
from demo_model.source import Source
from demo_model.tools import everyday_call

# A capital letter stands for a part that is drawn: see `_part`.
_THINGS = ("a {a}", "the {a}", "my {a}", "{a}s", "the {b}", "{N}", "the {a} of {N}", "a {a} {b}", "{a} and {b}", "our {a}", "this {a}", "the {n} {a}s")  # fmt: skip
_CLAUSES = ("{T} {a}s {T}", "{T} is {a}", "{T} was {a} in {n}", "I {a} {T}", "we have {T} but not {T}", "my {b} won't {a}", "{T} can {b} {T}", "someone {a}s {T} at {n} pm", "there are {n} {a}s in {T}")  # fmt: skip
_COMPOSED = (
    "What are the main {a}s of {T}?", "What are the side effects of {T}?", "What is the {a} of {T}?", "What is the difference between {T} and {T}?", "What happened in {N} in {n}?", "What does {T} mean?", "What's the meaning of the word '{b}'?",
    "What's {n}% of {n}?", "What is {n} divided by {n}?", "What should I check first if {C}?", "What would happen if {C}?", "What is your favorite {a} and why?", "What's the best way to {a} {T} as a {b}?", "What do people mean by {T}?",
    "Why does {T} {a}?", "Why is it that {C}?", "Why do people {a} {T}?", "How would you {a} {T} in {N}?", "How do you {a} {T} without {T}?", "How can I {a} {T} fast?", "How many {a}s are in {T}?", "How tall is {T} in {a}s?", "How safe is {T}?", "How does {T} compare with {T}?",
    "Who {a}ed the {n} {b}?", "Who are the members of {T}?", "Who wrote {T}?", "Who won {T} in {n}?", "Which is heavier, {T} or {T}?", "Which {a} would you recommend for {T}?", "When does {T} {a} if {C}?", "When was {T} {a}ed?", "Where does {T} come from?", "Where should we {a} in {N}?",
    "Is it safe to {a} {T}?", "Is {T} better than {T}?", "Do you think {T} will {a} {T}?", "Does {T} {a} when {C}?", "Did you know that {C}?", "Are there any {a}s near {N}?", "Should I {a} {T} or {T}?", "Would {T} {a} {T}?", "Could you proofread this? \"{C}.\"",
    "If {C} and {C}, when does {T} {a}?", "If {C}, how many {a}s are left?", "Suppose that {C}. What follows?", "Given that {C}, explain {T}.", "Explain {T} to a five-year-old.", "Explain how {T} works.", "Explain step by step how to {a} {T}.", "Explain why {C}.",
    "Describe {T} in your own words.", "Describe how {T} {a}s.", "Summarize the plot of {N}.", "Summarize what {N} said about {T}.", "Compare {T} with {T} and say which is better.", "Discuss the pros and cons of {T}.", "Outline an essay about {T}.",
    "Give me {n} ideas for {T}.", "Give me tips for {T}.", "Give an example of {T}.", "Give me a summary of {N}.", "List the {n} {a}est {b}s.", "List the steps to {a} {T}.", "Name {n} {a}s that {b}.", "Suggest places to {a} in {N}.",
    "Write a limerick about {T}.", "Write a SQL query that returns {T}.", "Write a regex that matches {T}.", "Write a function in {N} that {a}s {T}.", "Write a product description for {T}.", "Write a {n} word story about {T} in the style of {N}.", "Write unit tests for {T}.", "Draft a polite email asking {N} to {a} {T}.", "Compose a short {a} about {T}.",
    "Convert {n} {a}s to {b}s.", "Convert {n} degrees Fahrenheit to Celsius.", "Convert {T} to {N}.", "Translate \"{a} {b}\" into {N}.", "Translate the following into {N}: {C}.", "Rewrite this more formally: {C}.", "Refactor this function: def {a}({b}): return {b} + {n}", "Fix the grammar: {C}",
    "Act as a {a} and {b} {T}.", "Please act as a {a} guide for {N}.", "Pretend that you are {N} and talk about {T}.", "Imagine that {C}. Describe {T}.", "Let's play a game of {a}s.", "Let's think about {T}.", "Help me plan {T} for {N}.", "Help me decide between {T} and {T}.",
    "I'm feeling {a} today because {C}.", "I am a {a} from {N} and I want to {b} {T}.", "I have {n} {a}s. How do I {b} them?", "I think {C}. Am I right?", "My {a} is {b}. What can I do?", "My friend says that {C}. Is that true?", "{C}. Why?", "{C}, right?", "{C}. What do you think?", "{C} and {C}.",
    "Can you recommend {T} for {N}?", "Can you explain why {C}?", "Can you write {T} that {a}s {T}?", "Could you tell me whether {C}?", "Please analyse {T}.", "Please evaluate the integral of {a}(x) from 0 to {n}.", "Solve for x: {n}x + {n} = {n}", "Find the derivative of x^{n}.", "Prove that {C}.",
    "Quelle est la {a} de {N} ?", "Comment {a} {b} ?", "Pourquoi {a} ?", "Qui est {N} ?", "Wie funktioniert {a}?", "Wie wird das Wetter in {N}?", "Was ist {a}?", "Wer ist {N}?", "Warum ist {a} {b}?", "¿Qué es {a}?", "¿Quién es {N}?", "¿Cómo se dice {a} en {N}?", "Che cosa è {a}?", "O que é {a}?",
    "print({a})\nWhy does this fail?", "def {a}({b}):\n    return {b} * {n}\n\nWhat is wrong here?", "for {a} in {b}: print({a})", "SELECT {a} FROM {b}", "<{a}>{b}</{a}>\nFix this HTML.", "{a}@{b}: error {n}: {C}", "Context: {C}. {C}.\n\nTask: {a} {T}.", "Title: {T}\nWrite the article.",
)  # fmt: skip
_LEADS = ("Please tell me:", "Hey,", "Ok,", "So,", "One question:", "Hi!")
# These are answered without a tool, or say themselves that one is needed.
_ANSWERABLE = frozenset(("add", "add_numbers", "multiply", "echo", "greet", "word_count", "translate", "read_file", "list_files", "list_directory"))  # fmt: skip


def unknown(source: Source) -> Exchange:
    question = _filled(source, source.pick(UNKNOWABLE if source.chance(0.5) else _COMPOSED))
    if source.chance(0.12):
        question = f"{source.pick(_LEADS)} {question[0].lower()}{question[1:]}"
    elif source.chance(0.12):
        question = question.lower().rstrip("?.!")
    elif source.chance(0.06):
        question += " " + source.sentence()
    elif source.chance(0.04):
        question = source.sentence(source.integer(5, 20))
    return (question or "?"), UNKNOWN


def without_tool(source: Source) -> Exchange:
    """A request that needs a tool, in a chat that has none."""
    call = everyday_call(source)
    while call.name in _ANSWERABLE:
        call = everyday_call(source)
    return call.request, UNKNOWN


def _filled(source: Source, template: str) -> str:
    return "".join(_part(source, part) for part in template.replace("{", "\0").replace("}", "\0").split("\0"))


def _part(source: Source, part: str) -> str:
    match part:
        case "a":
            return source.real_word()
        case "b":
            return source.word()
        case "N":
            return source.name()
        case "n":
            return str(source.integer(2, 2000))
        case "T":
            return _filled(source, source.pick(_THINGS))
        case "C":
            return _filled(source, source.pick(_CLAUSES))
        case _:
            return part
