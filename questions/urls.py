from django.urls import include, path, re_path

from questions.views import (
    finish,
    home,
    language,
    people,
    privacy,
    report,
    review,
    second_factor,
    sitting,
    start,
    warm_up,
)

app_name = "questions"

# /exams/<attempt_id>/
attempt_urls = [
    path("<int:position>/", sitting.question, name="question"),
    path("<int:position>/answer/", sitting.answer, name="answer"),
    path("<int:position>/time/", sitting.time, name="time"),
    path("finish/", finish.finish, name="finish"),
    path("submit/", finish.submit, name="submit"),
    path("report/", report.attempt, name="report"),
    path("review/", review.index, name="review"),
    path("review/<int:position>/", review.question, name="review_question"),
]

# /exams/warm-up/: the same names, so that the exam's screen and script need to know nothing of it
warm_up_urls = [
    path("<int:position>/", warm_up.question, name="question"),
    path("<int:position>/answer/", warm_up.answer, name="answer"),
    path("<int:position>/time/", warm_up.time, name="time"),
    path("finish/", warm_up.finish, name="finish"),
]

# /
urlpatterns = [
    path("", home.home, name="home"),
    path("about/", home.about, name="about"),
    path("exams/start/", start.start, name="start"),
    path("exams/warm-up/", warm_up.start, name="warm_up"),
    re_path(r"^exams/(?P<attempt_id>warm-up)/", include(warm_up_urls)),
    path("exams/<int:attempt_id>/", include(attempt_urls)),
    path("progress/", report.progress, name="progress"),
    path("settings/", people.settings, name="settings"),
    path("settings/keys/", people.keys, name="keys"),
    path("settings/my-data/", privacy.my_data, name="my_data"),
    path("settings/delete/", privacy.delete_account, name="delete_account"),
    path("settings/second-factor/", second_factor.second_factor, name="second_factor"),
    path("settings/second-factor/off/", second_factor.second_factor_off, name="second_factor_off"),
    path("settings/sign-out-everywhere/", people.sign_out_everywhere, name="sign_out_everywhere"),
    path("language/", language.choose, name="language"),
    path("guest/", people.guest, name="guest"),
    path("sign-up/", people.sign_up, name="sign_up"),
]
