"""The answer names the right choice, by its letter (A to J) or its text.

`choices` are the texts in order, or a mapping from letter to text; the reference is a letter or a
text. A single letter is that choice, even if it is the text of another one. If an answer says "the
answer is B", only such sentences count; otherwise lines that begin with a letter, then mentions of
letters, then the texts. Lines and mentions do not count in a text that ends in a loop or in a list
of all choices; mentions do not count if the answer says that no choice, or each one, is right. An
answer with two different choices cannot be read. An "A" that is an article is not a choice.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_llamaburn.errors import DatasetError
from pytest_llamaburn.scorers import _base, _text
from pytest_llamaburn.scorers._markup import without_citations, without_markup, without_sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_llamaburn.scorers._base import Question, Score

NEEDS = ("choices", "reference")
ADVICE = "Ask for the letter of one choice only, or use --choice-by logprob"

_LETTERS = "ABCDEFGHIJ"
# Words for the answer in many languages; languages without spaces match within words.
_NOUN = (
    r"(?:\b(?:answer|ans|choice|option|solution|response|letter|Antwort|Lösung|Buchstabe|réponse|choix"
    r"|lettre|respuesta|opción|letra|risposta|opzione|lettera|resposta|opção|alternativa|antwoord"
    r"|odpowiedź|odpověď|odpoveď|válasz|răspuns(?:ul)?|απάντηση|optie|svar(?:et)?|cevap|yan\u0131t"
    r"|ответ|вариант|відповідь|jawaban|vastaus|đáp án)\b"
    r"|答案|选项|選項|正解|答え|정답|답은|الإجابة|الجواب|उत्तर)"
)
_RIGHTLY = (
    r"(?:correct|right|best|richtig\w*|correcta?|bonne|juste|corretta|correta|juist\w*"
    r"|poprawna|doğru|правильн\w+|đúng|الصحيحة|सही)"
)
_IS = (
    r"(?:\bis\b|\b(?:would|should|must)(?: therefore| thus)? be\b"
    r"|\b(?:ist|lautet|est|es|è|é|(?<=odpowiedź )to|jest|là|adalah|är)\b"
    r"|[:=]|\s?[\u2013\u2014\u2192]|是|为|為|は|[은는]|هي|هو)"
)
_QUOTE = r"[(\[*\"']?"
_END_OF_CLAUSE = r"(?=" + _QUOTE + r"[A-J]\b[)\]\"']?\s*(?:[.,;!]|$|\n))"
_FINAL = re.compile(
    rf"(?i)\bfinal\s+{_NOUN}(?:[^.:=\n]{{0,60}}?(?:\bis\b|[:=])|\s-\s)|\\boxed\b|####"
)
_SAID = re.compile(
    rf"(?i){_NOUN}(?:['\u2019]s\b|[^.:=\n]{{0,60}}?(?=[^:=]){_IS}"
    rf"|(?:\s+(?:{_NOUN}|{_RIGHTLY}|\([^()\n]{{0,60}}\))){{0,2}}\s*[:=])"
    r"|\bI(?:'d|'ll| would| will|'m)? "
    r"(?:choose|pick|select|say|opt for|go(?:ing)? with|settle on|answer)\b"
    r"|\b(?:it|that)(?:'s| is| (?:must|should|would|has to) be)\b(?:\s+(?:most likely|probably))?"
    r"|\b(?:correct|right|best)(?: one)?(?:\s*:|\s+is\b)|[选選][择擇]?[:\s]{0,3}(?=[A-J])"
)
# After these words a letter counts only at the end of its clause.
_CONCLUDED = re.compile(
    r"(?i)(?:\b(?:(?:most )?(?:likely|probabl[ey])|definitely|certainly|clearly|surely"
    r"|leav(?:ing|es)(?: only| us with)?|so|thus|hence|therefore|but(?: rather)?"
    r"|lean(?:ing)?(?: towards?)?|choose|pick|select|go(?:ing)? (?:with|for)"
    r"|(?:closest|nearest|best|most \w{1,12})(?: \w{1,12})? (?:is|would be|to)|which is|i\.e\."
    r"|ha(?:s|ve) to be"
    r"|guess (?:is|would be)|match(?:es)?|corresponds? to|ans\.|I (?:think|believe|guess)"
    r"|(?:guess|verdict|conclusion|result|select(?:ed|ion)|pick)(?=:)),?:?\s+)"
    rf"(?:the )?(?:(?:option|choice|answer) )?(?-i:{_END_OF_CLAUSE})"
)
_RIGHT = re.compile(
    r"\b(?=[A-J][)\"']* (?:is|seems|ist|est|es|è|é) (?:clearly |probably )?"
    rf"(?:the )?(?i:{_RIGHTLY}|answer)\b)"
    r"|\b[Oo]nly (?=[A-J][)\"']* (?:is (?:true|possible|left|valid)|fits|works|matches|remains)\b)"
)
_MENTION = re.compile(r"(?=\([A-Ja-j]\))|(?i:\b(?:option|choice)(?=\s+\(?[a-j]\b))")
_POINTER = r"\u2192\u21d2\u27a1\u2234\u2705\u2714\u2611\ufe0f\U0001f449"  # arrows, ticks, a hand
_OPENING = rf"(?:[\s:\"'{{(\[$>\u2022「『【{_POINTER}-]|=>){{0,9}}"
_LEAD = re.compile(
    rf"{_OPENING}(?-i:(?:[Tt]he|la|el|le|die|der|das|il|o|a|de)\s+"
    rf"(?=(?i:{_NOUN}|{_RIGHTLY}|[B-J]\b)))?"
    rf"(?:{_RIGHTLY}\s+)?{_NOUN}?{_OPENING}",
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"([A-Ja-j])(?!(?![\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])\w|['\u2019-]\w)"
    r"([)\]}.,:;!?\"'$/\u2013\u2014\u3002」』】-]*)(\s*)(.*)"
)
_REASON = re.compile(r"(?i)(?:because|since|as|for|which|that|is|was|due|given|and|or|with|by)\b")
_DENIED = re.compile(
    r"(?i)(?:(?:is|was)\s+(?:not|wrong|incorrect|false|out|excluded|eliminated)\b|isn't\b)"
)
_SECOND = re.compile(
    r"(?:(?:or|and)\s+|(?<=[,/])\s*|(?=\())\(?([A-J])\)?(?=\s*(?:[.,;!/()]|$|(?:or|and|are)\b))"
)
_ALONE = re.compile(rf"(?i:{_LEAD.pattern})[A-Ja-j][)\]}}.!\"'$」』】\s]*")
_NEGATED = re.compile(
    r"(?i)(?:\b(?:not|never|no|none|nothing|neither|nor|cannot|worst|least)\b|n['\u2019]t\b)"
    r"(?!\s+(?:doubt|surpris))(?:\s+\w+){0,2}\s*$"
)
_SO = re.compile(r"(?i)(?:so|thus|hence|therefore|but)\b")  # after these a denial ends
_EACH = re.compile(r"(?i)\b(?:each|every|any|all|other|another|these|possible)\s+(?:\w+\s+)?$")
_LIST = re.compile(
    r"(?i)\b(?:each|every|following|options|choices|answers)\b[^.]*:\s*$"
    r"|\b(?:let(?:'s| us)|we|I(?:'ll)?|first|step \d{1,2}:?)\s[^.:]{0,60}\b(?:evaluate|consider"
    r"|look|go|check|analy[sz]e|examine|compare|review)\b[^:]{0,80}"
    r"\b(?:each|every|options?|choices?|answers?|them|one by one)\b[^.:]{0,40}[.:]\s*$"
)
_ITEM = re.compile(r"\s*(?:[-*]\s*)?(?i:option\s+|choice\s+)?\(?[A-J][.):]")
_OPTION = re.compile(r"(?i:\b(?:option|choice))\s+\(?([A-J])\b")
_NO_CHOICE = re.compile(
    r"(?i)\b(?:none|neither|all|both|any) of "
    r"(?:these|them|the (?:\w+ )?(?:above|options|choices|answers))\b"
    r"|\bno (?:\w+ )?(?:option|choice|answer)\b|\bnot (?:listed|given|(?:among|one of) the \w+)\b"
)
_UNSURE = re.compile(
    r"(?i)\b(?:cannot|can't|don't|unable|need|check|consider|compare|whether|if|might|could|no|not"
    r"|none|neither|nor|wrong|incorrect|between|such as|either|which|sorry|look)\b"
)
_IN_FORMULA = tuple("=+*/^<>~≈→")  # after a letter that is a quantity
_REACH = 300  # characters after "the answer is" in which it is said
_CLAUSE = re.compile(r"[.;!](?=\s|$)|[\u3002\n]")
_LABELS = re.compile(r"\s*\n\s*\(?([A-J])[.):]")
_MOST_STATEMENTS = 200  # a text with more of them is a loop
_ENDED = re.compile(r"[.!?\u3002)\]$][\s\"'*]*$")
_LONG = 12  # words of a sentence that can be a loop
_LOOP = 3  # times that a text says the same
_TAIL = 60  # words at the end that show whether a text is a loop
_MARK = re.compile(
    r"(?<=\b[A-J])[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,3}(?=[\s.,;)*]*$)", re.MULTILINE
)


def score(answer: str, question: Question) -> Score:
    """Return whether the choice is right; raises DatasetError for a faulty question."""
    choices = by_letter(question)
    right = _right(_base.needed(question, "reference"), choices)
    said = _text.spoken(answer)
    if not said:
        return _base.empty()
    chosen = _chosen(_text.own_turn(said), choices) or _chosen(said, choices)
    if len(chosen) != 1:
        found = f"more than one choice: {', '.join(sorted(chosen))}" if chosen else "no choice"
        return _base.unparsable(f"{found} in the answer")
    (letter,) = chosen
    return _base.scored(letter == right, letter, f"it is {letter}, not {right}")


def right(question: Question) -> str:
    """Return the letter of the right choice; raises DatasetError for a faulty question."""
    return _right(_base.needed(question, "reference"), by_letter(question))


def faults(question: Question) -> Iterator[tuple[str, str]]:
    """Yield field and reason if the choices are invalid, or the reference is not among them."""
    field = "choices"
    try:
        choices = by_letter(question)
        field = "reference"
        _right(_base.needed(question, field), choices)
    except DatasetError as err:
        yield field, str(err).removeprefix(f"the {field} ")


def by_letter(question: Question) -> dict[str, str]:
    """Return the texts of the choices by letter; raises DatasetError for invalid choices."""
    given = _base.needed(question, "choices")
    texts = given if isinstance(given, list | tuple) else []
    pairs = given.items() if isinstance(given, Mapping) else zip(_LETTERS, texts, strict=False)
    choices = {str(letter).upper(): str(text) for letter, text in pairs}
    if not choices or not 2 <= len(given) <= len(_LETTERS) or not set(choices) <= set(_LETTERS):
        raise DatasetError(f"'choices' are {given!r}: give 2 to 10 texts, or A to J with texts")
    return choices


def _right(reference: str, choices: Mapping[str, str]) -> str:
    letter = reference.strip(" ().").upper()
    if letter in choices:
        return letter
    found = _by_text(reference, choices)
    if found is None:
        raise DatasetError(
            f"the reference '{reference}' is not one of the choices: give the letter of one"
        )
    return found


def _chosen(said: str, choices: Mapping[str, str]) -> set[str]:
    """Return the choices in statements of the strongest kind that the answer has."""
    text = _plain(said)
    whole = _by_text(text, choices)
    kinds: list[Iterable[set[str]]] = [
        [_lettered(text, choices) if _ALONE.fullmatch(text) else set()],
        [{whole} if whole else set()],
        (_settled(rest, choices) for rest in _stated(text, _FINAL)),
        (_settled(rest, choices) for p in (_SAID, _RIGHT) for rest in _stated(text, p)),
        (_lettered(rest, choices) for rest in _stated(text, _CONCLUDED)),
        *([] if _is_loop(text) else _implied(text, choices)),
    ]
    return next((found for kind in kinds if (found := set().union(*kind))), set())


def _implied(text: str, choices: Mapping[str, str]) -> list[Iterable[set[str]]]:
    """Return the choices that lines begin with, and those that the last sentence mentions."""
    told = _after_lists(text.splitlines())
    last = _last_sentence("\n".join(told))
    lines = [line for line in told if len({*_OPTION.findall(line)}) < 2]
    kinds: list[Iterable[set[str]]] = [
        (_lettered(line, choices) for line in lines if _ALONE.fullmatch(line)),
        (_lettered(line, choices) for line in lines if _by_text(_after_letter(line), choices)),
        (_lettered(line, choices) for line in lines),
    ]
    if _NO_CHOICE.search(text):
        return kinds
    mentions = (_lettered(_after(m), choices) for m in _MENTION.finditer(_sure(last)))
    return [*kinds, mentions, [_mentioned(last, choices)]]


def _stated(text: str, pattern: re.Pattern[str]) -> Iterator[str]:
    """Yield the text after each statement, unless it is denied, of "each option" or of a list."""
    for match, _ in zip(pattern.finditer(text), range(_MOST_STATEMENTS), strict=False):
        rest, before = _after(match), text[max(0, match.start() - 40) : match.start()]
        denied = _NEGATED.search(before) and not _SO.match(match[0])
        if not denied and not _EACH.search(before) and not _lists(rest):
            yield rest


def _lists(rest: str) -> bool:
    """Return whether a text begins with a list of choices on lines of its own."""
    labels = _LABELS.findall(rest) if _LABELS.match(rest) else []
    return len(labels) > 1 and ord(labels[1]) == ord(labels[0]) + 1


def _after_lists(lines: Sequence[str]) -> list[str]:
    """Return the lines that may state the choice, without the list after "let us see each:"."""
    kept, listing = [""], False
    for line in filter(str.strip, lines):
        before = kept[-1][-_REACH:]
        begins = not listing and _LIST.search(before)
        listing = bool(
            (begins or listing) and (_ITEM.match(line) or (begins and ":" in before[-9:]))
        )
        if not listing:
            kept.append(line)
    return kept[1:]


def _is_loop(text: str) -> bool:
    """Return whether a text ends with the same few words again and again."""
    words = re.findall(r"\w+", text[-_REACH * 2 :])[-_TAIL:]
    return len(words) > _LONG and len(set(words)) * 4 < len(words)


def _last_sentence(text: str) -> str:
    """Return the last sentence; empty if the text was cut or repeats itself."""
    sentences = [s.strip() for s in _CLAUSE.split(text) if s.strip()] or [""]
    last = sentences[-1]
    words = last.split()
    ended = len(sentences) == 1 or _ENDED.search(text[-_REACH:])
    looped = len(words) > _LONG and len(set(words)) * 2 < len(words)
    return last if ended and not looped and sentences.count(last) < _LOOP else ""


def _after_letter(line: str) -> str:
    match = _letter(line)
    return match[4] if match else ""


def _letter(text: str) -> re.Match[str] | None:
    """Return the letter that a text begins with, after quotes, brackets and "option"."""
    return _LETTER.match(_LEAD.sub("", text, count=1))


def _after(match: re.Match[str]) -> str:
    return match.string[match.end() : match.end() + _REACH]


def _plain(text: str) -> str:
    text = without_markup(without_citations(_MARK.sub("", without_sources(text))))
    text = re.sub(r"\\[()\[\]]|\\[fm]box(?![A-Za-z])", " ", text)
    return re.sub(r"[*`]+|(?<!\w)_+|_+(?!\w)", "", unicodedata.normalize("NFKC", text))


def _by_text(text: str, choices: Mapping[str, str]) -> str | None:
    wanted = _form(text)
    return next((c for c, own in choices.items() if _form(own) == wanted), None)


def _form(text: str) -> str:
    """Return the words of a text without a leading article; the A of "vitamin A" stays."""
    first, *rest = _text.words(text) or [""]
    return " ".join(rest if rest and first in _text.ARTICLES else [first, *rest])


def _settled(rest: str, choices: Mapping[str, str]) -> set[str]:
    """Return the choices that the text after "the answer is" names, by letter or by words."""
    found = _lettered(rest, choices)
    clause = _form(_CLAUSE.split(rest.lstrip(" :\n"))[0]) + " "
    own = {c: f"{_form(text)} " for c, text in choices.items()}
    begun = [c for c in choices if own[c].strip() and clause.startswith(own[c])]
    return found or set(sorted(begun, key=lambda c: len(own[c]))[-1:])


def _lettered(rest: str, choices: Mapping[str, str]) -> set[str]:
    """Return the letter that a text begins with, and another one that it names with it."""
    match = _letter(rest)
    if match is None or not _is_choice(match, choices):
        return set()
    letter, marks, _, tail = match.groups()
    second = _SECOND.match(f"{marks}{tail}", len(marks))
    others = {second[1]} & set(choices) if second else set()
    named = _by_text(_CLAUSE.split(tail)[0], choices)
    return {letter.upper()} | others | ({named} if named else set())


def _is_choice(match: re.Match[str], choices: Mapping[str, str]) -> bool:
    """Return whether a letter is a choice, not an article, a pronoun or a denial."""
    letter, marks, gap, tail = match.groups()
    if letter.upper() not in choices or _DENIED.match(tail) or tail[:1] in _IN_FORMULA:
        return False
    alone = marks or not tail or "\n" in gap
    own = _form(tail).startswith(_form(choices[letter.upper()]))
    return bool(alone or letter not in "AIai" or own or _REASON.match(tail))


def _sure(sentence: str) -> str:
    return "" if _UNSURE.search(sentence) else sentence


def _mentioned(text: str, choices: Mapping[str, str]) -> set[str]:
    """Return the choices whose texts occur, except within the text of a longer choice."""
    left, found = f" {' '.join(_text.words(text))} ", set()
    for letter in sorted(choices, key=lambda c: -len(choices[c])):
        own = f" {_form(choices[letter])} "
        if own.strip() not in {"", *_text.ARTICLES} and own in left:
            found.add(letter)
            left = left.replace(own, " | ")
    return set() if _UNSURE.search(left) else found
