from django.apps import AppConfig


class QuestionsConfig(AppConfig):
    name = "questions"
    verbose_name = "Question bank"

    def ready(self) -> None:
        from questions import checks  # noqa: F401  importing it registers them, as Django's documentation asks for
