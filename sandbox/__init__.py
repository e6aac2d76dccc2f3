"""The outside world for development: Postgres, Supabase's API, Stripe, Clerk; no account needed.

Never imported by portal_service and never shipped in its image.
"""
