'use client'

import { describe } from '../describe.js'
import { useSubscription, usePlans } from './hooks.js'
import { ManageBillingButton, Problem } from './buttons.js'
import { useBilling } from './provider.js'

export interface SubscriptionCardProps {
  className?: string
  /** Where plans are shown; a link to it stands there for whoever can buy one. */
  plansUrl?: string
}

/** The plan, what becomes of it and when, and the button to the portal. */
export function SubscriptionCard({ className = 'ps-card', plansUrl }: SubscriptionCardProps) {
  const { words } = useBilling()
  const { subscription, error, signedOut, reload } = useSubscription()
  const planNames = usePlanNames()
  if (signedOut) return null
  if (!subscription) {
    return (
      <section className={className} aria-busy={!error}>
        {error ? <Problem error={error} onTryAgain={() => void reload()} /> : <p>{words.loading}</p>}
      </section>
    )
  }
  const view = describe(subscription, { words, planNames })
  return (
    <section className={className} data-state={view.state}>
      <h2>
        {view.plan} {view.label && <span className={`ps-label ps-${view.mood}`}>{view.label}</span>}
      </h2>
      <p>{view.sentence}</p>
      <ManageBillingButton />
      {view.canUpgrade && plansUrl && (
        <a className="ps-button" href={plansUrl}>
          {words.buttons.upgrade}
        </a>
      )}
      {error && <Problem error={error} onTryAgain={() => void reload()} />}
    </section>
  )
}

/** Says that a payment is what the subscription waits for. Nothing where it does not. */
export function PaymentProblem({ className = 'ps-problem' }: { className?: string }) {
  const { words } = useBilling()
  const { subscription } = useSubscription()
  const planNames = usePlanNames()
  if (!subscription?.needs_payment) return null
  return (
    <div className={className} role="status">
      <p>{describe(subscription, { words, planNames }).sentence}</p>
      <ManageBillingButton />
    </div>
  )
}

/** Names for people, as far as they are known: nobody waits for them. */
function usePlanNames(): Record<string, string> {
  const { plans } = usePlans()
  return Object.fromEntries((plans ?? []).map(({ plan, name }) => [plan, name]))
}
