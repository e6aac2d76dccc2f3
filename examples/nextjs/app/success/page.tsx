import { auth } from '@clerk/nextjs/server'
import Link from 'next/link'
import { SubscriptionCard } from 'portal-service/react'
import { Billing } from '@/components/billing'
import { Outcome } from '@/components/outcome'
import { billing, plansIfKnown, subscriptionIfKnown } from '@/lib/billing'

export const metadata = { title: 'Your plan' }

type Props = { searchParams: Promise<Record<string, string | string[] | undefined>> }

/** Where checkout comes back to: the service's CHECKOUT_SUCCESS_PATH. No webhook needs to have come. */
export default async function Success({ searchParams }: Props) {
  await auth.protect()
  // Once it is confirmed this redirects to the clean address. Where it can't be told yet the browser
  // goes on asking, as long as the address names the checkout.
  const { state } = await billing.confirmCheckout(await searchParams, '/success')
  const [subscription, plans] = await Promise.all([
    state === 'confirming' ? undefined : subscriptionIfKnown(),
    plansIfKnown(),
  ])
  return (
    <Billing subscription={subscription} plans={plans}>
      <Outcome />
      <SubscriptionCard plansUrl="/pricing" />
      <p className="mt-6">
        <Link href="/reports" className="underline underline-offset-4">
          Go to your reports
        </Link>
      </p>
    </Billing>
  )
}
