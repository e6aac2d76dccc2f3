import { auth } from "@clerk/nextjs/server";
import { getUserDbId, isProSubscriber, getSubscription } from "@/lib/db";
import { ManageBillingButton } from "@/components/ManageBillingButton";
import Link from "next/link";

export default async function AccountPage() {
  const { userId } = await auth();
  const dbUserId = await getUserDbId(userId!);
  const isPro = dbUserId ? await isProSubscriber(dbUserId) : false;
  const sub = dbUserId ? await getSubscription(dbUserId) : null;

  return (
    <div>
      <h2 className="text-lg font-semibold">Subscription</h2>

      {isPro ? (
        <div className="mt-4 space-y-2">
          <p className="text-sm text-zinc-500">
            Status: <span className="font-medium text-zinc-900">{sub?.status}</span>
          </p>
          {sub?.current_period_end && (
            <p className="text-sm text-zinc-500">
              Renews:{" "}
              <span className="font-medium text-zinc-900">
                {new Date(sub.current_period_end).toLocaleDateString()}
              </span>
            </p>
          )}
          <ManageBillingButton />
        </div>
      ) : (
        <div className="mt-4">
          <p className="text-sm text-zinc-500">You're on the free plan.</p>
          <Link
            href="/checkout"
            className="mt-2 inline-flex items-center rounded-md bg-zinc-900 px-4 py-2
              text-sm font-medium text-white hover:bg-zinc-700"
          >
            Upgrade to Pro →
          </Link>
        </div>
      )}
    </div>
  );
}
