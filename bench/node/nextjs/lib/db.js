// What the tutorial calls getUserDbId and getSubscription. `.single()` is not used: it refuses whoever
// has two rows.
import { adminClient } from "./vendors.js";

export async function getUserDbId(clerkId) {
  const { data, error } = await adminClient
    .from("users").select("id").eq("clerk_id", clerkId).limit(1);
  if (error) throw error;
  return data[0]?.id ?? null;
}

export async function getSubscription(userId) {
  const { data, error } = await adminClient
    .from("subscriptions").select("*").eq("user_id", userId).limit(1);
  if (error) throw error;
  return data[0] ?? null;
}
