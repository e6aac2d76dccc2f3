import type { ErrorCode, Interval } from '../types.js'

/** What a subscription can be for people. */
export type State =
  | 'free'
  | 'given'
  | 'active'
  | 'trialing'
  | 'ending'
  | 'payment_failed'
  | 'first_payment_failed'
  | 'paused_until_payment'
  | 'paused'
  | 'ended'
  | 'never_began'
  | 'unknown_plan'
  | 'unknown'

/**
 * All that is said, in one language. In a sentence `{plan}` is the plan's name, `{date}` the day
 * that matters, `{n}` a number; one with a date has a twin without, for where there is none.
 */
export interface Words {
  /** For dates and amounts, as Intl takes it. */
  locale: string
  freePlan: string
  unknownPlan: string
  /** A word for the mark beside the plan's name, then the sentence. */
  states: Record<State, readonly [label: string, sentence: string, undated?: string]>
  errors: Record<ErrorCode, string>
  /** `per month`, `every {n} months`. */
  per: Record<Interval, readonly [one: string, many: string]>
  buttons: {
    upgrade: string
    choose: string
    startTrial: string
    switch: string
    current: string
    manage: string
    fixPayment: string
    tryAgain: string
    signIn: string
  }
  /** While a page of Stripe's is being opened. */
  leaving: string
  loading: string
  confirming: string
  reference: string
  /** Names of the choices between intervals. */
  intervals: Record<Interval, string>
  howOften: string
  byUse: string
  askForPrice: string
}
