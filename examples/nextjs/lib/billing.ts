// The server's side: who may see a page, the page after checkout, what the first render shows.

import { auth } from '@clerk/nextjs/server'
import { redirect } from 'next/navigation'
import { createBilling, BillingError, type PlanList, type Subscription } from 'portal-service'
import { createServerBilling } from 'portal-service/server'
import { cache } from 'react'

const url = `${process.env.BILLING_URL}/api/stripe`
// A page is not to wait for long: what is not known by then the browser asks for.
const timeoutMs = 5_000

export const billing = createServerBilling({
  url,
  getToken: async () => (await auth()).getToken(),
  timeoutMs,
  cache,
  redirect,
})

const forAnyone = createBilling({
  url,
  timeoutMs,
  fetch: (input, init) => fetch(input, { ...init, next: { revalidate: 60 } }),
})

export const subscriptionIfKnown = (): Promise<Subscription | undefined> =>
  billing.getSubscription().catch(unknown)

export const plansIfKnown = (): Promise<PlanList | undefined> => forAnyone.plans().catch(unknown)

function unknown(error: unknown): undefined {
  if (!(error instanceof BillingError)) throw error
}
