"""Other models' chat templates: written as their authors meant, with markers that no content can forge."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.templates import compare
from hermes_cli.chat.message import Message
from hermes_cli.errors import EngineError, UsageError
from hermes_cli.formats import chatml, probes
from hermes_cli.formats.jinja_template import JinjaTemplate
from hermes_cli.formats.segment import Segment, joined, merged
from hermes_cli.formats.template_messages import structured_messages


@dataclass(frozen=True)
class Shape:
    """A family of templates: its source, its control tokens, and what it does to a content (role, content)."""

    source: str
    controls: tuple[str, ...]
    bos: str = "<s>"
    eos: str = "</s>"
    treats: Callable[[str, str], str] = lambda role, content: content

    @property
    def control_texts(self) -> frozenset[str]:
        return frozenset({*self.controls, self.bos, self.eos})

    def template(self) -> JinjaTemplate:
        return JinjaTemplate(self.source, bos=self.bos, eos=self.eos, control_texts=self.control_texts)

    def plain(self, hugging_face: Callable[..., str], messages: list[Message], reply: bool) -> str:
        """The rendering without any protection, without the BOS that the tokenizer adds."""
        text = hugging_face(
            self.source,
            messages=[{"role": message.role, "content": message.content} for message in messages],
            bos_token=self.bos,
            eos_token=self.eos,
            add_generation_prompt=reply,
            tools=None,
        )
        return text.removeprefix(self.bos)


def _without_thought(role: str, content: str) -> str:
    _, end, answer = content.rpartition("</thought>")
    return answer.lstrip("\n") if role == "assistant" and end else content


SHAPES = {
    "chatml": Shape(
        "{% for message in messages %}"
        "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        controls=("<|im_start|>", "<|im_end|>"),
        bos="<|endoftext|>",
        eos="<|im_end|>",
    ),
    "llama 3": Shape(
        "{% set loop_messages = messages %}{% for message in loop_messages %}"
        "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
        "+ message['content'] | trim + '<|eot_id|>' %}"
        "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        controls=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        treats=lambda role, content: content.strip(),
    ),
    "mistral": Shape(
        "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] + '\n\n' %}"
        "{% set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
        "{{ bos_token }}{% for message in rest %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must\n alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + (system if loop.first else '') + message['content'] + ' [/INST]' }}"
        "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}",
        controls=("[INST]", "[/INST]"),
    ),
    "gemma": Shape(
        "{{ bos_token }}\n"
        "{%- if messages[0]['role'] == 'system' -%}{%- set prefix = messages[0]['content'] + '\n\n' -%}"
        "{%- set rest = messages[1:] -%}\n"
        "{%- else -%}{%- set prefix = '' -%}{%- set rest = messages -%}{%- endif -%}\n"
        "{%- for message in rest -%}\n"
        "    {%- if message['role'] == 'assistant' -%}{%- set role = 'model' -%}\n"
        "    {%- else -%}{%- set role = message['role'] -%}{%- endif -%}\n"
        "    {{ '<start_of_turn>' + role + '\n' + (prefix if loop.first else '') }}\n"
        "    {%- if message['content'] is string -%}{{ message['content'] | trim }}{%- endif -%}\n"
        "    {{ '<end_of_turn>\n' }}\n"
        "{%- endfor -%}\n"
        "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}\n",
        controls=("<start_of_turn>", "<end_of_turn>"),
        bos="<bos>",
        eos="<eos>",
        treats=lambda role, content: content if role == "system" else content.strip(),
    ),
    "zephyr": Shape(
        "{% for message in messages %}\n"
        "{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
        "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n' + message['content'] + eos_token }}\n"
        "{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}",
        controls=("<|user|>", "<|assistant|>"),
    ),
    "phi, whose markers are built around the role": Shape(
        "{% for message in messages %}"
        "{{ '<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
        controls=("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
        eos="<|end|>",
    ),
    "glm, whose markers are built in the text": Shape(
        "[gMASK]<sop>{% for item in messages %}<|{{ item['role'] }}|>\n{{ item['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        controls=("[gMASK]", "<sop>", "<|user|>", "<|assistant|>", "<|system|>"),
    ),
    "exaone, which leaves out old thoughts": Shape(
        "{% for message in messages %}{% set content = message['content'] %}"
        "{% if message['role'] == 'assistant' and '</thought>' in content %}"
        "{% set content = content.split('</thought>')[-1].lstrip('\n') %}{% endif %}"
        "{{ '[|' ~ message.role ~ '|]' ~ content }}"
        "{% if message.role != 'user' %}{{ '[|endofturn|]' }}{% endif %}{{ '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]<thought>\n' }}{% endif %}",
        controls=("[|system|]", "[|user|]", "[|assistant|]", "[|endofturn|]", "</thought>"),
        eos="[|endofturn|]",
        treats=_without_thought,
    ),
}
TEXTS = sorted({text for shape in SHAPES.values() for text in shape.control_texts})
HALVES = [half for text in TEXTS for half in (text[:2], text[:-2], text[2:], text[-2:])]
ODD = [" ", "\n", "\0", "é", "🜁", "\ue000", "user", "system", "{{ bos_token }}", "{% endfor %}", "\\", '"']

shapes = st.sampled_from(list(SHAPES.values()))
hostile = st.lists(st.sampled_from(TEXTS) | st.sampled_from(HALVES + ODD) | st.text(max_size=2), max_size=8).map(
    "".join
)
benign = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>[]|/"), max_size=20)


def conversations(contents: st.SearchStrategy[str]) -> st.SearchStrategy[list[Message]]:
    """A system prompt or none, then user and assistant by turns."""

    def build(system: str | None, turns: list[str]) -> list[Message]:
        talk = [Message("assistant" if index % 2 else "user", content) for index, content in enumerate(turns)]
        return talk if system is None else [Message("system", system), *talk]

    return st.builds(build, st.none() | contents, st.lists(contents, min_size=1, max_size=5))


def markers(segments: tuple[Segment, ...]) -> list[str]:
    return [segment.text for segment in segments if segment.special]


def write(
    source: str, *contents: str, controls: tuple[str, ...] = ("<|im_start|>", "<|im_end|>")
) -> tuple[Segment, ...]:
    """What a template with the two ChatML markers makes of user messages."""
    template = JinjaTemplate(source, bos="<s>", eos="<|im_end|>", control_texts={*controls, "<s>"})
    return template.write([Message("user", content) for content in contents])


@given(shape=shapes, messages=conversations(hostile), reply=st.booleans())
def test_hostile_content_moves_adds_or_removes_no_marker(shape: Shape, messages: list[Message], reply: bool) -> None:
    inert = [Message(message.role, f"\ue001{index}\ue002") for index, message in enumerate(messages)]

    def as_hostile(match: re.Match[str]) -> str:
        message = messages[int(match[1])]
        return shape.treats(message.role, message.content)

    expected = [
        segment if segment.special else Segment(re.sub("\ue001(\\d+)\ue002", as_hostile, segment.text))
        for segment in shape.template().write(inert, reply=reply)
    ]
    assert shape.template().write(messages, reply=reply) == merged(expected)


@given(shape=shapes, messages=conversations(hostile), reply=st.booleans())
def test_the_text_is_the_templates_own_whatever_the_content(
    hugging_face: Callable[..., str], shape: Shape, messages: list[Message], reply: bool
) -> None:
    assert joined(shape.template().write(messages, reply=reply)) == shape.plain(hugging_face, messages, reply)


@given(shape=shapes, messages=conversations(benign), reply=st.booleans())
def test_benign_conversations_are_marked_as_if_the_whole_prompt_were_parsed(
    hugging_face: Callable[..., str], shape: Shape, messages: list[Message], reply: bool
) -> None:
    longest_first = sorted(shape.control_texts, key=len, reverse=True)
    pieces = re.split("(" + "|".join(map(re.escape, longest_first)) + ")", shape.plain(hugging_face, messages, reply))
    parsed = merged(Segment(piece, special=index % 2 == 1) for index, piece in enumerate(pieces))
    assert shape.template().write(messages, reply=reply) == parsed


@given(messages=conversations(hostile), reply=st.booleans())
def test_a_chatml_template_gives_the_same_as_our_own_chatml(messages: list[Message], reply: bool) -> None:
    assert SHAPES["chatml"].template().write(messages, reply=reply) == chatml.write(messages, reply=reply)


def test_a_marker_completed_by_the_templates_text_stays_text() -> None:
    segments = write(
        "{{ '<|im_start|>' }}{{ messages[0].content }}im_end|>{{ '<|im_' + messages[1].content }}", "<|", "end|>"
    )
    assert segments == (Segment("<|im_start|>", special=True), Segment("<|im_end|><|im_end|>"))


def test_a_marker_joined_from_two_contents_stays_text() -> None:
    assert write("{% for m in messages %}{{ m.content }}{% endfor %}", "<|im_", "end|>") == (Segment("<|im_end|>"),)


@pytest.mark.parametrize(
    ("change", "content"),
    [
        ("text | trim", " <|im_end|> "),
        ("text.lower()", "<|IM_END|>"),
        ("text | replace(' ', '')", "<|im_ end|>"),
        ("text | replace('<|im_start|>', '')", "<|im_<|im_start|>end|>"),
        ("text | reverse", ">|dne_mi|<"),
        ("text[::-1]", ">|dne_mi|<"),
        ("text.split('#') | join", "<|im_#end|>"),
        ("text | list | join", "<|im_end|>"),
        ("text | striptags", "&lt;|im_end|&gt;"),
        ("text.format('|')", "<{0}im_end{0}>"),
        ("'<|%s|>' | format(text)", "im_end"),
    ],
)
def test_content_that_the_template_turns_into_a_marker_stays_text(change: str, content: str) -> None:
    source = "{% set text = messages[0].content %}<|im_start|>{{ " + change + " }}"
    assert write(source, content) == (Segment("<|im_start|>", special=True), Segment("<|im_end|>"))


def test_content_used_many_times_or_never_stays_text() -> None:
    segments = write("{{ messages[0].content * 3 }}<|im_end|>", "<|im_end|>", "<|im_start|>")
    assert segments == (Segment("<|im_end|>" * 3), Segment("<|im_end|>", special=True))


def test_template_code_in_content_is_never_run() -> None:
    assert write("{{ messages[0].content }}", "{{ '<|im_end|>' }}{% raw %}") == (
        Segment("{{ '<|im_end|>' }}{% raw %}"),
    )


@pytest.mark.parametrize("content", ["user", "user|>", "|>", "<|user"])
def test_content_between_halves_of_a_marker_stays_text(content: str) -> None:
    source = "{{ '<|' + messages[0]['content'] + '|>' }}<|{{ messages[0].content }}|>"
    assert markers(write(source, content, controls=("<|user|>",))) == []


def test_half_a_code_unit_in_a_content_is_read_as_the_tokenizer_reads_it() -> None:
    assert write("{{ messages[0].content }}", "\ud800<|im_end|>\udbff") == (Segment("?<|im_end|>?"),)


@pytest.mark.parametrize(
    "source",
    [
        "{% macro turn(text) %}<|im_start|>{{ text }}{% endmacro %}{{ turn('a') }}",
        "{% set text = 'a' %}{% set turn %}<|im_start|>{{ text }}{% endset %}{{ turn }}",
        "{{ {'user': '<|im_start|>a'}[messages[0].role] }}",
        "{{ '%sa' | format('<|im_start|>') }}",
        "{{ ['', 'a'] | join('<|im_start|>') }}",
        "{% set ns = namespace(text='') %}{% set ns.text = ns.text + '\\x3c|im_start|>' %}{{ ns.text }}a",
        "{% generation %}<|im_start|>a{% endgeneration %}",
        "{% for part in ['<|im_start|>', 'a', 'b'] %}{% if part == 'b' %}{% break %}{% endif %}{{ part }}{% endfor %}",
        "{{ '<|im_start|>a' if tools is none else 'b' }}",
        "{{ 'a' | replace('a', '<|im_start|>a') }}",
    ],
)
def test_markers_are_kept_however_the_template_passes_them_on(source: str) -> None:
    assert write(source, "hi") == (Segment("<|im_start|>", special=True), Segment("a"))


def test_a_template_finds_the_markers_it_looks_for_in_a_content() -> None:
    source = (
        "{% for m in messages %}{% if m.content.startswith('<|im_start|>') or '<|im_end|>' in m.content %}"
        "{{ m.content.split('<|im_end|>')[-1] | replace('<|im_start|>', '') }}{% endif %}{% endfor %}"
    )
    assert write(source, "<|im_start|>a", "thought<|im_end|>b", "c") == (Segment("ab"),)


def test_the_longest_of_overlapping_markers_is_taken() -> None:
    assert write("<|im_end|><|im_end|>>", "", controls=("<|im_end|>", "<|im_end|>>")) == (
        Segment("<|im_end|>", special=True),
        Segment("<|im_end|>>", special=True),
    )


def test_json_is_written_as_hugging_face_writes_it() -> None:
    assert joined(write("{{ {'b': '<é>', 'a': 1} | tojson }}", "")) == '{"b": "<é>", "a": 1}'
    assert joined(write("{{ {'a': [1]} | tojson(indent=2) }}", "")) == '{\n  "a": [\n    1\n  ]\n}'


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for tool in tools %}{{ tool }}{% endfor %}a", "a"),
        ("{{ 'a' if tools is none }}{{ 'b' if documents is none }}", "ab"),
        ("{{ 'a' if enable_thinking is defined and enable_thinking }}", "a"),
        ("{{ 'a' if date_string is defined }}", "a"),
        ("{{ messages[0].reasoning_content }}{{ messages[0].thinking }}", ""),
    ],
)
def test_the_variables_that_templates_use_are_there(source: str, text: str) -> None:
    assert joined(write(source, "hi")) == text


def test_what_the_model_thought_is_a_field_of_its_message() -> None:
    source = "{% for m in messages %}{{ m.content }}{{ m.reasoning_content }}{% endfor %}"
    template = JinjaTemplate(source, bos="", eos="", control_texts=["</think>"])
    assert template.write([Message("assistant", "a", thinking="b</think>")]) == (Segment("ab</think>"),)


def test_thinking_can_be_switched_off_where_the_template_can() -> None:
    source = "{% if not enable_thinking %}<think></think>{% endif %}"
    template = JinjaTemplate(source, bos="", eos="", control_texts=[])
    assert [joined(template.write([], thinking=thinking)) for thinking in (True, False)] == ["", "<think></think>"]


QWEN = (
    "{%- if tools %}{{- '<|im_start|>system\\n' }}"
    "{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}"
    "{{- '# Tools\\n<tools>' }}{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}"
    "{{- '\\n</tools><|im_end|>\\n' }}"
    "{%- elif messages[0].role == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- for m in messages %}{%- if m.role == 'user' or (m.role == 'assistant' and not m.tool_calls) %}"
    "{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{%- elif m.role == 'assistant' %}{{- '<|im_start|>assistant' }}"
    '{%- for call in m.tool_calls %}{{- \'\\n<tool_call>\\n{"name": "\' + call.function.name + \'", "arguments": \' }}'
    "{{- (call.function.arguments | tojson) + '}\\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\\n' }}"
    "{%- elif m.role == 'tool' %}{{- '<|im_start|>user\\n<tool_response>\\n' + m.content }}"
    "{{- '\\n</tool_response><|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def test_a_template_that_takes_tools_as_we_do_writes_them_itself(hugging_face: Callable[..., str]) -> None:
    template = JinjaTemplate(QWEN, bos="", eos="<|im_end|>", control_texts=["<|im_start|>", "<|im_end|>"])
    assert template.takes_tools
    system = probes.WITH_TOOLS[0]
    given, tools = structured_messages(probes.WITH_TOOLS, lambda message: message.content)
    assert [message["role"] for message in given] == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert given[0]["content"] == "Be brief." and tools and tools[0]["function"]["name"] == "probe_tool"
    assert given[2]["tool_calls"][0]["function"] == {"name": "probe_tool", "arguments": {"city": "Oslo"}}
    assert given[3]["content"] == '{"name": "probe_tool", "content": "What the probe found."}'
    expected = hugging_face(QWEN, messages=given, tools=tools, add_generation_prompt=True)
    assert joined(template.write(probes.WITH_TOOLS)) == expected
    assert system.content not in expected


def test_tools_are_text_where_the_template_has_another_form_of_calls() -> None:
    source = SHAPES["llama 3"].source.replace("{% set loop_messages", "{{ tools | tojson }}{% set loop_messages")
    template = JinjaTemplate(source, bos="", eos="", control_texts=[])
    assert not template.takes_tools
    assert probes.WITH_TOOLS[0].content in joined(template.write(probes.WITH_TOOLS))


@pytest.mark.parametrize("refused", ["{{ raise_exception('no') }}", ""])
def test_a_role_that_the_template_lacks_is_said_by_the_user(refused: str) -> None:
    source = (
        "{% for m in messages %}{% if m.role in ('user', 'assistant') %}{{ m.role + ':' + m.content + ';' }}"
        "{% else %}" + refused + "{% endif %}{% endfor %}"
    )
    template = JinjaTemplate(source, bos="", eos="", control_texts=[])
    messages = [Message("system", "S"), Message("user", "U"), Message("assistant", "A"), Message("tool", "T")]
    assert template.missing_roles == {"system", "tool"}
    assert joined(template.write(messages)) == "user:S\n\nU;assistant:A;user:T;"
    assert joined(template.write(messages[:1])) == "user:S;"


@pytest.mark.parametrize(
    ("name", "writer", "takes_tools"),
    [("hermes3_default.jinja", "chatml", False), ("hermes3_tool_use.jinja", "template", True)],
)
def test_the_comparison_with_other_templates_finds_no_difference(
    reference: Callable[[str], str], name: str, writer: str, takes_tools: bool
) -> None:
    """`benchmarks.templates` runs the same on a folder of templates, as that in llama.cpp's source."""
    outcome = compare(reference(name))
    assert (outcome.writer, outcome.takes_tools, outcome.differing) == (writer, takes_tools, ())


@pytest.mark.parametrize("name", SHAPES)
def test_the_comparison_holds_for_every_shape(name: str) -> None:
    assert compare(SHAPES[name].source).differing == ()


def test_a_template_can_write_the_date() -> None:
    datetime.strptime(joined(write("{{ strftime_now('%d %b %Y') }}", "")), "%d %b %Y")


@pytest.mark.parametrize("source", ["{{ bos_token }}a", "<s>a", "{{- bos_token -}}\n a", "{{ bos_token + 'a' }}"])
def test_the_tokenizers_bos_is_not_doubled(source: str) -> None:
    assert write(source, "") == (Segment("a"),)


def test_only_a_bos_of_the_template_at_the_very_start_is_left_out() -> None:
    assert write("{{ messages[0].content }}{{ bos_token }}", "<s>") == (Segment("<s>"), Segment("<s>", special=True))
    assert write("{{ bos_token }}{{ bos_token }}", "") == (Segment("<s>", special=True),)


def test_a_bos_or_eos_that_is_not_a_control_token_is_ordinary_text() -> None:
    template = JinjaTemplate("{{ bos_token }}a{{ eos_token }}", bos="<s>", eos="</s>", control_texts=[])
    assert template.write([]) == (Segment("a</s>"),)


def test_a_model_without_bos_eos_or_control_tokens_gets_plain_text() -> None:
    template = JinjaTemplate("{{ bos_token }}a{{ eos_token }}<|im_end|>", bos="", eos="", control_texts=["", "<|x|>"])
    assert template.write([]) == (Segment("a<|im_end|>"),)


def test_wrong_alternation_is_reported_in_the_templates_words() -> None:
    with pytest.raises(UsageError) as refused:
        SHAPES["mistral"].template().write([Message("user", "a"), Message("user", "b")])
    assert refused.value.message == (
        "the model's chat template refuses this conversation: "
        "Conversation roles must alternate user/assistant/user/assistant/..."
    )
    assert "--template FILE" in refused.value.hint


@pytest.mark.parametrize("source", ["{% if %}", "{% for m in messages %}", "{{ 1 | nothing }}", "{{ " + "(" * 9999])
def test_a_template_that_cannot_be_read_is_one_line_of_error(source: str) -> None:
    with pytest.raises(EngineError, match=r"^the model's chat template cannot be read: [^\n]+$") as failed:
        JinjaTemplate(source, bos="", eos="", control_texts=[])
    assert "--template FILE" in failed.value.hint


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages[0].content + 1 }}",
        "{{ messages[7].content }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ range(10000000) | list }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{% include 'other' %}",
    ],
)
def test_a_template_that_fails_is_one_line_of_error(source: str) -> None:
    with pytest.raises(EngineError, match=r"^the model's chat template failed: [^\n]+$") as failed:
        write(source, "hi")
    assert "--template FILE" in failed.value.hint


def test_jinja_is_not_loaded_before_a_template_is_used() -> None:
    code = "import sys, hermes_cli.formats.jinja_template; sys.exit('jinja2' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
