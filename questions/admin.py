from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import BadRequest, PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import formats, timezone
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_http_methods, require_safe

from questions import draw
from questions.bank_forms import OptionFormSet, QuestionForm, ReferenceForm, home_guide
from questions.models import Attempt, DeadlineChange, Guide, Option, Question, Reference, Slot, User
from questions.models.bank import touch_banks

SEARCH_CHARACTERS = 200  # each word of a search costs a condition, and SQLite takes a thousand


class Guarded(admin.ModelAdmin):
    """What is sent here may be forged: an address of nothing is 404, a list of ids that holds no ids is 400."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied  # before looking, so that nobody learns which ids there are
        found = super().get_object(request, object_id, from_field)
        if found is None:
            raise Http404
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not all(_is_id(value) for value in request.POST.getlist("_selected_action")):
            raise BadRequest("A selected row has no valid id.")
        return super().changelist_view(request, extra_context)

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        if len(search_term) > SEARCH_CHARACTERS:
            raise BadRequest(f"Search for {SEARCH_CHARACTERS} characters at most.")
        return super().get_search_results(request, queryset, search_term)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        response = super().render_change_form(request, context, *args, **kwargs)
        if context.get("errors"):
            response.status_code = 422
        return response


def _is_id(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) < 19  # so it fits into 63 bits


# --- The bank -----------------------------------------------------------------------------------


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


def codes_of(questions: QuerySet) -> set[str]:
    """Of the guides that the questions belong to."""
    return set(questions.order_by().values_list("guide__code", flat=True).distinct())


def warn_of_shortage(request: HttpRequest, codes: Iterable[str]) -> None:
    """After a change of what may be drawn, tell what takers would be told at the start."""
    for guide in Guide.objects.filter(code__in=codes).defer("quality").order_by("code", "edition"):
        if shortage := guide.shortage():
            messages.warning(
                request, f"The bank cannot fill exams of {guide} ({shortage}). They cannot be started until it can."
            )


@admin.register(Question)
class QuestionAdmin(Guarded):
    form = QuestionForm
    inlines = [OptionInline]
    list_display = ["code", "status", "objective", "level", "difficulty", "start_of_stem"]
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
        warn_of_shortage(request, [obj.guide.code])

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        codes = codes_of(queryset)
        super().delete_queryset(request, queryset)
        touch_banks(codes)
        warn_of_shortage(request, codes)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        question = Question.objects.get(pk=form.instance.pk)
        before = question.revision
        question.record_change(timezone.now())
        if change and before and question.revision and question.revision != before:
            messages.info(request, f"Saved as revision {question.revision.number}. Exams under way keep theirs.")
        warn_of_shortage(request, [question.guide.code])

    @admin.action(description="Publish selected questions", permissions=["change"])
    def publish(self, request: HttpRequest, queryset: Any) -> None:
        self.set_status(request, queryset, "published")

    @admin.action(description="Retire selected questions", permissions=["change"])
    def retire(self, request: HttpRequest, queryset: Any) -> None:
        self.set_status(request, queryset, "retired")

    def set_status(self, request: HttpRequest, queryset: Any, status: str) -> None:
        codes = codes_of(queryset)  # before the change, after which a filtered list may no longer show them
        self.message_user(request, f"{queryset.set_status(status)} {status}.", messages.SUCCESS)
        warn_of_shortage(request, codes)

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(require_safe(self.preview))
        return [path("<int:question_id>/preview/", preview, name="questions_question_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest, question_id: int) -> HttpResponse:
        """The question as a taker sees it, before and after submission."""
        question = get_object_or_404(Question.objects.prefetch_related("options"), pk=question_id)
        if not self.has_view_permission(request, question):
            raise PermissionDenied
        content = question.content(question.options.all())
        shown = [{"letter": letter, **option} for letter, option in zip(draw.LETTERS, content["options"], strict=False)]
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


@admin.register(Reference)
class ReferenceAdmin(Guarded):
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
class GuideAdmin(ReadOnly, Guarded):
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

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("attempt", "question")


class DeadlineChangeInline(ReadOnly, admin.TabularInline):
    model = DeadlineChange
    fields = ("at", "by", "minutes", "time_factor", "reason", "before", "after")
    readonly_fields = fields
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).select_related("attempt", "by")


class ExtraTimeForm(forms.ModelForm):
    """Minutes to grant or to take back, and why; whether the exam can have them is the attempt's to say."""

    minutes = DeadlineChange._meta.get_field("minutes").formfield(required=True)

    class Meta:
        model = DeadlineChange
        fields = ("minutes", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = True


class AttemptList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list, broken = self.result_list.readable()
        for pk in broken:
            messages.warning(request, f"Exam {pk} is broken and cannot be shown. An operator needs to repair its row.")


@admin.register(Attempt)
class AttemptAdmin(ReadOnly, Guarded):
    list_display = ["pk", "taker", "started_at", "finished_at", "right", "asked"]
    list_filter = ["guide", "started_at"]
    list_select_related = ["user"]
    fields = ["taker", "guide", "started_at", "deadline", "finished_at", "right", "asked", "target", "seed"]
    inlines = [DeadlineChangeInline, SlotInline]
    show_full_result_count = False

    @admin.display(description="taker")
    def taker(self, attempt: Attempt) -> str:
        return str(attempt.user)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        Attempt.objects.settle_overdue(timezone.now())
        return super().get_queryset(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AttemptList

    def get_urls(self) -> list[URLPattern]:
        extra_time = self.admin_site.admin_view(self.extra_time)
        return [
            path("<int:attempt_id>/extra-time/", extra_time, name="questions_attempt_extra_time"),
            *super().get_urls(),
        ]

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def extra_time(self, request: HttpRequest, attempt_id: int) -> HttpResponse:
        """Grant a running exam extra time, or take some back; the taker's clock follows at the next reply."""
        if not request.user.has_perm("questions.add_deadlinechange"):
            raise PermissionDenied
        now = timezone.now()
        attempt = get_object_or_404(Attempt.objects.select_related("user"), pk=attempt_id)
        attempt.expire(now)
        form = ExtraTimeForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            assert isinstance(request.user, User)
            try:
                change = attempt.add_time(**form.cleaned_data, by=request.user, now=now)
            except ValidationError as refusal:
                form.add_error(None, refusal)
            else:
                messages.success(request, f"{change.minutes:+} minutes. {ends(attempt)}")
                return redirect("admin:questions_attempt_change", attempt_id)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Extra time for {attempt}",
            "attempt": attempt,
            "left": attempt.time_left(now),
            "open": attempt.takes_saves(now),
            "form": form,
            "opts": self.model._meta,
        }
        status = 422 if form.errors else 200
        return TemplateResponse(request, "admin/questions/attempt/extra_time.html", context, status=status)


def ends(attempt: Attempt) -> str:
    return f"It now ends at {formats.localize(timezone.localtime(attempt.deadline))}."


# --- People: operators only ---------------------------------------------------------------------


@admin.register(User)
class PeopleAdmin(Guarded, UserAdmin):
    list_display = ["username", "is_guest", "is_staff", "date_joined"]
    list_filter = ["is_guest", "is_staff", "is_superuser", "groups"]
    fieldsets = [
        *(UserAdmin.fieldsets or []),
        ("Exams", {"fields": ["is_guest", "time_factor", "target", "exam_date", "time_zone"]}),
    ]

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        moved = change and "time_factor" in form.changed_data
        if moved:
            User.objects.filter(pk__in=[obj.pk, request.user.pk]).lock()
        super().save_model(request, obj, form, change)
        if moved:
            assert isinstance(request.user, User)
            running = obj.attempts.apply_time_factor(obj.time_factor, request.user, timezone.now())
            if running:
                messages.info(request, f"The new time factor holds for {running} too. {ends(running)}")


admin.site.unregister(Group)


@admin.register(Group)
class GroupsAdmin(Guarded, GroupAdmin):
    pass
