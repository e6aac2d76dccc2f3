// For Next.js and any other server: who may see a page, and the page after checkout.

import { createBilling, type BillingOptions } from './client.js'
import { BillingError } from './error.js'
import type { Subscription } from './types.js'

export interface ServerBillingOptions extends BillingOptions {
  /** React's `cache`: the subscription is then asked for once per request. Else with each call. */
  cache?: <T>(ask: () => Promise<T>) => () => Promise<T>
  /** Next's `redirect`, or what throws your server's redirect. */
  redirect: (url: string) => never
}

/** As Next.js hands them to a page, or as a URL has them. */
export type SearchParams = URLSearchParams | Record<string, string | string[] | undefined>

/** `nothing`: the address names no checkout. `confirming`: it can't be told yet; ask again soon. */
export type Confirmation =
  | { state: 'nothing' }
  | { state: 'confirming'; error: BillingError }

export interface ServerBilling {
  /** The caller's subscription. Raises BillingError. */
  getSubscription(): Promise<Subscription>
  /**
   * For the page that checkout comes back to: asks the service once, then redirects to the same
   * page without `checkout_session_id`, so that a reload confirms nothing again.
   *
   * path: of the page, such as `/account`.
   */
  confirmCheckout(searchParams: SearchParams, path: string): Promise<Confirmation>
  /**
   * The subscription of a caller who has one of these plans; everybody else is redirected. While
   * it can't be told it raises BillingError, and lets nobody in.
   *
   * otherwise: where to, such as `/pricing`.
   */
  requirePlan(plans: string | readonly string[], otherwise: string): Promise<Subscription>
}

const PARAMETER = 'checkout_session_id'

export function createServerBilling(options: ServerBillingOptions): ServerBilling {
  const { cache = (ask) => ask, redirect } = options
  const billing = createBilling(options)
  const getSubscription = cache(() => billing.subscription())
  return {
    getSubscription,
    async confirmCheckout(searchParams, path) {
      const here = entriesOf(searchParams)
      const session = here.get(PARAMETER)
      if (session === null) return { state: 'nothing' }
      try {
        await billing.refresh(session)
      } catch (error) {
        if (!(error instanceof BillingError)) throw error
        // Anything but a session that can't be one is worth another look.
        if (error.code !== 'invalid_request') return { state: 'confirming', error }
      }
      here.delete(PARAMETER)
      return redirect(here.size ? `${path}?${here}` : path)
    },
    async requirePlan(plans, otherwise) {
      const subscription = await getSubscription().catch((error: unknown) => {
        if (error instanceof BillingError && error.code === 'unauthorized') return null
        throw error
      })
      const wanted = [plans].flat()
      const { subscribed, plan } = subscription ?? {}
      if (!subscription || !subscribed || !plan || !wanted.includes(plan)) return redirect(otherwise)
      return subscription
    },
  }
}

function entriesOf(searchParams: SearchParams): URLSearchParams {
  if (searchParams instanceof URLSearchParams) return new URLSearchParams(searchParams)
  const entries = Object.entries(searchParams).flatMap(([name, value]) =>
    [value ?? []].flat().map((each) => [name, each]),
  )
  return new URLSearchParams(entries)
}
