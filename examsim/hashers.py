from django.contrib.auth.hashers import Argon2PasswordHasher

from questions.hashing import turn


class Argon2(Argon2PasswordHasher):
    """Argon2id with 19 MiB, 2 passes, 1 lane; one at a time in a process.

    The first choice of the OWASP password storage cheat sheet. Django's stronger default takes so much processor time
    that a few sign-ins a second would slow down everybody's saves.
    """

    time_cost = 2
    memory_cost = 19456
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with turn:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with turn:
            return super().verify(password, encoded)
