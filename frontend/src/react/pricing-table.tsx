'use client'

import { useId, useState } from 'react'
import { fill } from '../describe.js'
import { formatPrice } from '../price.js'
import type { Plan, Price } from '../types.js'
import type { Words } from '../words/words.js'
import { LeavingButton, ManageBillingButton, Problem } from './buttons.js'
import { usePlans, useSubscription } from './hooks.js'
import { useBilling } from './provider.js'

export interface PricingTableProps {
  className?: string
  /** One of the prices' currencies; each price's own where it is not sold in it. */
  currency?: string
  /** Where people come back to from Stripe's pages; by default where the service's settings say. */
  returnPath?: string
}

/** The plans with what each costs, and the button that buys it or changes to it. */
export function PricingTable({ className = 'ps-plans', currency, returnPath }: PricingTableProps) {
  const { words } = useBilling()
  const { plans, error, reload } = usePlans()
  const periods = periodsOf(plans ?? [])
  const [chosen, choose] = useState<string>()
  const { subscription, error: unknown, reload: askAgain } = useSubscription()
  if (!plans) {
    return (
      <section className={className} aria-busy={!error}>
        {error && <Problem error={error} onTryAgain={() => void reload()} />}
      </section>
    )
  }
  const present = plans.flatMap(({ prices }) => prices).find(isOf(subscription?.price_id))
  const period = chosen ?? (present ? periodOf(present) : periods[0])
  return (
    <section className={className}>
      {periods.length > 1 && (
        <Periods periods={periods} chosen={period} choose={choose} words={words} />
      )}
      {unknown && !subscription && <Problem error={unknown} onTryAgain={() => void askAgain()} />}
      <ul className="ps-list">
        {plans.map((plan) => {
          const price = plan.prices.find((each) => periodOf(each) === period) ?? plan.prices[0]
          return price && <PlanCard key={plan.plan} {...{ plan, price, currency, returnPath }} />
        })}
      </ul>
    </section>
  )
}

/** `month`, `3 month`. */
const periodOf = ({ interval, interval_count: n }: Price) =>
  n === 1 ? interval : `${n} ${interval}`

const isOf = (id: string | null | undefined) => (price: Price) => price.price_id === id

function periodsOf(plans: Plan[]): string[] {
  return [...new Set(plans.flatMap(({ prices }) => prices.map(periodOf)))]
}

interface PeriodsProps {
  periods: string[]
  chosen: string | undefined
  choose: (period: string) => void
  words: Words
}

function Periods({ periods, chosen, choose, words }: PeriodsProps) {
  const name = useId()
  return (
    <fieldset className="ps-periods">
      <legend>{words.howOften}</legend>
      {periods.map((period) => (
        <label key={period}>
          <input
            type="radio"
            name={name}
            checked={period === chosen}
            onChange={() => choose(period)}
          />
          {periodName(period, words)}
        </label>
      ))}
    </fieldset>
  )
}

function periodName(period: string, words: Words): string {
  const [n, interval] = period.split(' ')
  if (!interval) return words.intervals[period as Price['interval']]
  return fill(words.per[interval as Price['interval']][1], { n: n ?? '' })
}

interface PlanCardProps {
  plan: Plan
  price: Price
  currency: string | undefined
  returnPath: string | undefined
}

function PlanCard({ plan, price, currency, returnPath }: PlanCardProps) {
  const { words } = useBilling()
  const { amount, per } = formatPrice(price, { words, currency })
  const metered = price.usage_type === 'metered'
  return (
    <li className="ps-card" data-plan={plan.plan}>
      <h3>{plan.name}</h3>
      {plan.description && <p>{plan.description}</p>}
      <p className="ps-price">
        {amount === null ? (
          words.askForPrice
        ) : (
          <>
            <strong>{amount}</strong> {per}
          </>
        )}
        {metered && ` ${words.byUse}`}
      </p>
      {plan.features.length > 0 && (
        <ul className="ps-features">
          {plan.features.map((feature) => (
            <li key={feature}>{feature}</li>
          ))}
        </ul>
      )}
      <PlanAction {...{ plan, price, returnPath }} />
    </li>
  )
}

type PlanActionProps = Omit<PlanCardProps, 'currency'>

/** What can be done about a plan: sign in, buy it, change to it; or nothing. */
function PlanAction({ plan, price, returnPath }: PlanActionProps) {
  const { billing, words, signInUrl } = useBilling()
  const { subscription, signedOut } = useSubscription()
  const { trialDays } = usePlans()
  const { buttons } = words
  const named = { plan: plan.name, n: trialDays ?? 0 }
  const back = returnPath === undefined ? {} : { return_path: returnPath }
  const trial = trialDays !== null && (signedOut || subscription?.trial_available)
  const choose = fill(trial ? buttons.startTrial : buttons.choose, named)
  if (signedOut) {
    return signInUrl ? (
      <a className="ps-button" href={signInUrl}>
        {choose}
      </a>
    ) : null
  }
  if (!subscription) return <span className="ps-button ps-unknown" aria-hidden="true" />
  if (subscription.can_checkout) {
    const request = { price: price.price_id, ...back }
    return <LeavingButton ask={() => billing.checkout(request)}>{choose}</LeavingButton>
  }
  if (price.price_id === subscription.price_id) {
    return <p className="ps-current">{buttons.current}</p>
  }
  if (!subscription.can_manage_billing) return null
  // What was given by hand has nothing at Stripe that could be changed.
  const changeable = subscription.subscribed && subscription.status !== null
  if (!changeable) return <ManageBillingButton />
  const flow = 'subscription_update_confirm' as const
  const request = { flow, price: price.price_id, ...back }
  return (
    <LeavingButton ask={() => billing.portal(request)}>{fill(buttons.switch, named)}</LeavingButton>
  )
}
