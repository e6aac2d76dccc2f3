// A page of an app that uses the package, for tests/shipped/browser/test_package.py. Clerk's part is the
// sandbox's.

import { createRoot } from 'react-dom/client'
import { BillingProvider, PaymentProblem, PricingTable, SubscriptionCard } from 'portal-service/react'

const control = `${window.SANDBOX}/_sandbox`
const { service_url: service } = await fetch(`${control}/info`).then((answer) => answer.json())
const user = new URLSearchParams(location.search).get('user')

async function getToken() {
  const session = { method: 'POST', body: JSON.stringify({ user }) }
  return (await fetch(`${control}/session`, session).then((answer) => answer.json())).token
}

createRoot(document.getElementById('root')).render(
  <BillingProvider url={`${service}/api/stripe`} getToken={getToken} userId={user} signInUrl="/sign-in">
    <PaymentProblem />
    <SubscriptionCard plansUrl="#plans" />
    <PricingTable returnPath={location.pathname + location.search} />
  </BillingProvider>,
)
