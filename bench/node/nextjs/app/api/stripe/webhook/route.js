import { NextResponse } from "next/server";
import { rowOf } from "../../../../lib/rowOf.js";
import { adminClient, stripe } from "../../../../lib/vendors.js";

export async function POST(request) {
  const body = await request.text();
  let event;
  try {
    event = stripe.webhooks.constructEvent(
      body, request.headers.get("stripe-signature"), process.env.STRIPE_WEBHOOK_SECRET);
  } catch {
    return NextResponse.json({ error: "Bad signature" }, { status: 400 });
  }
  if (["customer.subscription.updated", "customer.subscription.deleted"].includes(event.type)) {
    const { error } = await adminClient
      .from("subscriptions")
      .upsert(rowOf(event.data.object), { onConflict: "stripe_subscription_id" });
    if (error) return NextResponse.json({ error: "Database" }, { status: 500 });
  }
  return NextResponse.json({ received: true });
}
