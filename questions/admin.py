from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from questions import records
from questions.models import Attempt, Guide, Option, Question, Reference, Slot, User
from questions.models.bank import touch_banks

# --- The bank -----------------------------------------------------------------------------------


def home_guide() -> Guide | None:
    return Guide.objects.filter(is_home=True).order_by("pk").first()


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
    record: dict[str, Any] = {"text": _trim(data.get("text", "")), "why": _trim(data.get("why", ""))}
    if data.get("is_key"):
        record["key"] = True
    if data.get("flip"):
        record["flip"] = _trim(data["flip"])
    return record


class OptionInline(admin.StackedInline):
    model = Option
    formset = OptionFormSet
    fields = ["text", "is_key", "why", "flip"]
    min_num = 4
    max_num = 5
    extra = 1

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name in ("text", "why", "flip"):
            kwargs["widget"] = forms.Textarea(attrs={"rows": 2, "cols": 90})
        return super().formfield_for_dbfield(db_field, request, **kwargs)


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
                setattr(question, name, _trim(value) if isinstance(value, str) else value)
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


def _trim(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def next_code(guide: Guide, objective: str) -> str:
    """The id after the highest one of the objective: pmle-2.1-0007."""
    prefix = f"{guide.code}-{objective}-"
    last = Question.objects.filter(code__startswith=prefix).order_by("-code").values_list("code", flat=True).first()
    return f"{prefix}{int(last.removeprefix(prefix)) + 1 if last else 1:04}"


class ObjectiveFilter(admin.SimpleListFilter):
    title = "objective"
    parameter_name = "objective"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        guide = home_guide()
        if guide is None:
            return []
        return [(o.code, f"{o.code} {o.title}") for s in guide.record.sections for o in s.objectives]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(objective=self.value()) if self.value() else queryset


@admin.register(Question)
class QuestionAdmin(admin.ModelAdmin):
    form = QuestionForm
    inlines = [OptionInline]
    list_display = ["code", "start_of_stem", "section", "objective", "type", "level", "difficulty", "status"]
    list_filter = ["status", "section", ObjectiveFilter, "type", "level", "difficulty"]
    search_fields = ["code", "stem", "explanation", "sector", "options__text"]
    search_help_text = "Searches id, stem, options, explanation and sector."
    list_per_page = 50
    actions = ["publish", "retire"]
    save_on_top = True
    fieldsets = [
        ("Place", {"fields": ["code", "objective", "topic_1", "topic_2", "topic_3", "status"]}),
        ("Question", {"fields": ["type", "stem", "explanation", "pages"]}),
        ("Kind", {"fields": ["level", "difficulty", "moment", "traits", "sector", "decisive"]}),
        ("Origin", {"fields": ["author", "reviewers_text", "license"]}),
    ]

    @admin.display(description="stem")
    def start_of_stem(self, question: Question) -> str:
        return question.stem[:90] + ("…" if len(question.stem) > 90 else "")

    def get_readonly_fields(self, request: HttpRequest, obj: Question | None = None) -> list[str]:
        return ["code"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Question | None = None) -> bool:
        allowed = super().has_delete_permission(request, obj)
        # One with a file would come back with the next load, a served one stands in somebody's exam: both are retired.
        return allowed and (obj is None or not (obj.file_digest or obj.was_served()))

    def delete_model(self, request: HttpRequest, obj: Question) -> None:
        super().delete_model(request, obj)
        touch_banks([obj.guide.code])

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        codes = {question.guide.code for question in queryset.select_related("guide")}
        super().delete_queryset(request, queryset)
        touch_banks(codes)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        question = Question.objects.get(pk=form.instance.pk)
        before = question.revision
        question.record_change(timezone.now())
        if change and before and question.revision and question.revision != before:
            messages.info(request, f"Saved as revision {question.revision.number}. Exams under way keep theirs.")

    @admin.action(description="Publish selected questions", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: Any) -> None:
        self.message_user(request, f"{queryset.set_status('published')} published.", messages.SUCCESS)

    @admin.action(description="Retire selected questions", permissions=["change"])
    def retire(self, request: HttpRequest, queryset: Any) -> None:
        self.message_user(request, f"{queryset.set_status('retired')} retired.", messages.SUCCESS)

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(self.preview)
        return [path("<int:question_id>/preview/", preview, name="questions_question_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest, question_id: int) -> HttpResponse:
        """The question as a taker sees it, before and after submission."""
        question = get_object_or_404(Question.objects.prefetch_related("options"), pk=question_id)
        if not self.has_view_permission(request, question):
            raise PermissionDenied
        content = question.content(question.options.all())
        shown = [{"letter": letter, **option} for letter, option in zip("ABCDE", content["options"], strict=False)]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Preview of {question.code}",
            "question": question,
            "content": content,
            "options": shown,
            "references": Reference.objects.filter(bank=question.guide.code, code__in=question.references),
            "opts": self.model._meta,
        }
        return TemplateResponse(request, "admin/questions/question/preview.html", context)


class ReferenceForm(forms.ModelForm):
    """A page of the ledger; whatever references.yaml would be refused for, this form refuses."""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        data = {name: _trim(value) if isinstance(value, str) else value for name, value in data.items()}
        if not self.errors:
            names = ("url", "title", "checked", "seen", "facts")
            record = {"id": data.get("code", self.instance.code), **{name: data[name] for name in names}}
            for problem in records.check_record(records.ReferenceRecord, record)[1]:
                name = str(problem.path[0])
                self.add_error("code" if name == "id" else name, problem.message)
        return data


@admin.register(Reference)
class ReferenceAdmin(admin.ModelAdmin):
    form = ReferenceForm
    list_display = ["code", "title", "checked", "seen"]
    list_filter = ["seen", "checked"]
    search_fields = ["code", "title", "url", "facts"]

    def get_readonly_fields(self, request: HttpRequest, obj: Reference | None = None) -> list[str]:
        return ["code", "bank"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Reference | None = None) -> bool:
        return False  # past revisions name it


class ReadOnly:
    """For models that are looked at, not changed."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Guide)
class GuideAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["code", "edition", "is_home"]
    fields = ["code", "edition", "is_home", "sections"]

    @admin.display(description="sections and their questions")
    def sections(self, guide: Guide) -> str:
        return "; ".join(f"{line['code']}. {line['title']}: {line['count']}" for line in guide.blueprint())


class SlotInline(ReadOnly, admin.TabularInline):
    model = Slot
    fields = ("position", "question", "section", "letters", "key", "is_right", "flagged", "seconds")
    readonly_fields = fields
    extra = 0


@admin.register(Attempt)
class AttemptAdmin(ReadOnly, admin.ModelAdmin):
    list_display = ["pk", "taker", "started_at", "finished_at", "right", "asked"]
    list_filter = ["guide", "started_at"]
    list_select_related = ["user"]
    fields = ["taker", "guide", "started_at", "deadline", "finished_at", "right", "asked", "target", "seed"]
    inlines = [SlotInline]
    show_full_result_count = False

    @admin.display(description="taker")
    def taker(self, attempt: Attempt) -> str:
        return str(attempt.user)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        Attempt.objects.settle_overdue(timezone.now())
        return super().get_queryset(request)


# --- People: operators only ---------------------------------------------------------------------


@admin.register(User)
class PeopleAdmin(UserAdmin):
    list_display = ["username", "is_guest", "is_staff", "date_joined"]
    list_filter = ["is_guest", "is_staff", "is_superuser", "groups"]
    fieldsets = [
        *(UserAdmin.fieldsets or []),
        ("Exams", {"fields": ["is_guest", "time_factor", "target", "exam_date", "time_zone"]}),
    ]


admin.site.unregister(Group)
admin.site.register(Group, GroupAdmin)
