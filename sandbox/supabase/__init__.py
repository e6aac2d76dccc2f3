"""A stand-in for Supabase's REST API over a real Postgres."""

# Where nobody asks for another.
JWT_SECRET = "the sandbox's own, known to everyone: it guards nothing"
