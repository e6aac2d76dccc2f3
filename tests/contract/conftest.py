"""No secret may be seen while these tests run."""

from watch import nothing_leaks, one_ssl_context  # noqa: F401  (every test here is watched)
