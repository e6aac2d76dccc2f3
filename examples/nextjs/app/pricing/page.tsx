import { PaymentProblem, PricingTable } from 'portal-service/react'
import { Billing } from '@/components/billing'
import { PageTitle } from '@/components/page-title'
import { plansIfKnown, subscriptionIfKnown } from '@/lib/billing'

export const metadata = { title: 'Pricing' }

export default async function Pricing() {
  const [subscription, plans] = await Promise.all([subscriptionIfKnown(), plansIfKnown()])
  return (
    <Billing subscription={subscription} plans={plans}>
      <PageTitle>Pricing</PageTitle>
      <PaymentProblem />
      <PricingTable />
    </Billing>
  )
}
