// From what the service answers to what people read. Pure; the words are in words/.

import { BillingError } from './error.js'
import type { AnyErrorCode, Flow, Subscription } from './types.js'
import { english } from './words/en.js'
import type { State, Words } from './words/words.js'

export type Mood = 'good' | 'warn' | 'bad' | 'plain'

/** A subscription as a page shows it. */
export interface View {
  /** The plan's name for people. */
  plan: string
  state: State
  /** A word or two beside the name; may be empty. */
  label: string
  mood: Mood
  sentence: string
  /** Whether plans are offered: nothing runs, and the caller may spend. */
  canUpgrade: boolean
  /** What the button to the portal says; null where there is nothing to manage. */
  manage: string | null
  /** The tasks of the portal that make sense now. */
  flows: Flow[]
}

export interface DescribeOptions {
  words?: Words | undefined
  /** Names for people by the names of STRIPE_PLANS, such as `GET /plans` has them. */
  planNames?: Readonly<Record<string, string>> | undefined
  /** Of the dates. UTC by default, so that a server and a browser say the same day. */
  timeZone?: string | undefined
}

const MOODS: Partial<Record<State, Mood>> = {
  given: 'good',
  active: 'good',
  trialing: 'good',
  ending: 'warn',
  paused: 'warn',
  unknown: 'warn',
  payment_failed: 'bad',
  first_payment_failed: 'bad',
  paused_until_payment: 'bad',
  unknown_plan: 'bad',
}

/** The status object in words: never "free" for somebody who pays or owes. */
export function describe(subscription: Subscription, options: DescribeOptions = {}): View {
  const words = options.words ?? english
  const state = stateOf(subscription)
  const plan = planName(subscription.plan, words, options.planNames)
  const { can_checkout: canUpgrade, can_manage_billing: customer } = subscription
  const [label, dated, undated] = words.states[state]
  const date = dateOf(subscription, state)
  const format = { dateStyle: 'long', timeZone: options.timeZone ?? 'UTC' } as const
  const day = date && new Intl.DateTimeFormat(words.locale, format).format(new Date(date))
  return {
    plan,
    state,
    label,
    mood: MOODS[state] ?? 'plain',
    sentence: fill(day ? dated : undated ?? dated, { plan, date: day ?? '' }),
    canUpgrade,
    manage: customer ? words.buttons[subscription.needs_payment ? 'fixPayment' : 'manage'] : null,
    flows: customer ? flowsOf(subscription) : [],
  }
}

function stateOf(of: Subscription): State {
  switch (of.status) {
    case null:
      return of.plan === 'free' ? 'free' : 'given'
    case 'canceled':
      return 'ended'
    case 'incomplete_expired':
      return 'never_began'
    case 'past_due':
    case 'unpaid':
      return 'payment_failed'
    case 'incomplete':
      return 'first_payment_failed'
    case 'paused':
      return of.needs_payment ? 'paused_until_payment' : 'paused'
  }
  if (of.plan === null) return 'unknown_plan'
  if (endOf(of)) return 'ending'
  return of.status === 'active' || of.status === 'trialing' ? of.status : 'unknown'
}

/** When it is set to end; null where it goes on. */
function endOf(of: Subscription): string | null {
  return of.cancel_at ?? (of.cancel_at_period_end ? of.current_period_end : null)
}

function dateOf(of: Subscription, state: State): string | null {
  if (state === 'ended') return of.ended_at
  if (state === 'ending') return endOf(of)
  if (state === 'trialing') return of.trial_end ?? of.current_period_end
  return of.current_period_end
}

function flowsOf(of: Subscription): Flow[] {
  const flows: Flow[] = ['payment_method_update']
  if (of.subscribed && of.status) flows.push('subscription_update')
  if (!of.can_checkout && of.status && !endOf(of)) flows.push('subscription_cancel')
  return flows
}

/** A plan's name for people; unknown names are shown with a capital. */
export function planName(
  plan: string | null,
  words: Words,
  names: Readonly<Record<string, string>> = {},
): string {
  if (plan === null) return words.unknownPlan
  if (plan === 'free') return words.freePlan
  return names[plan] ?? plan.charAt(0).toUpperCase() + plan.slice(1)
}

/** A sentence with its `{names}` filled in. */
export function fill(sentence: string, values: Readonly<Record<string, string | number>>): string {
  return sentence.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole))
}

/** What helps: another try, signing in, the portal, choosing a plan, or the page anew. */
export type Cure = 'try_again' | 'sign_in' | 'manage' | 'choose_plan' | 'reload'

export interface Explanation {
  text: string
  cure: Cure | null
}

const CURES: Record<string, Cure> = {
  unauthorized: 'sign_in',
  user_not_found: 'try_again',
  no_subscription: 'choose_plan',
  customer_not_found: 'choose_plan',
  already_subscribed: 'manage',
  rate_limited: 'try_again',
  internal_error: 'try_again',
  stripe_unavailable: 'try_again',
  database_unavailable: 'try_again',
  clerk_unavailable: 'try_again',
  unreachable: 'try_again',
  timeout: 'try_again',
  bad_answer: 'try_again',
  invalid_request: 'reload',
  not_found: 'reload',
  method_not_allowed: 'reload',
}

/**
 * An error in words, and what helps.
 *
 * error: that of a call, or its code alone. A code that this version does not know is told by the
 * service's own sentence.
 */
export function explain(error: unknown, words: Words = english): Explanation {
  const isOurs = error instanceof BillingError
  const code: AnyErrorCode = isOurs ? error.code : typeof error === 'string' ? error : ''
  const known = (words.errors as Partial<Record<string, string>>)[code]
  const own = isOurs && error.message !== error.code ? error.message : undefined
  return {
    text: known ?? own ?? words.errors.internal_error,
    cure: CURES[code] ?? (known || own ? null : 'try_again'),
  }
}
