'use client'

import type { ComponentProps, ReactNode } from 'react'
import { explain } from '../describe.js'
import type { BillingError } from '../error.js'
import type { CheckoutRequest, PortalRequest, SessionUrl } from '../types.js'
import { useLeave, useSubscription } from './hooks.js'
import { useBilling } from './provider.js'

type ButtonProps = Omit<ComponentProps<'button'>, 'type' | 'onClick' | 'children'>

export interface ManageBillingButtonProps extends ButtonProps {
  /** A task of the portal, its return address, its language: the body of `POST /portal`. */
  request?: PortalRequest
  children?: ReactNode
}

/** Opens the portal. Nothing where there is nothing to manage. */
export function ManageBillingButton({ request, children, ...button }: ManageBillingButtonProps) {
  const { billing, words } = useBilling()
  const { subscription } = useSubscription()
  if (!subscription?.can_manage_billing) return null
  const { manage, fixPayment } = words.buttons
  return (
    <LeavingButton {...button} ask={() => billing.portal(request)}>
      {children ?? (subscription.needs_payment ? fixPayment : manage)}
    </LeavingButton>
  )
}

export interface UpgradeButtonProps extends ButtonProps {
  /** What to buy: the body of `POST /checkout`; the first plan by default. */
  request?: CheckoutRequest
  children?: ReactNode
}

/** Opens checkout. Nothing where a subscription runs, or the caller may not spend. */
export function UpgradeButton({ request, children, ...button }: UpgradeButtonProps) {
  const { billing, words } = useBilling()
  const { subscription } = useSubscription()
  if (!subscription?.can_checkout) return null
  return (
    <LeavingButton {...button} ask={() => billing.checkout(request)}>
      {children ?? words.buttons.upgrade}
    </LeavingButton>
  )
}

export interface LeavingButtonProps extends ButtonProps {
  ask: () => Promise<SessionUrl>
  children: ReactNode
}

/** A button that leads to a page of Stripe's, and says beside itself what went wrong. */
export function LeavingButton({ ask, children, className, ...button }: LeavingButtonProps) {
  const { words } = useBilling()
  const { leave, leaving, busy, error, dismiss } = useLeave()
  return (
    <>
      <button
        {...button}
        type="button"
        className={className ?? 'ps-button'}
        aria-busy={leaving || undefined}
        aria-disabled={busy || undefined}
        onClick={() => void leave(ask)}
      >
        {children}
      </button>
      <span className="ps-news" role="status">
        {leaving ? words.leaving : ''}
      </span>
      {error && (
        <Problem
          error={error}
          onTryAgain={() => {
            dismiss()
            void leave(ask)
          }}
        />
      )}
    </>
  )
}

export interface ProblemProps {
  error: BillingError
  onTryAgain?: () => void
}

/** An error in words, what helps, and the reference for whoever looks into it. */
export function Problem({ error, onTryAgain }: ProblemProps) {
  const { words, signInUrl } = useBilling()
  const { text, cure } = explain(error, words)
  return (
    <div className="ps-problem" role="alert">
      <p>{text}</p>
      {cure === 'try_again' && onTryAgain && (
        <button type="button" className="ps-button ps-quiet" onClick={onTryAgain}>
          {words.buttons.tryAgain}
        </button>
      )}
      {cure === 'sign_in' && signInUrl && (
        <a className="ps-button ps-quiet" href={signInUrl}>
          {words.buttons.signIn}
        </a>
      )}
      {cure === 'manage' && <ManageBillingButton className="ps-button ps-quiet" />}
      {error.requestId && (
        <small>
          {words.reference}: <code>{error.requestId}</code>
        </small>
      )}
    </div>
  )
}
