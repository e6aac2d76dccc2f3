import { auth } from '@clerk/nextjs/server'
import Link from 'next/link'
import { english } from 'portal-service'
import { SubscriptionCard } from 'portal-service/react'
import { Billing } from '@/components/billing'
import { PageTitle } from '@/components/page-title'
import { billing, plansIfKnown, subscriptionIfKnown } from '@/lib/billing'

export const metadata = { title: 'Thank you' }

type Props = { searchParams: Promise<Record<string, string | string[] | undefined>> }

/** Where checkout comes back to: the service's CHECKOUT_SUCCESS_PATH. No webhook needs to have come. */
export default async function Success({ searchParams }: Props) {
  await auth.protect()
  const { state } = await billing.confirmCheckout(await searchParams, '/success')
  const confirming = state === 'confirming'
  const [subscription, plans] = await Promise.all([
    confirming ? undefined : subscriptionIfKnown(),
    plansIfKnown(),
  ])
  return (
    <Billing subscription={subscription} plans={plans}>
      {/* The card asks on its own while the address names a checkout that is not confirmed yet. */}
      <PageTitle>{confirming ? english.confirming : subscription?.subscribed ? 'Thank you' : 'Your plan'}</PageTitle>
      <SubscriptionCard plansUrl="/pricing" />
      <p className="mt-6">
        <Link href="/reports" className="underline underline-offset-4">
          Go to your reports
        </Link>
      </p>
    </Billing>
  )
}
