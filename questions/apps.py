from django.apps import AppConfig


class QuestionsConfig(AppConfig):
    name = "questions"
    verbose_name = "Question bank"

    def ready(self) -> None:
        # Importing them registers them, as Django's documentation asks for.
        from questions import checks, sign_in_log  # noqa: F401
