"""Tests of one module each: no Postgres, no stand-ins."""
