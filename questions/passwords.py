import re

from django.core.exceptions import ValidationError
from django.utils.translation import gettext

# What anybody would try first at this site; docs/asvs.md counts on this list.
WORDS = {
    *("examsim", "exam", "practice", "question", "answer", "instructor", "student", "taker", "guest", "password"),
    *(
        "google",
        "cloud",
        "gcp",
        "professional",
        "machine",
        "learning",
        "engineer",
        "certification",
        "certified",
        "pmle",
    ),
    *("vertex", "bigquery", "tensorflow"),
}
LETTERS_BESIDES = 4
LENGTH_BESIDES = 8  # of all kinds but what joins words: long enough by itself


class NotOnlySiteWords:
    """Refuses a password that is made of the words of this site; a few digits and signs between them do not help."""

    def validate(self, password: str, user: object = None) -> None:
        rest = password.casefold()
        for word in sorted(WORDS, key=len, reverse=True):
            rest = rest.replace(word, " ")
        letters, left = re.sub(r"[\W\d_]", "", rest), re.sub(r"[\s_-]", "", rest)
        if rest != password.casefold() and len(letters) < LETTERS_BESIDES and len(left) < LENGTH_BESIDES:
            raise ValidationError(
                gettext("This password is made of words that belong to this site."), code="site_words"
            )

    def get_help_text(self) -> str:
        return gettext("Your password can’t be made of words of this site, such as exam or cloud.")  # noqa: RUF001
