"""Signing in and out in the log: the account's number, no name, because a name may be a person's own."""

import logging
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

log = logging.getLogger("examsim.accounts")


@receiver(user_logged_in)
def signed_in(sender: type, user: Any, **more: Any) -> None:
    log.info("Account %s signed in", user.pk)


@receiver(user_logged_out)
def signed_out(sender: type, user: Any, **more: Any) -> None:
    if user:
        log.info("Account %s signed out", user.pk)


@receiver(user_login_failed)
def refused(sender: type, **more: Any) -> None:
    log.info("A sign-in was refused")
