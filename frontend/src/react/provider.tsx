'use client'

import {
  createContext,
  useContext,
  useEffect,
  useInsertionEffect,
  useMemo,
  useRef,
  useState,
  type ReactNode,
} from 'react'
import { createBilling, type Billing, type BillingOptions } from '../client.js'
import { BillingError } from '../error.js'
import type { PlanList, Subscription } from '../types.js'
import { english } from '../words/en.js'
import type { Words } from '../words/words.js'
import { createDeparture, type Departure } from './departure.js'
import { createResource, type Resource } from './resource.js'

const FOCUS_AGAIN_MS = 2_000
const PARAMETER = 'checkout_session_id'
// After these, prices may not be what the page shows.
const OTHER_PRICES = new Set<string>(['invalid_request', 'checkout_not_configured', 'stripe_refused'])

export interface BillingProviderProps extends BillingOptions {
  children: ReactNode
  /**
   * Clerk's `userId`: what was known of one user is forgotten with the next. null: nobody is signed
   * in, and nothing is asked; undefined: Clerk does not know yet.
   */
  userId?: string | null | undefined
  /** What the server asked already, so that the page begins with it. */
  initialSubscription?: Subscription | undefined
  initialPlans?: PlanList | undefined
  words?: Words | undefined
  /** Where a signed-out person goes to sign in. */
  signInUrl?: string | undefined
  /** Opens Stripe's pages; by default this window goes there. */
  navigate?: ((url: string) => void) | undefined
}

export interface BillingContext {
  billing: Billing
  subscription: Resource<Subscription>
  plans: Resource<PlanList>
  departure: Departure
  words: Words
  signedOut: boolean
  signInUrl: string | undefined
}

const Context = createContext<BillingContext | undefined>(undefined)

export function useBilling(): BillingContext {
  const found = useContext(Context)
  if (!found) throw new Error('This needs a <BillingProvider> around it')
  return found
}

/** What all hooks and components below share: one client, one subscription, one way out. */
export function BillingProvider(props: BillingProviderProps) {
  const { children, userId, words = english, signInUrl } = props
  const newest = useRef(props)
  useInsertionEffect(() => {
    newest.current = props // before any effect asks with it: a new user's token, not the last one's
  })
  const [owned, own] = useState(() => ({ userId, shared: share(() => newest.current, props) }))
  if (userId !== undefined && userId !== owned.userId) {
    // Clerk knows who it is now; or somebody else is: then nothing of the last one stays.
    const same = owned.userId === undefined
    own({ userId, shared: same ? owned.shared : share(() => newest.current, {}) })
  }
  const { shared } = owned
  useEffect(() => comeBack(shared), [shared])
  const value = useMemo(
    () => ({ ...shared, words, signInUrl, signedOut: userId === null }),
    [shared, words, signInUrl, userId],
  )
  return <Context.Provider value={value}>{children}</Context.Provider>
}

type Shared = Omit<BillingContext, 'words' | 'signInUrl' | 'signedOut'>
type Initial = Pick<BillingProviderProps, 'initialSubscription' | 'initialPlans'>

/** props: those of the newest render, since a team may write its functions in place. */
function share(props: () => BillingProviderProps, initial: Initial): Shared {
  const { url, timeoutMs, getToken } = props()
  const billing = createBilling({
    ...(url === undefined ? {} : { url }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    getToken: getToken && ((how) => (props().getToken ?? getToken)(how)),
    fetch: (...request) => (props().fetch ?? fetch)(...request),
  })
  const subscription = createResource(() => ask(billing), initial.initialSubscription)
  const plans = createResource(() => billing.plans(), initial.initialPlans)
  const go = (to: string) => (props().navigate ?? ((there) => location.assign(there)))(to)
  const departure = createDeparture(go, ({ code }) => {
    if (code === 'already_subscribed' || code === 'no_subscription') void subscription.reload()
    if (OTHER_PRICES.has(code)) void plans.reload()
  })
  return { billing, subscription, plans, departure }
}

/** While the address names a checkout session, that is confirmed: no webhook needs to have come. */
async function ask(billing: Billing): Promise<Subscription> {
  const here = new URL(location.href)
  const session = here.searchParams.get(PARAMETER)
  if (!session) return billing.subscription()
  const forget = () => {
    here.searchParams.delete(PARAMETER)
    history.replaceState(history.state, '', here)
  }
  try {
    const subscription = await billing.refresh(session)
    forget()
    return subscription
  } catch (error) {
    if (error instanceof BillingError && error.code !== 'invalid_request') throw error
    forget() // nobody's session: asking again would not help
    return billing.subscription()
  }
}

/** Look again when the person does, and let buttons work where the browser kept the page. */
function comeBack({ subscription, departure }: Shared): () => void {
  const look = () => {
    if (document.visibilityState === 'visible') subscription.renew(FOCUS_AGAIN_MS)
  }
  const shown = (event: PageTransitionEvent) => {
    if (!event.persisted) return
    departure.settle()
    subscription.renew(0)
  }
  addEventListener('focus', look)
  addEventListener('pageshow', shown)
  document.addEventListener('visibilitychange', look)
  return () => {
    removeEventListener('focus', look)
    removeEventListener('pageshow', shown)
    document.removeEventListener('visibilitychange', look)
  }
}
