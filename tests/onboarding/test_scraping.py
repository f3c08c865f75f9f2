"""Which values of `job` and `instance` a Prometheus can never give, by its configuration."""

from __future__ import annotations

import pytest

from harness.onboarding.doctor.scraping import scraping_of
from harness.probes.promql_tree import Matcher

STATIC = "{job_name: web, static_configs: [{targets: [a:1]}]}"
FOUND = "{job_name: web, dns_sd_configs: [{names: [web]}]}"


def config(*jobs: str) -> str:
    return f"scrape_configs: [{', '.join(jobs)}]"


@pytest.mark.parametrize(
    ("job", "label", "written", "never"),
    [
        (STATIC, "job", '="web"', False),
        (STATIC, "job", '="wep"', True),
        (STATIC, "job", '=~"we.+"', False),
        (STATIC, "job", '=~"wep|api"', True),
        (STATIC, "job", '!="web"', True),
        (STATIC, "job", '!~"api.*"', False),
        (STATIC, "job", '=~"we[b"', False),
        (STATIC, "job", r'="we\x70"', False),
        (STATIC, "instance", '="b:1"', True),
        (FOUND, "job", '="wep"', True),
        (FOUND, "instance", '="b:1"', False),
        (STATIC.replace("}]}", "}], honor_labels: true}"), "job", '="wep"', False),
        (STATIC.replace("[a:1]", "[a:1], labels: {job: wep}"), "job", '="wep"', False),
        (
            STATIC.replace("}]}", "}], relabel_configs: [{target_label: job, replacement: x}]}"),
            "job",
            '="wep"',
            False,
        ),
        (STATIC.replace("}]}", "}], relabel_configs: [{target_label: job}]}"), "instance", '="b:1"', True),
        (STATIC.replace("}]}", "}], relabel_configs: [{action: labelmap, regex: x_(.+)}]}"), "job", '="wep"', False),
        (STATIC.replace("}]}", "}], metric_relabel_configs: [{target_label: instance}]}"), "instance", '="b"', False),
        ("{job_name: web, file_sd_configs: [{files: [x]}]}", "job", '="wep"', False),
        (STATIC, "room", '="1"', False),
    ],
)
def test_what_no_target_can_bring(job: str, label: str, written: str, never: bool) -> None:
    at = next(k for k, sign in enumerate(written) if sign == '"')
    matcher = Matcher(label, written[:at], written[at:])
    assert scraping_of(config(job), None).rules_out(matcher) is never


def test_the_pools_that_a_server_lists_are_the_ones_that_count() -> None:
    elsewhere = f"scrape_config_files: [more/*.yml]\n{config(STATIC)}"
    with pytest.raises(ValueError, match="in other files"):
        scraping_of(elsewhere, None)
    found = scraping_of(elsewhere, ("web", "api"))
    assert found.pools == ("web", "api")
    assert not found.rules_out(Matcher("job", "=", '"wep"')), "a file elsewhere may set the label"
    assert scraping_of(config(STATIC), ("web", "api")).rules_out(Matcher("job", "=", '"wep"'))


@pytest.mark.parametrize("text", ["a: [", "- x", ""])
def test_a_configuration_that_cannot_be_read_says_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="its configuration"):
        scraping_of(text, None)
