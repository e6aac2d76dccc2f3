import { auth } from '@clerk/nextjs/server'
import { SubscriptionCard } from 'portal-service/react'
import { Billing } from '@/components/billing'
import { PageTitle } from '@/components/page-title'
import { plansIfKnown, subscriptionIfKnown } from '@/lib/billing'

export const metadata = { title: 'Account' }

export default async function Account() {
  await auth.protect()
  const [subscription, plans] = await Promise.all([subscriptionIfKnown(), plansIfKnown()])
  return (
    <Billing subscription={subscription} plans={plans}>
      <PageTitle>Account</PageTitle>
      <SubscriptionCard plansUrl="/pricing" />
    </Billing>
  )
}
