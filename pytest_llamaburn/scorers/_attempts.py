"""Recognise answers that are plainly no attempt: that the model does not know, or declines."""

from __future__ import annotations

import re

from pytest_llamaburn.scorers._text import spoken

# The rest of a sentence that gives no answer: without numbers, further parts and guesses.
_GUESS = r"\b(?:but|however|though|although|maybe|perhaps|probably|think|guess|believe|assume)\b"
_REST = rf"(?:(?!{_GUESS})[^.!?\n,;:\d]){{0,100}}"
_OPENING = (
    r"(?:(?:i'm |i am )?(?:very )?sorry|i'm afraid|i am afraid|i apologi[sz]e|apologies"
    r"|unfortunately|as an ai(?: language model| assistant| model)?)[,.]?\s+(?:but\s+)?"
)
_UNKNOWN = (
    rf"(?:i )?(?:(?:really |honestly )?(?:do not|don't) know(?! that\b| it is\b){_REST}|dunno|idk)"
    rf"|(?:i have )?no idea(?: at all)?|(?:i'm |i am )?(?:not sure|unsure){_REST}|unknown|n/a"
    rf"|i (?:do not|don't) have (?:enough|sufficient|any|the|that|access){_REST}"
    rf"|there (?:is|isn't|is not) (?:not enough|insufficient|no|enough) information{_REST}"
)
_DECLINED = (
    r"i (?:can't|cannot|can not|could not|couldn't|won't|will not|am (?:unable|not able) to) "
    rf"(?:answer|assist|help|provide|comply|fulfil|share|discuss|determine|do|say|tell|find){_REST}"
    rf"|i'm (?:unable|not able) to {_REST}|i (?:must |have to )?(?:decline|refuse){_REST}"
)
# What may follow: an offer, or a question to the user.
_CLOSING = (
    r"(?:please|could you|can you|would you|is there anything|let me know|if you|feel free|do you)"
    rf"{_REST}"
)
_NO_ATTEMPT = re.compile(
    rf"\W*(?:{_OPENING})*(?:{_UNKNOWN}|{_DECLINED})(?:[\s.!]+(?:{_CLOSING})?)?\W*", re.IGNORECASE
)
_LONGEST = 500  # characters; a longer answer says more


def is_no_attempt(answer: str) -> bool:
    """Return whether an answer says only that the model does not know, or does not answer.

    Only plain English wordings are known; a judge with the criterion `grade` decides on others.
    """
    said = spoken(answer).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return len(said) <= _LONGEST and _NO_ATTEMPT.fullmatch(said) is not None
