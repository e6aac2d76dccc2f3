import { BillingError, explain } from 'portal-service'
import { PageTitle } from '@/components/page-title'
import { billing } from '@/lib/billing'

export const metadata = { title: 'Reports' }

/** For subscribers: everybody else is sent to the pricing page before anything is rendered. */
export default async function Reports() {
  try {
    await billing.requirePlan(['pro', 'team'], '/pricing')
  } catch (error) {
    if (!(error instanceof BillingError)) throw error // Next's redirect among them
    return <CanNotTell error={error} />
  }
  return (
    <>
      <PageTitle>Reports</PageTitle>
      <p>This quarter went well.</p>
    </>
  )
}

function CanNotTell({ error }: { error: BillingError }) {
  return (
    <div role="alert">
      <PageTitle>Reports</PageTitle>
      <p>{explain(error).text}</p>
      {error.requestId && <p className="mt-2 text-sm">Reference: {error.requestId}</p>}
    </div>
  )
}
