'use client'

import { useEffect, useId, useSyncExternalStore } from 'react'
import type { BillingError } from '../error.js'
import type { Plan, PlanList, SessionUrl, Subscription } from '../types.js'
import { useBilling } from './provider.js'
import type { Resource, Snapshot } from './resource.js'

export interface UseSubscription {
  /** undefined while it is not known: neither free nor paying. */
  subscription: Subscription | undefined
  loading: boolean
  /** Of the last question; the subscription is then the last that was known. */
  error: BillingError | undefined
  /** Nobody is signed in, as Clerk or the service says. */
  signedOut: boolean
  reload: () => Promise<void>
}

/** The caller's subscription: asked for once for all components, and again when they come back. */
export function useSubscription(): UseSubscription {
  const { subscription: resource, signedOut } = useBilling()
  const { data, error, loading } = useResource(resource, !signedOut)
  const refused = signedOut || (data === undefined && error?.code === 'unauthorized')
  return {
    subscription: signedOut ? undefined : data,
    loading: loading && !refused,
    error: refused ? undefined : error,
    signedOut: refused,
    reload: resource.reload,
  }
}

export interface UsePlans {
  plans: Plan[] | undefined
  /** How long a first trial is; null where there is none. */
  trialDays: number | null
  loading: boolean
  error: BillingError | undefined
  reload: () => Promise<void>
}

/** What is for sale. */
export function usePlans(): UsePlans {
  const { plans: resource } = useBilling()
  const { data, error, loading } = useResource<PlanList>(resource, true)
  return {
    plans: data?.plans,
    trialDays: data?.trial_days ?? null,
    loading,
    error,
    reload: resource.reload,
  }
}

export interface UseLeave {
  /** Ask for a page of Stripe's and go there. Nothing happens while another button leads away. */
  leave: (ask: () => Promise<SessionUrl>) => Promise<void>
  /** This one leads away at the moment. */
  leaving: boolean
  /** This one or another one does. */
  busy: boolean
  error: BillingError | undefined
  dismiss: () => void
}

/** One way out for all buttons: three clicks in one tick are one call. */
export function useLeave(): UseLeave {
  const me = useId()
  const { departure } = useBilling()
  const now = useSyncExternalStore(departure.watch, departure.snapshot, departure.snapshot)
  return {
    leave: (ask) => departure.leave(me, ask),
    leaving: now.by === me,
    busy: now.by !== undefined,
    error: now.failed === me ? now.error : undefined,
    dismiss: departure.dismiss,
  }
}

function useResource<T>(resource: Resource<T>, wanted: boolean): Snapshot<T> {
  const now = useSyncExternalStore(resource.watch, resource.snapshot, resource.first)
  useEffect(() => {
    if (wanted) resource.need()
  }, [resource, wanted])
  return now
}
