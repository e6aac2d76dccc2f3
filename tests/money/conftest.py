"""No secret may be seen while these tests run."""

from watch import cheap_apps, no_label_leaks, nothing_leaks  # noqa: F401  (each test is watched)
