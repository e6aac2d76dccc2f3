import { auth } from "@clerk/nextjs/server";
import { NextResponse } from "next/server";
import { getSubscription, getUserDbId } from "../../../../lib/db.js";
import { APP_URL, stripe } from "../../../../lib/vendors.js";

export async function POST() {
  const { userId } = await auth();
  if (!userId) return NextResponse.json({ error: "Unauthorized" }, { status: 401 });
  const dbUserId = await getUserDbId(userId);
  if (!dbUserId) return NextResponse.json({ error: "User not found" }, { status: 404 });
  const row = await getSubscription(dbUserId);
  if (!row?.stripe_customer_id) {
    return NextResponse.json({ error: "No subscription found" }, { status: 404 });
  }
  const session = await stripe.billingPortal.sessions.create({
    customer: row.stripe_customer_id,
    return_url: `${APP_URL}/dashboard`,
  });
  return NextResponse.json({ url: session.url });
}
