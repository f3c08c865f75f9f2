"""Secrets with usual names and forms that `harness record` writes down, or prints: none of them may be."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from harness.onboarding.recording.exchange import RecordedExchange
from harness.onboarding.recording.workload_file import RecordedWorkload, as_workload
from harness.onboarding.secret_forms import hidden, may_hold_secret, only_numbers

MINE = "hunter2hunter2"
KEPT: dict[str, dict[str, Any]] = {
    "a password by the usual ending of variables": {"body": {"DB_PASS": MINE}},
    "a login in a URL of the body": {"body": {"dsn": f"postgresql://app:{MINE}@db/x"}},
    "a login in a URL of the query": {"path": f"/fetch?from=http://app:{MINE}@db/"},
    "a login in a URL of the answer": {"answer": {"dsn": f"postgresql://app:{MINE}@db/x", "n": 7}},
    "a session in the query": {"path": f"/x?session={MINE}"},
    "a session behind a semicolon": {"path": f"/x;jsessionid={MINE}"},
    "a session of the answer": {"answer": {"session": MINE, "n": 7}},
    "refresh tokens of the answer": {"answer": {"refreshTokens": [MINE], "n": 7}},
    "a field and its value apart": {"body": [{"name": "password", "value": MINE}]},
    "an element of XML": {"body": f"<login><password>{MINE}</password></login>"},
    "an encoded login": {"path": f"/x?h=Basic%20{MINE}"},
    "a key by its form": {"body": {"input": f"sk-{MINE}{MINE}{MINE}"}},
    "a key of a forge": {"body": ["ghp_" + MINE * 2]},
    "a key of a cloud": {"path": "/x?id=AKIAHUNTER2HUNTER2", "body": MINE},
    "a key of a chat": {"body": f"see xoxb-1-{MINE}"},
    "a login quoted twice": {"path": f"/fetch?from=http%253A%252F%252Fapp%253A{MINE}%2540db"},
    "a password with a slash": {"body": {"dsn": f"redis://:a/{MINE}@db"}},
    "a pair in a list": {"body": {"headers": [["X-Api-Key", MINE]]}},
    "a column of a table": {"body": {"columns": ["user", "password"], "data": [["a", MINE]]}},
    "a column of a table in the answer": {"answer": {"columns": ["user", "pwd"], "data": [["a", MINE]], "n": 7}},
    "a statement": {"body": f"ALTER USER x PASSWORD '{MINE}'"},
    "a line of YAML": {"body": f"user: a\npassword: {MINE}\n"},
    "a part of a form": {"body": f'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n{MINE}'},
    "an assignment behind another": {"body": f"run: export DB_PASS={MINE}"},
    "an option": {"body": {"command": f"login --password {MINE}"}},
    "a sentence": {"body": {"prompt": f"my password is {MINE}"}},
    "a sentence with a colon": {"body": {"prompt": f"the password is: {MINE}"}},
    "a sentence with words between": {"body": {"prompt": f"The password for the store (root) was {MINE}."}},
    "a sentence without a verb": {"body": {"prompt": f"log in as admin, password {MINE}"}},
    "a sentence of another language": {"body": {"prompt": f"mot de passe : {MINE}"}},
    "a key in a sentence": {"body": {"prompt": f"my API key is {MINE}"}},
    "a login of curl": {"body": {"run": f"curl -u admin:{MINE} http://web/x"}},
    "a login of curl without a space": {"body": {"run": f"curl -uadmin:{MINE} http://web/x"}},
    "a login behind a long option": {"body": {"run": f"curl --user admin:{MINE} http://web/x"}},
    "a short option of a database": {"body": {"run": f"mysql -h db -p{MINE} -e x"}},
    "a short option of a store": {"body": {"run": f"redis-cli -h db -a {MINE} ping"}},
    "a login in small letters": {"body": {"header": "basic aHVudGVyMjpodW50ZXIy" + MINE}},
    "a part of the path behind a name": {"path": f"/reset/{MINE}"},
    "a part of the path behind a hook": {"path": f"/hooks/{MINE}/run"},
    "a part of the path that is drawn": {"path": f"/x/Xk29dLw8QpZr71mNbVa4/{MINE}"},
    "a web hook in the body": {"body": {"to": f"https://hooks.slack.com/services/T0/B0/{MINE}"}},
    "a header that comes back": {
        "headers": {"Authorization": f"Bearer {MINE}"},
        "answer": {"caller": MINE, "n": 7},
    },
}  # fmt: skip
PRINTED = {
    "lines of YAML": f"password: {MINE}\nurl: http://x?a=b",
    "a statement": f"ALTER USER x PASSWORD '{MINE}' WHERE a=1",
    "a sentence": f"the password is: {MINE}",
    "a login of curl": f"curl -u admin:{MINE} http://web/x?a=b",
}


def recorded(**given: Any) -> RecordedWorkload:
    usual: dict[str, Any] = {"unix_s": 1.0, "method": "POST", "path": "/x", "status": 200}
    return as_workload([RecordedExchange(**usual | {"answer_is_json": "answer" in given} | given)])


@pytest.mark.parametrize("name", KEPT)
def test_no_secret_is_written_down(name: str) -> None:
    assert MINE not in json.dumps(recorded(**KEPT[name]).lines)


@pytest.mark.parametrize(
    "body",
    [
        {"max_tokens": 7, "prompt": "Tell tokens apart from words, to pass the time."},
        {"signature_name": "serving_default", "instances": [[1.0]]},
        {"input_ids": [1], "token_type_ids": [0], "tokens": ["a", "b"]},
        {"session_id": 4711, "items": ["sk-learn", "compass"]},
        {"sessions": 3, "url": "http://web:8000/x?mail=a@b.example"},
        {"name": "colour", "value": "password"},
        "max_tokens: 7\nmodel: m",
        "the key is to be patient, and the token count is 123456; what is the secret of basic knowledge?",
        "docker run -u 1000:1000 -p 8080:80 x; ssh -p 22 host; mkdir -p a",
        "see https://example.com/@user and ssh://git@example.com/x",
        "aGVsbG8" * 20000,
        "eyJhbGciOi-" * 20000,  # in no more than a moment
        "://aaaa" * 20000,
    ],
)
def test_what_only_looks_alike_is_recorded(body: Any) -> None:
    found = recorded(unix_s=1.7e9, body=body, answer={"usage": {"total_tokens": 7, "session": "7"}})
    assert [line["body"] for line in found.lines] == [body]
    assert found.lines[0]["expect"]["json"] == {"usage.total_tokens": 7, "usage.session": "7"}


@pytest.mark.parametrize(
    "path",
    [
        "/models/resnet50/versions/12/infer",
        "/v2/models/DistilBertBaseUncased2/infer",
        "/models/Qwen2-7B-Instruct-GPTQ-Int4/generate",
        "/tokenize/bert-base-uncased-v2",
        "/users/550e8400-e29b-41d4-a716-446655440000",
        "/sessions/550e8400-e29b-41d4-a716-446655440000/messages",
        "/runs/8f14e45fceea167a5a36dedd4bea2543",
    ],
)
def test_names_and_ids_of_a_path_are_no_secrets(path: str) -> None:
    assert [line["path"] for line in recorded(path=path).lines] == [path]


@pytest.mark.parametrize(
    "text", ["password " * 20000, "mysql " * 20000, "-u " * 30000, "a:" * 50000, "aGVsbG8" * 20000]
)
def test_a_long_text_is_searched_in_a_moment(text: str) -> None:
    began = time.process_time()
    may_hold_secret(text)
    assert time.process_time() - began < 5.0


UUID = "550e8400-e29b-41d4-a716-446655440000"
NUMBERED: tuple[dict[str, Any], ...] = (
    {"body": {"session_id": UUID, "turns": [{"Session_Id": UUID}]}},
    {"path": f"/chat?k=1&session_id={UUID}"},
    {"body": f"a=1&session_id={UUID}"},
)


@pytest.mark.parametrize("given", NUMBERED)
def test_a_session_that_is_only_numbered_is_recorded_where_the_user_says_so(given: dict[str, Any]) -> None:
    assert next(iter(recorded(**given).left_out)).endswith("if that only numbers a session: --session-field session_id")
    exchange = RecordedExchange(**{"unix_s": 1.0, "method": "POST", "path": "/x", "status": 200} | given)
    found = as_workload([exchange], sessions=["session_id"])
    assert len(found.lines) == 1, found.left_out


@pytest.mark.parametrize(
    "given",
    [
        {"body": {"session_id": UUID, "password": MINE}},
        {"body": {"session_id": f"sk-{MINE}{MINE}"}},
        {"path": f"/chat?session_id=sk-{MINE}{MINE}"},
        {"path": f"/chat?session_id={UUID}&password={MINE}"},
        {"body": f"session_id=sk-{MINE}{MINE}&a=1"},
        {"body": f"session_id={UUID}&password={MINE}"},
    ],
)
def test_a_session_that_is_only_numbered_hides_no_other_secret(given: dict[str, Any]) -> None:
    exchange = RecordedExchange(**{"unix_s": 1.0, "method": "POST", "path": "/x", "status": 200} | given)
    assert as_workload([exchange], sessions=["session_id"]).lines == []


@pytest.mark.parametrize(
    ("name", "may"), [("session_id", True), ("sid", True), ("session", True), ("password", False), ("token", False),
                      ("session_token", False)],
)  # fmt: skip
def test_no_field_but_a_session_can_be_said_to_be_a_number(name: str, may: bool) -> None:
    assert only_numbers(name) is may


@pytest.mark.parametrize("name", PRINTED)
def test_no_secret_is_in_the_reason_for_leaving_a_request_out(name: str) -> None:
    left_out = recorded(body=PRINTED[name]).left_out
    assert left_out
    assert MINE not in str(left_out)
    form = recorded(body=PRINTED[name], headers={"Content-Type": "application/x-www-form-urlencoded"}).left_out
    assert form
    assert MINE not in str(form)


@pytest.mark.parametrize("name", KEPT)
def test_a_text_is_shown_without_its_secret(name: str) -> None:
    body = KEPT[name].get("body")
    texts = body.values() if isinstance(body, dict) else [body]
    for text in texts:
        if isinstance(text, str) and may_hold_secret(text):
            assert MINE not in hidden(text)
