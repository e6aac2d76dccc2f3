"""A stand-in for Stripe that holds state, serves its API and pages, and sends signed webhooks."""

# Where nobody asks for others.
API_KEY = "sk_test_sandbox"
RESTRICTED_KEY = "rk_test_sandbox_service"
OPERATOR_KEY = "rk_test_sandbox_operator"
WEBHOOK_SECRET = "whsec_sandbox"
