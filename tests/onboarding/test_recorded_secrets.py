"""Secrets with usual names and forms that `harness record` writes down, or prints: none of them may be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.onboarding.recording.exchange import RecordedExchange
from harness.onboarding.recording.workload_file import RecordedWorkload, as_workload

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
    "a header that comes back": {
        "headers": {"Authorization": f"Bearer {MINE}"},
        "answer": {"caller": MINE, "n": 7},
    },
}  # fmt: skip
PRINTED = {
    "lines of YAML": f"password: {MINE}\nurl: http://x?a=b",
    "a statement": f"ALTER USER x PASSWORD '{MINE}' WHERE a=1",
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


@pytest.mark.parametrize("name", PRINTED)
def test_no_secret_is_in_the_reason_for_leaving_a_request_out(name: str) -> None:
    left_out = recorded(body=PRINTED[name]).left_out
    assert left_out
    assert MINE not in str(left_out)
    form = recorded(body=PRINTED[name], headers={"Content-Type": "application/x-www-form-urlencoded"}).left_out
    assert form
    assert MINE not in str(form)
