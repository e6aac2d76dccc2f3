"""A stand-in for Stripe that holds state, serves its API and pages, and sends signed webhooks."""

# Where nobody asks for others.
API_KEY = "sk_test_sandbox"
WEBHOOK_SECRET = "whsec_sandbox"
