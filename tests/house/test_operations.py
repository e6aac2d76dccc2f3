"""What operators are shown names what exists: metrics in the docs, the rules, the dashboard."""

import re
from pathlib import Path
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from portal_service import cors, deliveries, metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()


def ours() -> dict[str, Counter | Gauge | Histogram]:
    """Our metrics, as `/metrics` names them."""
    kinds = (Counter, Gauge, Histogram)
    found = [one for one in vars(metrics).values() if isinstance(one, kinds)]
    return {one._name + "_total" * isinstance(one, Counter): one for one in found}


def listed() -> dict[str, set[str]]:
    """The labels of each metric of the page's table."""
    rows = re.findall(r"^\| `(portal_\w+)` \|([^|]*)\|", PAGE, re.MULTILINE)
    return {name: set(re.findall(r"\w+", labels)) for name, labels in rows}


def test_every_metric_is_explained_with_its_labels() -> None:
    assert listed() == {name: set(metric._labelnames) for name, metric in ours().items()}


def test_names_follow_prometheus_conventions() -> None:
    for name, metric in ours().items():
        assert re.fullmatch(r"portal_[a-z_]+", name)
        assert name.endswith("_total") == isinstance(metric, Counter), name
        if isinstance(metric, Histogram):
            assert name.endswith("_seconds"), name


def test_every_reason_is_explained() -> None:
    table = PAGE.partition("## Why a delivery asks Stripe")[2].partition("\n## ")[0]
    reasons = set(re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\| (`[^|]*) \|", table, re.M))))
    assert reasons == set(get_args(deliveries.Reason))
    assert set(get_args(cors.Reason)) <= set(re.findall(r"`(\w+)`", PAGE))
