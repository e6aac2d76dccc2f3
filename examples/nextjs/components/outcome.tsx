'use client'

import { english } from 'portal-service'
import { useSubscription } from 'portal-service/react'
import { PageTitle } from './page-title'

/** What came of a checkout, as soon as it can be told. */
export function Outcome() {
  const { subscription } = useSubscription()
  if (!subscription) return <PageTitle>{english.confirming}</PageTitle>
  return <PageTitle>{subscription.subscribed ? 'Thank you' : 'Your plan'}</PageTitle>
}
