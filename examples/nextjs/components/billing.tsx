'use client'

import { useAuth } from '@clerk/nextjs'
import { usePathname } from 'next/navigation'
import type { PlanList, Subscription } from 'portal-service'
import { BillingProvider } from 'portal-service/react'
import type { ReactNode } from 'react'

/** The one choice: empty is this app's own origin, else the service's address. */
const url = process.env.NEXT_PUBLIC_BILLING_URL

export interface BillingProps {
  children: ReactNode
  /** What the server knows already; the browser asks for the rest. */
  subscription?: Subscription | undefined
  plans?: PlanList | undefined
}

/** What all billing components of a page share. */
export function Billing({ children, subscription, plans }: BillingProps) {
  const { getToken, userId } = useAuth()
  const here = usePathname()
  return (
    <BillingProvider
      {...(url ? { url } : {})}
      // On the app's own origin Clerk's cookie would do, until it expires while a laptop sleeps.
      getToken={getToken}
      userId={userId}
      signInUrl={`/sign-in?from=${encodeURIComponent(here)}`}
      initialSubscription={subscription}
      initialPlans={plans}
    >
      {children}
    </BillingProvider>
  )
}
