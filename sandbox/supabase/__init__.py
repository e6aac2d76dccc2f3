"""A stand-in for Supabase's REST API over a real Postgres."""
