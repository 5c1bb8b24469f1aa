"""The demo model's byte-level BPE: its training, and the encoding of conversations exactly as llama.cpp encodes them.

Merges never join letters with anything else and digits never merge, so a word has the same tokens wherever it stands.
That makes copying a matter of repeating tokens, which a tiny model does well.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers

from demo_model.conversation import Conversation
from hermes_cli.formats.chatml import TURN_END, TURN_START, write
from hermes_cli.formats.segment import Segment

VOCABULARY_SIZE = 2048
BOS, PADDING = "<|begin_of_text|>", "<|end_of_text|>"
CONTROL = (BOS, PADDING, TURN_START, TURN_END, *(f"<|reserved_special_token_{index}|>" for index in range(4)))
USER_DEFINED = ("<tool_call>", "</tool_call>")
LEARNED = 1 << 15  # set on the tokens of a training row whose prediction counts fully
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TRAINING = r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s"


def _byte_level(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


class DemoTokenizer:
    """Encodes text without ever reading a control token from it; the control ids come last in the vocabulary."""

    def __init__(self, tokens: list[str], merges: list[tuple[str, str]]) -> None:
        self.tokens, self.merges = tokens, merges
        self.specials = {text: len(tokens) + index for index, text in enumerate((*CONTROL, *USER_DEFINED))}
        vocabulary = {token: index for index, token in enumerate(tokens)} | self.specials
        self._bpe = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=True))
        self._bpe.pre_tokenizer = _byte_level(_LLAMA_3)
        self._bpe.add_tokens([AddedToken(text, normalized=False) for text in USER_DEFINED])

    @classmethod
    def train(cls, texts: Iterable[str]) -> "DemoTokenizer":
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = _byte_level(_TRAINING)
        size = VOCABULARY_SIZE - len(CONTROL) - len(USER_DEFINED)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        bpe.train_from_iterator(texts, trainer)
        model = json.loads(bpe.to_str())["model"]
        return cls(
            sorted(model["vocab"], key=model["vocab"].__getitem__),
            [(first, second) for first, second in model["merges"]],
        )

    def save(self, path: Path) -> None:
        path.write_text(
            json.dumps({"tokens": self.tokens, "merges": self.merges}, ensure_ascii=False), encoding="utf-8"
        )

    @classmethod
    def load(cls, path: Path) -> "DemoTokenizer":
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(data["tokens"], [(first, second) for first, second in data["merges"]])

    def encode(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._bpe.encode_batch_fast(texts, add_special_tokens=False)]

    def encode_conversations(self, conversations: list[Conversation]) -> list[np.ndarray]:
        """Each conversation as ids from BOS to its last newline, with `LEARNED` set on the answers and their ends."""
        pieces = [list(self._pieces(conversation)) for conversation in conversations]
        encoded = iter(self.encode([segment.text for parts in pieces for segment, _ in parts if not segment.special]))
        rows = []
        for parts in pieces:
            ids = [self.specials[BOS]]
            for segment, learned in parts:
                part = [self.specials[segment.text]] if segment.special else next(encoded)
                ids += [token | LEARNED for token in part] if learned else part
            rows.append(np.array(ids, dtype=np.uint16))
        return rows

    @staticmethod
    def _pieces(conversation: Conversation) -> Iterable[tuple[Segment, bool]]:
        """Segments as `write` gives them, but answers apart from their headers, with whether they are learned."""
        for index, message in enumerate(conversation.messages):
            learned = message.role == "assistant" and index >= conversation.learned_from
            for segment in write([message], reply=False):
                if message.role == "assistant" and not segment.special and segment.text != "\n":
                    yield Segment("assistant\n"), False
                    yield Segment(segment.text.removeprefix("assistant\n")), learned
                else:
                    yield segment, learned and segment.text == TURN_END and segment.special
