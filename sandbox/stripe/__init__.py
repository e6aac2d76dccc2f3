"""A stand-in for Stripe that holds state, serves its API and pages, and sends signed webhooks."""
