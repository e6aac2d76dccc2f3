import { auth } from "@clerk/nextjs/server";
import { NextResponse } from "next/server";
import { getSubscription, getUserDbId } from "../../../../lib/db.js";
import { APP_URL, PRICE, stripe } from "../../../../lib/vendors.js";

export async function POST() {
  const { userId } = await auth();
  if (!userId) return NextResponse.json({ error: "Unauthorized" }, { status: 401 });
  const dbUserId = await getUserDbId(userId);
  const row = dbUserId ? await getSubscription(dbUserId) : null;
  const session = await stripe.checkout.sessions.create({
    mode: "subscription",
    line_items: [{ price: PRICE, quantity: 1 }],
    customer: row?.stripe_customer_id,
    client_reference_id: userId,
    success_url: `${APP_URL}/dashboard`,
    cancel_url: `${APP_URL}/dashboard`,
  });
  return NextResponse.json({ url: session.url });
}
