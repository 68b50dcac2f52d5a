"""What an instructor may write: the same that a bank's file may hold, refused in the same words at the right field."""

from typing import Any

from django import forms
from django.conf import settings
from django.forms.models import BaseInlineFormSet

from questions import records
from questions.models import Guide, Question, Reference


def home_guide() -> Guide | None:
    """The guide that new questions are written for: the home edition of the exam that the site offers."""
    return Guide.objects.filter(code=settings.GUIDE.partition("/")[0], is_home=True).first()


class OptionFormSet(BaseInlineFormSet):
    """The options of one question, checked by the rules of the bank's files."""

    def clean(self) -> None:
        super().clean()
        question = self.instance
        kept = [form for form in self.forms if form.has_changed() or form.instance.pk]
        kept = [form for form in kept if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        if any(form.errors for form in self.forms) or not getattr(question, "guide_id", None) or not question.type:
            return
        data = {**question.to_record(), "options": [_option_record(form.cleaned_data) for form in kept]}
        references = Reference.objects.filter(bank=question.guide.code).values_list("code", flat=True)
        _, problems = records.check_question(data, question.guide.record, references)
        loose = []
        for problem in problems:
            match problem.path:
                case ("options", int(index), str(name), *_):
                    kept[index].add_error({"key": "is_key"}.get(name, name), problem.message)
                case ("options", *_) | ("choose", *_):
                    loose.append(problem.message)
        if loose:
            raise forms.ValidationError(loose)

    def save_new(self, form: forms.ModelForm, commit: bool = True) -> Any:
        form.instance.position = self.forms.index(form)
        return super().save_new(form, commit)


def _option_record(data: dict[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {"text": records.trim(data.get("text", "")), "why": records.trim(data.get("why", ""))}
    if data.get("is_key"):
        record["key"] = True
    if data.get("flip"):
        record["flip"] = records.trim(data["flip"])
    return record


class QuestionForm(forms.ModelForm):
    """One question as an instructor writes it; whatever a bank file would be refused for, this form refuses."""

    objective = forms.ChoiceField(help_text="The section follows from it.")
    topic_1 = forms.ChoiceField(label="Primary topic")
    topic_2 = forms.ChoiceField(label="Second topic", required=False)
    topic_3 = forms.ChoiceField(label="Third topic", required=False)
    pages = forms.ModelMultipleChoiceField(
        label="References",
        queryset=Reference.objects.none(),
        required=False,
        help_text="Official pages that support the key. A page that is not listed is added under References first.",
    )
    traits = forms.MultipleChoiceField(
        choices=[(trait, trait) for trait in records.TRAITS], required=False, widget=forms.CheckboxSelectMultiple
    )
    reviewers_text = forms.CharField(label="Reviewers", required=False, help_text="Names, separated by commas.")

    class Meta:
        model = Question
        fields = [
            "code",
            "objective",
            "type",
            "level",
            "difficulty",
            "moment",
            "stem",
            "explanation",
            "sector",
            "decisive",
            "author",
            "license",
            "status",
        ]
        widgets = {
            "stem": forms.Textarea(attrs={"rows": 12, "cols": 100}),
            "explanation": forms.Textarea(attrs={"rows": 3, "cols": 100}),
            "decisive": forms.Textarea(attrs={"rows": 2, "cols": 100}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.guide = self.instance.guide if self.instance.pk else home_guide()
        if self.guide is None:
            return
        sections = self.guide.record.sections
        self._choices(
            "objective", [(s.title, [(o.code, f"{o.code} {o.title}") for o in s.objectives]) for s in sections]
        )
        topics = [
            (f"{o.code} {o.title}", [(t.id, f"{t.id}: {t.name[:80]}") for t in o.topics])
            for s in sections
            for o in s.objectives
        ]
        for number in (1, 2, 3):
            self._choices(f"topic_{number}", topics)
        chosen = dict(enumerate(self.instance.topics, start=1))
        self.initial.update({f"topic_{number}": chosen.get(number, "") for number in (1, 2, 3)})
        self.initial.update(traits=self.instance.traits, reviewers_text=", ".join(self.instance.reviewers))
        ledger = Reference.objects.filter(bank=self.guide.code).order_by("title")
        pages = self.fields["pages"]
        assert isinstance(pages, forms.ModelMultipleChoiceField)
        pages.queryset = ledger
        self.initial["pages"] = list(ledger.filter(code__in=self.instance.references).values_list("pk", flat=True))
        if "code" in self.fields:
            self.fields["code"].required = False
            self.fields["code"].help_text = "Leave empty: the next free id of the objective is taken."

    def _choices(self, name: str, groups: list[tuple[str, list[tuple[str, str]]]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", "---------"), *groups]

    def clean_traits(self) -> list[str]:
        order = [*self.instance.traits, *records.TRAITS]  # those that were there stay in their order
        return sorted(self.cleaned_data["traits"], key=order.index)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if self.guide is None:
            raise forms.ValidationError("There is no exam guide yet. Load a bank with load_bank first.")
        if data.get("objective") and not data.get("code") and not self.instance.code:
            data["code"] = next_code(self.guide, data["objective"])
        if not self.errors:
            self._check_like_a_file(data)
        return data

    def _check_like_a_file(self, data: dict[str, Any]) -> None:
        """Everything but the options, which OptionFormSet checks; sound ones stand in for them here."""
        assert self.guide is not None
        self.fill(self.instance, data)
        options, keys = records.TYPES[data["type"]]
        stand_in = [{"text": f"Stand-in {n}", "why": "It stands in."} for n in range(options)]
        for option in stand_in[:keys]:
            option["key"] = True  # type: ignore[assignment]
        record = {**self.instance.to_record(), "options": stand_in}
        names = {
            "id": "code",
            "references": "pages",
            "topics": "topic_1",
            "section": "objective",
            "reviewers": "reviewers_text",
        }
        _, problems = records.check_question(record, self.guide.record, self.instance.references)
        for problem in problems:
            name = str(problem.path[0]) if problem.path else ""
            if name == "topics" and len(problem.path) > 1:
                name = f"topic_{int(problem.path[1]) + 1}"
            name = names.get(name, name)
            self.add_error(name if name in self.fields else None, problem.message)

    def fill(self, question: Question, data: dict[str, Any]) -> None:
        """Copy the checked input into the question."""
        assert self.guide is not None
        question.guide = self.guide
        for name in self._meta.fields or []:
            if name in data:
                value = data[name]
                setattr(question, name, records.trim(value) if isinstance(value, str) else value)
        question.section = self.guide.record.objective_sections()[data["objective"]]
        question.topics = [data[f"topic_{n}"] for n in (1, 2, 3) if data.get(f"topic_{n}")]
        question.traits = data["traits"]
        question.reviewers = [name.strip() for name in data["reviewers_text"].split(",") if name.strip()]
        chosen = [reference.code for reference in data["pages"]]
        kept = [code for code in question.references if code in chosen]
        question.references = kept + [code for code in chosen if code not in kept]

    def save(self, commit: bool = True) -> Question:
        self.fill(self.instance, self.cleaned_data)
        return super().save(commit)


def next_code(guide: Guide, objective: str) -> str:
    """The id after the highest one of the objective: pmle-2.1-0007."""
    prefix = f"{guide.code}-{objective}-"
    last = Question.objects.filter(code__startswith=prefix).order_by("-code").values_list("code", flat=True).first()
    return f"{prefix}{int(last.removeprefix(prefix)) + 1 if last else 1:04}"


class ReferenceForm(forms.ModelForm):
    """A page of the ledger; whatever references.yaml would be refused for, this form refuses."""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        data = {name: records.trim(value) if isinstance(value, str) else value for name, value in data.items()}
        if not self.errors:
            names = ("url", "title", "checked", "seen", "facts")
            record = {"id": data.get("code", self.instance.code), **{name: data[name] for name in names}}
            for problem in records.check_record(records.ReferenceRecord, record)[1]:
                name = str(problem.path[0])
                self.add_error("code" if name == "id" else name, problem.message)
        return data
