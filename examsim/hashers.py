from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id with 19 MiB, 2 passes, 1 lane.

    The first choice of the OWASP password storage cheat sheet. Django's stronger default takes so much processor time
    that a few sign-ins a second would slow down everybody's saves.
    """

    time_cost = 2
    memory_cost = 19456
    parallelism = 1
