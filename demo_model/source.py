"""Random raw material for generated conversations: words, names, numbers and other values.

Words and names whose checksum is divisible by ten are held out: training never draws them, evaluation draws only them.
Words of the fixed texts (`fixed_words.txt`) are the exception. The model sees them anyway, and must also learn to copy them.
"""

# ruff: noqa: E501, SIM905 (tables of phrases stay on long lines)

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from zlib import crc32

Item = TypeVar("Item")

WORDS = tuple(Path(__file__).with_name("words.txt").read_text(encoding="utf-8").split())
FIXED_WORDS = tuple(Path(__file__).with_name("fixed_words.txt").read_text(encoding="utf-8").split())
# In an unquoted value these would blend into the sentence that holds it.
_JOINTS = frozenset("and is as with then also null true false or to of".split())
_CONTENT = tuple(word for word in FIXED_WORDS if word not in _JOINTS)
_FIXED = frozenset(FIXED_WORDS) | _JOINTS
NAMES = tuple(
    (
        "Ada Adam Alice Amir Ana Anna Ben Bruno Carla Carlos Chen Clara Daniel David Diana Elena Emma Eric Eva Fatima Felix "
        "Fiona Frank Grace Hana Hannah Hugo Ida Igor Ines Iris Ivan Jack Jana Jean Jonas Julia Kai Karim Kate Kenji Lara "
        "Laura Lena Leo Lina Lucas Lucy Maja Marco Maria Mark Marta Max Maya Mia Mila Mira Mohamed Nadia Nina Noah Nora "
        "Olga Oliver Omar Oscar Paul Pedro Peter Petra Priya Quentin Rachel Raj Rita Rosa Ruth Sam Sara Simon Sofia Stefan "
        "Tara Theo Tim Tom Uma Vera Victor Walter Wendy Xavier Yara Yuki Yusuf Zara Zoe Bob Joe Sally Harry Emily James"
    ).split()
)
ACCENTED = tuple(
    "café naïve Zoë Renée Łódź Ångström São Müller Jürgen façade crème brûlée año señor Žižek Søren être où élève".split()
)
CITIES = tuple(
    (
        "Oslo Paris London Berlin Madrid Rome Vienna Prague Lisbon Dublin Athens Cairo Tokyo Kyoto Osaka Lima Quito Bogota "
        "Boston Chicago Denver Seattle Toronto Sydney Perth Delhi Mumbai Seoul Hanoi Nairobi Lagos Accra Tunis Zurich Geneva "
        "Lyon Nice Hamburg Munich Milan Turin Porto Seville Krakow Bergen Helsinki Riga Tallinn Vilnius Warsaw Austin Miami"
    ).split()
)
_ONSETS = "b c d f g h j k l m n p r s t v w y z bl br ch cl cr dr fl fr gl gr kl kr pl pr qu sh sk sl sn sp st str th tr tw x zh".split()
_VOWELS = "a e i o u a e i o u ai au ea ee ie oa oo ou y".split()
_CODAS = ["", "", "", *"n r l s t m k d p x ck ld lt nd ng nk nt rd rn sh st th".split()]
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_EMOJI = "😀😂🙂😍🤔😎🥳😴🚀🌍🌈🔥⭐🌟🎉🎈🎵📚📌✅❌⚠💡🔧🐱🐶🐸🦊🐢🍎🍋🍕🍰🌷🌵🏠🚗⚽❤💙👍👋🙏✨☀☕"
_RANGES = ((0x4E00, 0x9FA0), (0x4E00, 0x9FA0), (0x3041, 0x3094), (0x30A1, 0x30F7), (0xAC00, 0xD7A0), (0x0410, 0x0450),
           (0x0391, 0x03CA), (0x05D0, 0x05EB), (0x0621, 0x064A), (0x00C0, 0x0180), (0x1F300, 0x1F64F), (0x1F680, 0x1F6C0))  # fmt: skip


class Source:
    """A seeded stream of random choices; `held_out` switches between the training and the evaluation vocabulary."""

    def __init__(self, seed: int, *, held_out: bool = False) -> None:
        self._random = random.Random(seed)
        self._held_out = held_out
        self.integer: Callable[[int, int], int] = self._random.randint

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def pick(self, items: Sequence[Item]) -> Item:
        return items[int(self._random.random() * len(items))]

    def sample(self, items: Sequence[Item], count: int) -> list[Item]:
        return self._random.sample(items, count)

    def weighted(self, items: Sequence[Item], cumulative: Sequence[float]) -> Item:
        return self._random.choices(items, cum_weights=cumulative)[0]

    def word(self) -> str:
        """A lower-case word: real, made of syllables, or (seldom) of pieces or random letters."""
        draw = self._random.random()
        if draw < 0.08:
            return self.pick(_CONTENT)
        if draw < 0.55:
            return self._allowed(lambda: self.pick(WORDS))
        if draw < 0.87:
            return self._allowed(self._syllables)
        if draw < 0.95:
            return self._allowed(self._slices)
        return self._allowed(lambda: self.letters(self.integer(2, 8)))

    def real_word(self) -> str:
        return self._allowed(lambda: self.pick(WORDS))

    def any_word(self) -> str:
        """Like `word`, but also the small words that join sentences."""
        return self.pick(FIXED_WORDS) if self.chance(0.12) else self.word()

    def words(self, count: int) -> list[str]:
        """Different words."""
        found: dict[str, None] = {}
        while len(found) < count:
            found[self.word()] = None
        return list(found)

    def name(self) -> str:
        """The name of a person, capitalised."""
        draw = self._random.random()
        if draw < 0.35:
            return self._allowed(lambda: self.pick(NAMES))
        return self._allowed(lambda: (self._syllables() if draw < 0.8 else self.pick(WORDS)).capitalize())

    def names(self, count: int) -> list[str]:
        found: dict[str, None] = {}
        while len(found) < count:
            found[self.name()] = None
        return list(found)

    def place(self) -> str:
        return self._allowed(lambda: self.pick(CITIES)) if self.chance(0.5) else self.name()

    def letters(self, count: int) -> str:
        return "".join(self._random.choices(_LETTERS, k=count))

    def code(self) -> str:
        """A string without meaning, like a password or an order number."""
        alphabet = self.pick(
            ("0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", _LETTERS + _LETTERS.upper() + "0123456789")
        )
        text = "".join(self._random.choices(alphabet, k=self.integer(3, 9)))
        return f"{text}-{self.integer(0, 999)}" if self.chance(0.3) else text

    def exotic(self) -> str:
        """Characters of other scripts, accents or emoji."""
        draw = self._random.random()
        if draw < 0.35:
            return "".join(self._random.choices(_EMOJI, k=self.integer(1, 3)))
        if draw < 0.5:
            return self.pick(ACCENTED)
        first, end = self.pick(_RANGES)
        return "".join(chr(self._random.randrange(first, end)) for _ in range(self.integer(1, 6)))

    def identifier(self, parts: int = 0) -> str:
        """A programmer's name in snake case, or seldom camel case."""
        words = [self.word() for _ in range(parts or self.integer(1, 3))]
        if self.chance(0.15):
            return words[0] + "".join(word.capitalize() for word in words[1:])
        return "_".join(words)

    def sentence(self, length: int = 0) -> str:
        words = [self.word() for _ in range(length or self.integer(3, 9))]
        return " ".join(words).capitalize() + self.pick((".", ".", ".", "!", "?"))

    def decimal(self) -> float:
        return float(f"{self.integer(-20, 400) if self.chance(0.5) else self.integer(0, 20)}.{self.integer(1, 99)}")

    def whole(self) -> int:
        value = self.integer(0, 10 ** self.integer(1, 5))
        return -value if self.chance(0.06) else value

    def text(self) -> str:
        """The value of a string field: mostly a word or two, sometimes anything that people put into fields."""
        draw = self._random.random()
        if draw < 0.3:
            return self.word()
        if draw < 0.45:
            return self.name()
        if draw < 0.65:
            return " ".join(self.word() for _ in range(self.integer(2, 4)))
        if draw < 0.75:
            return self.place()
        if draw < 0.85:
            return self.code()
        if draw < 0.9:
            return self.exotic()
        return self.pick((self._mail, self._path, self._url, self._date, self.sentence))()

    def _mail(self) -> str:
        return f"{self.word()}@{self.word()}.{self.pick(('com', 'org', 'net', 'io'))}"

    def _path(self) -> str:
        return f"{self.pick(('', '/', './', '~/'))}{self.word()}/{self.word()}.{self.pick(('txt', 'py', 'md', 'csv', 'json'))}"

    def _url(self) -> str:
        return f"https://{self.word()}.{self.pick(('com', 'org', 'net'))}/{self.word()}"

    def _date(self) -> str:
        return f"20{self.integer(10, 39)}-{self.integer(1, 12):02}-{self.integer(1, 28):02}"

    def _syllables(self) -> str:
        count = self.integer(1, 3)
        return "".join(self.pick(_ONSETS) + self.pick(_VOWELS) + self.pick(_CODAS) for _ in range(count))

    def _slices(self) -> str:
        """Two pieces of real words, so that every token that words are made of is copied in any company."""
        words = [self.pick(WORDS + FIXED_WORDS) for _ in range(2)]
        starts = [self.integer(0, max(0, len(word) - 2)) for word in words]
        return "".join(word[start : start + self.integer(2, 6)] for word, start in zip(words, starts, strict=True))

    def _allowed(self, draw: Callable[[], str]) -> str:
        while True:
            word = draw()
            lowered = word.lower()
            if lowered in _FIXED or (crc32(lowered.encode()) % 10 == 0) == self._held_out:
                return word
