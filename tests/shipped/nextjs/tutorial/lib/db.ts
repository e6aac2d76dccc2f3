// What the tutorial's page imports: reads of the app's own tables, as the service keeps them.

import { adminClient } from "@/lib/supabase/admin";

export async function getUserDbId(clerkId: string): Promise<string | null> {
  const { data } = await adminClient.from("users").select("id").eq("clerk_id", clerkId).single();
  return data?.id ?? null;
}

export async function getSubscription(dbUserId: string) {
  const { data } = await adminClient
    .from("subscriptions")
    .select("plan, status, current_period_end")
    .eq("user_id", dbUserId)
    .single();
  return data;
}

export async function isProSubscriber(dbUserId: string): Promise<boolean> {
  const sub = await getSubscription(dbUserId);
  return sub?.plan === "pro" && ["active", "trialing"].includes(sub.status);
}
